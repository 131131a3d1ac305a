"""`sampan logout`."""

from __future__ import annotations

from sampan.cli import credentials
from sampan.cli.command import Command
from sampan.cli.commands.system.login import server_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("[SERVER]", (), 0, 1)


def run(cli: Cli, arguments: Arguments) -> int:
    server = server_of(arguments.words)
    if credentials.forget(cli, server):
        cli.out(f"Removing login credentials for {server}\n")
    else:
        cli.out(f"Not logged in to {server}\n")
    return 0
