"""`sampan container inspect`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import INSPECT_FORMAT
from sampan.cli.commands.inspecting import inspect
from sampan.cli.flags import Flag
from sampan.wire.containers import ContainerInspect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    (INSPECT_FORMAT, Flag("size", "bool", "Display total file sizes", "s")),
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    size = arguments.truth("size")
    return inspect(
        cli,
        arguments.words,
        arguments.text("format"),
        lambda ref: (cli.run(cli.engine.containers.inspect_raw(ref, size)), ContainerInspect),
    )
