"""`sampan context show`."""

from __future__ import annotations

from sampan.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("", (), 0, 0)


def run(cli: Cli, arguments: Arguments) -> int:
    cli.out(f"{cli.context_name}\n")
    return 0
