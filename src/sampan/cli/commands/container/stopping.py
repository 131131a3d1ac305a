"""What `stop` and `restart` share: which signal is sent, and how long is waited before the kill."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import each
from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

    Verb = Callable[[str, int | None, str], Coroutine[Any, Any, object]]

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    (
        Flag("signal", "string", "Signal to send to the container", "s"),
        Flag("timeout", "int", "Seconds to wait before killing the container", "t", aliases=("time",)),
    ),
    1,
    None,
)


def stop_each(cli: Cli, arguments: Arguments, verb: Verb) -> int:
    """Call `verb` of each named container with the timeout, if one was given, and the signal."""
    timeout = arguments.number("timeout") if arguments.given("timeout") else None
    signal = arguments.text("signal")
    return each(cli, arguments.words, lambda ref: verb(ref, timeout, signal))
