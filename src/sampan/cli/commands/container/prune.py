"""`sampan container prune`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import confirm, filters, read_filter
from sampan.cli.flags import Flag
from sampan.cli.render.units import human_size

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
WARNING = "WARNING! This will remove all stopped containers.\nAre you sure you want to continue?"


def run(cli: Cli, arguments: Arguments) -> int:
    if not arguments.truth("force") and not confirm(cli, WARNING):
        return 0
    report = cli.run(cli.engine.containers.prune(filters(arguments.values("filter"))))
    if report.containers_deleted:
        cli.out("Deleted Containers:\n" + "".join(f"{id}\n" for id in report.containers_deleted) + "\n")
    cli.out(f"Total reclaimed space: {human_size(report.space_reclaimed)}\n")
    return 0
