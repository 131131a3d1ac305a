"""`sampan container rename`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import describe
from sampan.errors import SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("CONTAINER NEW_NAME", (), 2, 2)


def run(cli: Cli, arguments: Arguments) -> int:
    old, new = (word.strip() for word in arguments.words)
    if not old or not new:
        cli.err("Error: Neither old nor new names may be empty")
        return 1
    try:
        cli.run(cli.engine.containers.rename(old, new))
    except SampanError as error:
        cli.err(f"{describe(error)}\nError: failed to rename container named {old}")
        return 1
    return 0
