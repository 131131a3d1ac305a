"""`sampan volume rm`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import each
from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] VOLUME [VOLUME...]",
    (Flag("force", "bool", "Force the removal of one or more volumes", "f"),),
    1,
    long="Remove one or more volumes. You cannot remove a volume that is in use by a container.",
)


def run(cli: Cli, arguments: Arguments) -> int:
    force = arguments.truth("force")
    return each(cli, arguments.words, lambda name: cli.engine.volumes.remove(name, force))
