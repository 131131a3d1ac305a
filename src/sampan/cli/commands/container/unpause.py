"""`sampan container unpause`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("CONTAINER [CONTAINER...]", (), 1, None)


def run(cli: Cli, arguments: Arguments) -> int:
    return each(cli, arguments.words, cli.engine.containers.unpause)
