"""`sampan volume ls`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import FILTER, FORMAT, filters
from sampan.cli.commands.container.ls import labels
from sampan.cli.flags import Flag
from sampan.cli.render.listing import Listing
from sampan.cli.render.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.wire.volumes import Volume

COMMAND = Command("[OPTIONS]", (FILTER, FORMAT, Flag("quiet", "bool", "Only display volume names", "q")), 0, 0)

LISTING = Listing(
    {
        "Availability": ("AVAILABILITY", lambda v: "N/A"),
        "Driver": ("DRIVER", lambda v: v.driver),
        "Group": ("GROUP", lambda v: "N/A"),
        "Label": ("", lambda v: lambda name: (v.labels or {}).get(name, "")),
        "Labels": ("LABELS", lambda v: labels(v.labels)),
        "Links": ("LINKS", lambda v: str(v.usage_data.ref_count) if v.usage_data else "N/A"),
        "Mountpoint": ("MOUNTPOINT", lambda v: v.mountpoint),
        "Name": ("VOLUME NAME", lambda v: v.name),
        "Scope": ("SCOPE", lambda v: v.scope),
        "Size": ("SIZE", lambda v: _size(v)),
        "Status": ("STATUS", lambda v: "N/A"),
    },
    "{{.Driver}}\t{{.Name}}",
    "*formatter.volumeContext",
)


def run(cli: Cli, arguments: Arguments) -> int:
    volumes = cli.run(cli.engine.volumes.ls(filters(arguments.values("filter")))).volumes or []
    volumes.sort(key=lambda volume: volume.name)
    form = arguments.text("format")
    if arguments.truth("quiet") and not form:
        cli.out("".join(f"{volume.name}\n" for volume in volumes))
        return 0
    cli.out(LISTING.render(volumes, form or cli.config.text("volumesFormat")))
    return 0


def _size(volume: Volume) -> str:
    if volume.usage_data is None or volume.usage_data.size == -1:
        return "N/A"
    return human_size(volume.usage_data.size)
