"""`sampan container wait`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import describe
from sampan.errors import SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("CONTAINER [CONTAINER...]", (), 1)


def run(cli: Cli, arguments: Arguments) -> int:
    code = 0
    for ref in arguments.words:
        try:
            pending = cli.run(cli.engine.containers.wait(ref))
            cli.out(f"{cli.run(pending.result()).status_code}\n")
        except SampanError as error:
            cli.err(describe(error))
            code = 1
    return code
