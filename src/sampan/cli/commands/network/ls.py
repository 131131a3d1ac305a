"""`sampan network ls`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import FILTER, FORMAT, filters
from sampan.cli.commands.container.ls import labels
from sampan.cli.flags import Flag
from sampan.cli.render.listing import Listing, short_id, yes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS]",
    (
        FILTER,
        FORMAT,
        Flag("no-trunc", "bool", "Do not truncate the output"),
        Flag("quiet", "bool", "Only display network IDs", "q"),
    ),
    0,
    0,
)


def run(cli: Cli, arguments: Arguments) -> int:
    networks = cli.run(cli.engine.networks.ls(filters(arguments.values("filter"))))
    networks.sort(key=lambda network: network.name)
    whole, form = arguments.truth("no-trunc"), arguments.text("format")
    if arguments.truth("quiet") and not form:
        cli.out("".join(f"{network.id if whole else short_id(network.id)}\n" for network in networks))
        return 0
    cli.out(_listing(whole).render(networks, form or cli.config.text("networksFormat")))
    return 0


def _listing(whole: bool) -> Listing:
    return Listing(
        {
            "CreatedAt": ("CREATED AT", lambda n: n.created.replace("T", " ").replace("Z", " +0000 UTC")),
            "Driver": ("DRIVER", lambda n: n.driver),
            "ID": ("NETWORK ID", lambda n: n.id if whole else short_id(n.id)),
            "IPv4": ("IPV4", lambda n: yes(n.enable_ipv4)),
            "IPv6": ("IPV6", lambda n: yes(n.enable_ipv6)),
            "Internal": ("INTERNAL", lambda n: yes(n.internal)),
            "Label": ("", lambda n: lambda name: (n.labels or {}).get(name, "")),
            "Labels": ("LABELS", lambda n: labels(n.labels)),
            "Name": ("NAME", lambda n: n.name),
            "Scope": ("SCOPE", lambda n: n.scope),
        },
        "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
        "*network.networkContext",
    )
