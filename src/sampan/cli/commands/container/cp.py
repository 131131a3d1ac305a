"""`sampan container cp`.

CONTAINER:SRC -> local     GET archive, unpack under the wanted name
local -> CONTAINER:DST     pack under the wanted name, PUT archive into the folder above
-                          the tar itself, from standard input or to standard output
"""

from __future__ import annotations

import os

from sampan.cli.command import Command
from sampan.cli.commands.container import copying
from sampan.cli.commands.input import pieces
from sampan.cli.flags import Exit, Flag
from sampan.cli.render.units import human_size
from sampan.cli.streams import write_all
from sampan.client.blocking import iterate
from sampan.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tsampan cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    (
        Flag("archive", "bool", "Archive mode (copy all uid/gid information)", "a"),
        Flag("follow-link", "bool", "Always follow symbol link in SRC_PATH", "L"),
        Flag("quiet", "bool", "Suppress progress output during copy", "q"),
    ),
    2,
    2,
)


def run(cli: Cli, arguments: Arguments) -> int:
    source, target = arguments.words
    if not source:
        raise Exit(1, "source can not be empty")
    if not target:
        raise Exit(1, "destination can not be empty")
    from_container, source_path = split(source)
    to_container, target_path = split(target)
    if from_container and to_container:
        raise Exit(1, "copying between containers is not supported")
    if from_container:
        size = _out(cli, from_container, source_path, target, arguments.truth("follow-link"))
    elif to_container:
        size = _in(cli, source, to_container, target_path, arguments)
    else:
        raise Exit(1, "must specify at least one container source")
    if os.isatty(2) and not arguments.truth("quiet") and size is not None:
        cli.err(f"Successfully copied {human_size(size, 3)} to {target}")
    return 0


def split(word: str) -> tuple[str, str]:
    """Return (container, path); no container for local paths, which `./` or `/` may mark."""
    container, colon, path = word.partition(":")
    if not colon or word.startswith(("/", ".")):
        return "", word
    return container, path


def _out(cli: Cli, container: str, path: str, target: str, follow: bool) -> int | None:
    containers = cli.engine.containers
    if follow:
        path = _followed(cli, container, path)
    stat, response = cli.run(containers.get_archive(container, path))
    if target == "-":
        for piece in iterate(response.chunks()):
            write_all(1, piece)
        return None
    is_folder = bool(stat.mode & copying.GO_DIRECTORY)
    place, name = copying.destination(path, is_folder, target)
    return copying.unpack(iterate(response.chunks()), stat.name, place, name)


def _in(cli: Cli, source: str, container: str, path: str, arguments: Arguments) -> int | None:
    containers = cli.engine.containers
    folder, is_folder = _container_place(cli, container, path)
    owner = arguments.truth("archive")
    if source == "-":
        if is_folder is not True:
            raise Exit(1, f'destination "{container}:{path}" must be a directory')
        cli.run(containers.put_archive(container, folder, pieces(0), copy_owner=owner))
        return None
    real = copying.followed(source) if arguments.truth("follow-link") else source
    place, name = copying.container_destination(source, real, folder, is_folder, path)
    packed = copying.Packed(real, name)
    cli.run(containers.put_archive(container, place, packed.pieces(), copy_owner=owner))
    return packed.size


def _container_place(cli: Cli, container: str, path: str) -> tuple[str, bool | None]:
    """Return where `path` really is and whether that is a folder, None where it is not there."""
    path = path if path.startswith("/") else f"/{path}"
    try:
        stat = cli.run(cli.engine.containers.stat_path(container, path))
        if stat.mode & copying.GO_SYMLINK:
            path = os.path.join(os.path.dirname(path), stat.link_target)
            stat = cli.run(cli.engine.containers.stat_path(container, path))
    except NotFound:
        cli.run(cli.engine.containers.inspect(container))
        return path, None
    return path, bool(stat.mode & copying.GO_DIRECTORY)


def _followed(cli: Cli, container: str, path: str) -> str:
    stat = cli.run(cli.engine.containers.stat_path(container, path))
    if not stat.mode & copying.GO_SYMLINK:
        return path
    return os.path.join(os.path.dirname(path), stat.link_target)
