"""`sampan system df`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import FORMAT
from sampan.cli.commands.container.ls import listing as containers_listing
from sampan.cli.commands.image.ls import listing as images_listing
from sampan.cli.commands.image.ls import named
from sampan.cli.commands.volume.ls import LISTING as VOLUMES
from sampan.cli.flags import Flag
from sampan.cli.render.listing import Listing, yes
from sampan.cli.render.units import age, human_size
from sampan.wire import codec
from sampan.wire.disk import DiskUsage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("[OPTIONS]", (FORMAT, Flag("verbose", "bool", "Show detailed information on space usage", "v")), 0, 0)


class Total:
    """A line of the summary; `reclaimable` in bytes, `whole` what its percentage is of (0: no percentage)."""

    def __init__(self, kind: str, count: int, active: int, size: int, reclaimable: int) -> None:
        self.kind, self.count, self.active, self.size, self.reclaimable = kind, count, active, size, reclaimable


SUMMARY = Listing(
    {
        "Type": ("TYPE", lambda t: t.kind),
        "TotalCount": ("TOTAL", lambda t: str(t.count)),
        "Active": ("ACTIVE", lambda t: str(t.active)),
        "Size": ("SIZE", lambda t: human_size(t.size)),
        "Reclaimable": ("RECLAIMABLE", lambda t: _reclaimable(t)),
    },
    "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
)

CACHE = Listing(
    {
        "ID": ("CACHE ID", lambda c: c.id[:12]),
        "CacheType": ("CACHE TYPE", lambda c: c.type),
        "Size": ("SIZE", lambda c: human_size(c.size, 3)),
        "CreatedSince": ("CREATED", lambda c: _since(c.created_at)),
        "LastUsedSince": ("LAST USED", lambda c: _since(c.last_used_at)),
        "UsageCount": ("USAGE", lambda c: str(c.usage_count)),
        "Shared": ("SHARED", lambda c: yes(c.shared)),
        "InUse": ("IN USE", lambda c: yes(c.in_use)),
        "Description": ("DESCRIPTION", lambda c: c.description),
    },
    "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
)


def run(cli: Cli, arguments: Arguments) -> int:
    usage = cli.run(cli.engine.system.disk_usage())
    form = arguments.text("format")
    if arguments.truth("verbose") and not form:
        cli.out(_verbose(usage))
    else:
        cli.out(SUMMARY.render(_totals(usage), form))
    return 0


def _totals(usage: DiskUsage) -> list[Total]:
    images, containers = usage.images or [], usage.containers or []
    volumes, caches = usage.volumes or [], usage.build_cache or []
    used = sum(image.size - image.shared_size for image in images if image.containers > 0)
    running = [container for container in containers if container.state in ("running", "paused", "restarting")]
    idle = sum(container.size_rw for container in containers if container not in running)
    sizes = [(volume.usage_data.size, volume.usage_data.ref_count) for volume in volumes if volume.usage_data]
    return [
        Total(
            "Images",
            len(images),
            sum(image.containers > 0 for image in images),
            usage.layers_size,
            max(usage.layers_size - used, 0),
        ),
        Total("Containers", len(containers), len(running), sum(c.size_rw for c in containers), idle),
        Total(
            "Local Volumes",
            len(volumes),
            sum(count > 0 for _, count in sizes),
            sum(size for size, _ in sizes if size > 0),
            sum(size for size, count in sizes if size > 0 and not count),
        ),
        Total(
            "Build Cache",
            len(caches),
            sum(cache.in_use for cache in caches),
            sum(cache.size for cache in caches if not cache.shared),
            sum(cache.size for cache in caches if not cache.shared and not cache.in_use),
        ),
    ]


def _reclaimable(total: Total) -> str:
    size = human_size(total.reclaimable)
    if total.kind == "Build Cache" or not total.size:
        return size
    return f"{size} ({total.reclaimable * 100 // total.size}%)"


def _verbose(usage: DiskUsage) -> str:
    images = images_listing(False, False)
    images.table += "\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}"
    containers = containers_listing(False)
    containers.table = (
        "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}"
    )
    for container in usage.containers or ():
        container.size_root_fs = 0  # The column is about what is a container's own.
    caches = usage.build_cache or []
    total = human_size(sum(cache.size for cache in caches if not cache.shared))
    volumes = VOLUMES.render(
        sorted(usage.volumes or (), key=lambda volume: volume.name), "table {{.Name}}\t{{.Links}}\t{{.Size}}"
    )
    return (
        f"Images space usage:\n\n{images.render(named(usage.images or [], False))}\n"
        f"Containers space usage:\n\n{containers.render(usage.containers or ())}\n"
        f"Local Volumes space usage:\n\n{volumes}\n"
        f"Build cache usage: {total}\n\n{CACHE.render(caches)}"
    )


def _since(moment: str | None) -> str:
    return age(codec.parse_time(moment) / codec.SECOND) if moment else ""
