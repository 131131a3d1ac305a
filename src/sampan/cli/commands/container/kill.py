"""`sampan container kill`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import each
from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]", (Flag("signal", "string", "Signal to send to the container", "s"),), 1, None
)


def run(cli: Cli, arguments: Arguments) -> int:
    signal = arguments.text("signal")
    return each(cli, arguments.words, lambda ref: cli.engine.containers.kill(ref, signal))
