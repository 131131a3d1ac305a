"""`sampan system prune`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import confirm, filters, read_filter
from sampan.cli.flags import Exit, Flag
from sampan.cli.render.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("all", "bool", "Remove all unused images not just dangling ones", "a"),
        Flag("filter", "filter", 'Provide filter values (e.g. "label=<key>=<value>")', read=read_filter),
        Flag("force", "bool", "Do not prompt for confirmation", "f"),
        Flag("volumes", "bool", "Prune anonymous volumes"),
    ),
    0,
    0,
)


def run(cli: Cli, arguments: Arguments) -> int:
    everything, volumes = arguments.truth("all"), arguments.truth("volumes")
    wanted = filters(arguments.values("filter"))
    if volumes and "until" in wanted:
        raise Exit(1, 'ERROR: The "until" filter is not supported with "--volumes"')
    if not arguments.truth("force") and not confirm(cli, _warning(everything, volumes)):
        return 0
    freed = 0
    containers = cli.run(cli.engine.containers.prune(wanted))
    freed += containers.space_reclaimed
    _show(cli, "Containers", containers.containers_deleted)
    networks = cli.run(cli.engine.networks.prune(wanted))
    _show(cli, "Networks", networks.networks_deleted)
    if volumes:
        pruned = cli.run(cli.engine.volumes.prune(wanted))
        freed += pruned.space_reclaimed
        _show(cli, "Volumes", pruned.volumes_deleted)
    images = cli.run(cli.engine.images.prune(wanted | {"dangling": ["false" if everything else "true"]}))
    freed += images.space_reclaimed
    lines = [f"deleted: {i.deleted}" if i.deleted else f"untagged: {i.untagged}" for i in images.images_deleted or ()]
    _show(cli, "Images", lines)
    cache = cli.run(cli.engine.images.prune_build_cache(everything, wanted))
    freed += cache.space_reclaimed
    _show(cli, "build cache objects", cache.caches_deleted)
    cli.out(f"Total reclaimed space: {human_size(freed)}\n")
    return 0


def _show(cli: Cli, what: str, names: list[str] | None) -> None:
    if names:
        cli.out(f"Deleted {what}:\n" + "".join(f"{name}\n" for name in names) + "\n")


def _warning(everything: bool, volumes: bool) -> str:
    lines = [
        "  - all stopped containers",
        "  - all networks not used by at least one container",
        *(["  - all anonymous volumes not used by at least one container"] if volumes else []),
        "  - all images without at least one container associated to them" if everything else "  - all dangling images",
        "  - all build cache" if everything else "  - unused build cache",
    ]
    return "WARNING! This will remove:\n" + "\n".join(lines) + "\n\nAre you sure you want to continue?"
