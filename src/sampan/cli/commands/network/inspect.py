"""`sampan network inspect`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import INSPECT_FORMAT
from sampan.cli.commands.inspecting import inspect
from sampan.cli.flags import Flag
from sampan.wire.networks import Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] NETWORK [NETWORK...]",
    (INSPECT_FORMAT, Flag("verbose", "bool", "Verbose output for diagnostics", "v")),
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    verbose = arguments.truth("verbose")
    return inspect(
        cli,
        arguments.words,
        arguments.text("format"),
        lambda ref: (cli.run(cli.engine.networks.inspect_raw(ref, verbose)), Network),
    )
