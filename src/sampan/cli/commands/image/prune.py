"""`sampan image prune`."""

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
        Flag("all", "bool", "Remove all unused images, not just dangling ones", "a"),
        Flag("filter", "filter", 'Provide filter values (e.g. "until=<timestamp>")', read=read_filter),
        Flag("force", "bool", "Do not prompt for confirmation", "f"),
    ),
    0,
    0,
)
QUESTION = "Are you sure you want to continue?"
DANGLING = f"WARNING! This will remove all dangling images.\n{QUESTION}"
UNUSED = f"WARNING! This will remove all images without at least one container associated to them.\n{QUESTION}"


def run(cli: Cli, arguments: Arguments) -> int:
    everything = arguments.truth("all")
    if not arguments.truth("force") and not confirm(cli, UNUSED if everything else DANGLING):
        return 0
    wanted = filters(arguments.values("filter")) | {"dangling": ["false" if everything else "true"]}
    report = cli.run(cli.engine.images.prune(wanted))
    if report.images_deleted:
        lines = [f"deleted: {i.deleted}" if i.deleted else f"untagged: {i.untagged}" for i in report.images_deleted]
        cli.out("Deleted Images:\n" + "".join(f"{line}\n" for line in lines) + "\n")
    cli.out(f"Total reclaimed space: {human_size(report.space_reclaimed)}\n")
    return 0
