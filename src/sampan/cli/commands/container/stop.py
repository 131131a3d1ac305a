"""`sampan container stop`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import each
from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    (
        Flag("signal", "string", "Signal to send to the container", "s"),
        Flag("timeout", "int", "Seconds to wait before killing the container", "t", aliases=("time",)),
    ),
    1,
    None,
)


def run(cli: Cli, arguments: Arguments) -> int:
    timeout = arguments.number("timeout") if arguments.given("timeout") else None
    signal = arguments.text("signal")
    return each(cli, arguments.words, lambda ref: cli.engine.containers.stop(ref, timeout, signal))
