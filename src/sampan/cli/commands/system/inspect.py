"""`sampan inspect`: a container, an image, a network or a volume, whichever has the name."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import INSPECT_FORMAT
from sampan.cli.commands.inspecting import NoSuchObject, inspect
from sampan.cli.flags import Exit, Flag
from sampan.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] NAME|ID [NAME|ID...]",
    (
        INSPECT_FORMAT,
        Flag("size", "bool", "Display total file sizes if the type is container", "s"),
        Flag("type", "string", "Only inspect objects of the given type"),
    ),
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    kinds = _kinds(cli, arguments.truth("size"))
    wanted = arguments.text("type")
    if arguments.given("type") and wanted not in kinds:
        known = ", ".join(f'"{kind}"' for kind in kinds)
        raise Exit(1, f'unknown type: "{wanted}": must be one of {known}')

    def fetch(ref: str) -> tuple[bytes, type]:
        for kind, (request, document) in kinds.items():
            if wanted not in ("", kind):
                continue
            try:
                return cli.run(request(ref)), document()
            except NotFound:
                if wanted:
                    raise
        raise NoSuchObject(ref)

    return inspect(cli, arguments.words, arguments.text("format"), fetch)


def _kinds(cli: Cli, size: bool) -> dict[str, tuple[Callable[[str], Coroutine[Any, Any, bytes]], Callable[[], type]]]:
    engine = cli.engine
    return {
        "container": (lambda ref: engine.containers.inspect_raw(ref, size), _container),
        "image": (lambda ref: engine.images.inspect_raw(ref), _image),
        "network": (lambda ref: engine.networks.inspect_raw(ref), _network),
        "volume": (lambda ref: engine.volumes.inspect_raw(ref), _volume),
    }


def _container() -> type:
    from sampan.wire.containers import ContainerInspect

    return ContainerInspect


def _image() -> type:
    from sampan.wire.images import ImageInspect

    return ImageInspect


def _network() -> type:
    from sampan.wire.networks import Network

    return Network


def _volume() -> type:
    from sampan.wire.volumes import Volume

    return Volume
