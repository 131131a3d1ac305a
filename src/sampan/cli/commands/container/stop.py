"""`sampan container stop`."""

from __future__ import annotations

from sampan.cli.commands.container.stopping import COMMAND, stop_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

__all__ = ["COMMAND", "run"]


def run(cli: Cli, arguments: Arguments) -> int:
    return stop_each(cli, arguments, cli.engine.containers.stop)
