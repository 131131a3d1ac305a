"""`sampan network prune`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import confirm, filters, read_filter
from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("filter", "filter", 'Provide filter values (e.g. "until=<timestamp>")', read=read_filter),
        Flag("force", "bool", "Do not prompt for confirmation", "f"),
    ),
    0,
    0,
)
WARNING = (
    "WARNING! This will remove all custom networks not used by at least one container.\n"
    "Are you sure you want to continue?"
)


def run(cli: Cli, arguments: Arguments) -> int:
    if not arguments.truth("force") and not confirm(cli, WARNING):
        return 0
    report = cli.run(cli.engine.networks.prune(filters(arguments.values("filter"))))
    if report.networks_deleted:
        cli.out("Deleted Networks:\n" + "".join(f"{name}\n" for name in report.networks_deleted) + "\n")
    return 0
