"""`sampan network connect`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands.volume.create import pairs
from sampan.cli.flags import Flag
from sampan.wire.networks import EndpointIPAMConfig, EndpointSettings, NetworkConnectRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] NETWORK CONTAINER",
    (
        Flag("alias", "strings", "Add network-scoped alias for the container"),
        Flag("driver-opt", "strings", "driver options for the network"),
        Flag("gw-priority", "int", "Highest gw-priority provides the default gateway"),
        Flag("ip", "string", 'IPv4 address (e.g., "172.30.100.104")'),
        Flag("ip6", "string", 'IPv6 address (e.g., "2001:db8::33")'),
        Flag("link", "list", "Add link to another container"),
        Flag("link-local-ip", "strings", "Add a link-local address for the container"),
    ),
    2,
    2,
)


def run(cli: Cli, arguments: Arguments) -> int:
    network, container = arguments.words
    ipam = EndpointIPAMConfig(
        ipv4_address=arguments.text("ip"),
        ipv6_address=arguments.text("ip6"),
        link_local_ips=arguments.texts("link-local-ip"),
    )
    settings = EndpointSettings(
        ipam_config=ipam,
        links=arguments.texts("link") or None,
        aliases=arguments.texts("alias") or None,
        driver_opts=pairs(arguments.texts("driver-opt")) or None,
        gw_priority=arguments.number("gw-priority"),
    )
    request = NetworkConnectRequest(container=container, endpoint_config=settings)
    cli.run(cli.engine.networks.connect(network, request))
    return 0
