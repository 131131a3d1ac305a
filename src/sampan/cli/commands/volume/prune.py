"""`sampan volume prune`."""

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
        Flag("all", "bool", "Remove all unused volumes, not just anonymous ones", "a"),
        Flag("filter", "filter", 'Provide filter values (e.g. "label=<label>")', read=read_filter),
        Flag("force", "bool", "Do not prompt for confirmation", "f"),
    ),
    0,
    0,
)
QUESTION = "Are you sure you want to continue?"
ANONYMOUS = f"WARNING! This will remove anonymous local volumes not used by at least one container.\n{QUESTION}"
UNUSED = f"WARNING! This will remove all local volumes not used by at least one container.\n{QUESTION}"


def run(cli: Cli, arguments: Arguments) -> int:
    everything = arguments.truth("all")
    if not arguments.truth("force") and not confirm(cli, UNUSED if everything else ANONYMOUS):
        return 0
    wanted = filters(arguments.values("filter")) | ({"all": ["true"]} if everything else {})
    report = cli.run(cli.engine.volumes.prune(wanted))
    if report.volumes_deleted:
        cli.out("Deleted Volumes:\n" + "".join(f"{name}\n" for name in report.volumes_deleted) + "\n")
    cli.out(f"Total reclaimed space: {human_size(report.space_reclaimed)}\n")
    return 0
