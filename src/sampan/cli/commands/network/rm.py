"""`sampan network rm`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import describe
from sampan.cli.flags import Flag
from sampan.errors import NotFound, SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "NETWORK [NETWORK...]", (Flag("force", "bool", "Do not error if the network does not exist", "f"),), 1
)


def run(cli: Cli, arguments: Arguments) -> int:
    code = 0
    for ref in arguments.words:
        try:
            cli.run(cli.engine.networks.remove(ref))
            cli.out(f"{ref}\n")
        except SampanError as error:
            if arguments.truth("force") and isinstance(error, NotFound):
                continue
            cli.err(describe(error))
            code = 1
    if code:
        cli.err("exit status 1")
    return code
