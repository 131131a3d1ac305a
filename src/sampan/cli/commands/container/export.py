"""`sampan container export`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands.output import OUTPUT, save

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("[OPTIONS] CONTAINER", (OUTPUT,), 1, 1)


def run(cli: Cli, arguments: Arguments) -> int:
    return save(
        cli,
        arguments.text("output"),
        lambda: cli.engine.containers.export(arguments.words[0]),
        "failed to export container",
    )
