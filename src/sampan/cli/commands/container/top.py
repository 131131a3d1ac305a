"""`sampan container top`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.render.table import align

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("CONTAINER [ps OPTIONS]", (), 1, interspersed=False)


def run(cli: Cli, arguments: Arguments) -> int:
    ref, *options = arguments.words
    answer = cli.run(cli.engine.containers.top(ref, " ".join(options)))
    cli.out(align(["\t".join(row) for row in (answer.titles, *answer.processes)], least=20))
    return 0
