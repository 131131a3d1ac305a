"""`sampan container ls`."""

from __future__ import annotations

import time

from sampan.cli.command import Command
from sampan.cli.commands import FILTER, FORMAT, filters
from sampan.cli.flags import Flag
from sampan.cli.render.listing import Listing, ellipsis, short_id
from sampan.cli.render.units import age, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.wire.containers import ContainerSummary, MountPoint, Port

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("all", "bool", "Show all containers (default shows just running)", "a"),
        FILTER,
        FORMAT,
        Flag("last", "int", "Show n last created containers (includes all states)", "n", -1, "-1"),
        Flag("latest", "bool", "Show the latest created container (includes all states)", "l"),
        Flag("no-trunc", "bool", "Don't truncate output"),
        Flag("quiet", "bool", "Only display container IDs", "q"),
        Flag("size", "bool", "Display total file sizes", "s"),
    ),
    0,
    0,
)


def run(cli: Cli, arguments: Arguments) -> int:
    last = 1 if arguments.truth("latest") and not arguments.given("last") else arguments.number("last")
    form = arguments.text("format")
    quiet, size = arguments.truth("quiet"), arguments.truth("size")
    form = form or ("" if quiet else cli.config.text("psFormat"))
    containers = cli.run(
        cli.engine.containers.ls(
            arguments.truth("all") or last > 0,
            last if last > 0 else None,
            size or (".Size" in form and not arguments.given("size")),
            filters(arguments.values("filter")),
        )
    )
    whole = arguments.truth("no-trunc")
    if quiet and not form:
        cli.out("".join(f"{item.id if whole else short_id(item.id)}\n" for item in containers))
        return 0
    cli.out(listing(whole, size).render(containers, form))
    return 0


def listing(whole: bool, size: bool = False) -> Listing:
    """Return the fields of a container; `whole` does not shorten, `size` adds the column."""
    cut = (lambda text, length: text) if whole else ellipsis
    columns = ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", *(["Size"] if size else [])]
    return Listing(
        {
            "Command": ("COMMAND", lambda c: '"' + cut(c.command, 20) + '"'),
            "CreatedAt": ("CREATED AT", lambda c: created_at(c.created)),
            "ID": ("CONTAINER ID", lambda c: c.id if whole else short_id(c.id)),
            "Image": ("IMAGE", lambda c: _image(c, whole)),
            "Label": ("", lambda c: lambda name: (c.labels or {}).get(name, "")),
            "Labels": ("LABELS", lambda c: labels(c.labels)),
            "LocalVolumes": ("LOCAL VOLUMES", lambda c: str(sum(m.driver == "local" for m in c.mounts))),
            "Mounts": ("MOUNTS", lambda c: ",".join(cut(_mount(m), 15) for m in c.mounts)),
            "Names": ("NAMES", lambda c: _names(c, whole)),
            "Networks": (
                "NETWORKS",
                lambda c: ",".join(sorted((c.network_settings and c.network_settings.networks) or {})),
            ),
            "Platform": ("PLATFORM", lambda c: None),
            "Ports": ("PORTS", lambda c: ports(c.ports)),
            "RunningFor": ("CREATED", lambda c: age(c.created)),
            "Size": ("SIZE", lambda c: _size(c)),
            "State": ("STATE", lambda c: c.state),
            "Status": ("STATUS", lambda c: c.status),
        },
        "\t".join(f"{{{{.{name}}}}}" for name in columns),
        "*formatter.ContainerContext",
    )


def created_at(seconds: int) -> str:
    """Return a time as Go's Time.String shows it."""
    moment = time.localtime(seconds)
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", moment)


def labels(found: dict[str, str] | None) -> str:
    """Return labels in one line."""
    return ",".join(f"{key}={value}" for key, value in sorted((found or {}).items()))


def _names(container: ContainerSummary, whole: bool) -> str:
    names = [name.lstrip("/") for name in container.names or ()]
    if not whole:
        names = [name for name in names if "/" not in name]
    return ",".join(names)


def _image(container: ContainerSummary, whole: bool) -> str:
    if not container.image:
        return "<no image>"
    if whole or not container.image.startswith("sha256:"):
        return container.image if whole else container.image.partition("@")[0]
    return short_id(container.image)


def _mount(mount: MountPoint) -> str:
    return mount.name or mount.source


def _size(container: ContainerSummary) -> str:
    size = human_size(container.size_rw, 3)
    return f"{size} (virtual {human_size(container.size_root_fs, 3)})" if container.size_root_fs > 0 else size


def ports(found: list[Port]) -> str:
    """Return ports in one line, neighbours joined to ranges."""
    groups: dict[tuple[str, str], list[int]] = {}
    shown: list[str] = []
    mappings: list[str] = []
    for port in sorted(found, key=lambda p: (p.private_port, p.ip, p.public_port, p.type)):
        if port.ip and port.public_port != port.private_port:
            mappings.append(f"{_host(port.ip)}:{port.public_port}->{port.private_port}/{port.type}")
            continue
        key = (port.ip, port.type)
        group = groups.get(key)
        if group and port.private_port == group[1] + 1:
            group[1] = port.private_port
            continue
        if group:
            shown.append(_group(key, group))
        groups[key] = [port.private_port, port.private_port]
    return ", ".join([*shown, *(_group(key, group) for key, group in groups.items()), *mappings])


def _group(key: tuple[str, str], group: list[int]) -> str:
    text = str(group[0]) if group[0] == group[1] else f"{group[0]}-{group[1]}"
    return f"{_host(key[0])}:{text}->{text}/{key[1]}" if key[0] else f"{text}/{key[1]}"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
