"""`sampan container rm`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import describe
from sampan.cli.flags import Flag
from sampan.errors import NotFound, SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    (
        Flag("force", "bool", "Force the removal of a running container (uses SIGKILL)", "f"),
        Flag("link", "bool", "Remove the specified link", "l"),
        Flag("volumes", "bool", "Remove anonymous volumes associated with the container", "v"),
    ),
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    force, link, volumes = (arguments.truth(name) for name in ("force", "link", "volumes"))
    code = 0
    for word in arguments.words:
        ref = word.strip("/")
        try:
            cli.run(cli.engine.containers.remove(ref, force, volumes, link))
            cli.out(f"{word}\n")
        except SampanError as error:
            cli.err(describe(error))
            if not (force and isinstance(error, NotFound)):
                code = 1
    return code
