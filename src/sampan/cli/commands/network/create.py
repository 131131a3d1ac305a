"""`sampan network create`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands.volume.create import pairs
from sampan.cli.flags import Flag
from sampan.errors import InvalidArgument
from sampan.wire.networks import IPAM, ConfigReference, IPAMConfig, NetworkCreateRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] NETWORK",
    (
        Flag("attachable", "bool", "Enable manual container attachment"),
        Flag("aux-address", "map", "Auxiliary IPv4 or IPv6 addresses used by Network driver"),
        Flag("config-from", "string", "The network from which to copy the configuration"),
        Flag("config-only", "bool", "Create a configuration only network"),
        Flag("driver", "string", "Driver to manage the Network", "d", "bridge", '"bridge"'),
        Flag("gateway", "strings", "IPv4 or IPv6 Gateway for the master subnet"),
        Flag("ingress", "bool", "Create swarm routing-mesh network"),
        Flag("internal", "bool", "Restrict external access to the network"),
        Flag("ip-range", "strings", "Allocate container ip from a sub-range"),
        Flag("ipam-driver", "string", "IP Address Management Driver", default="default", shown='"default"'),
        Flag("ipam-opt", "map", "Set IPAM driver specific options"),
        Flag("ipv4", "bool", "Enable or disable IPv4 address assignment", default=True, shown="true"),
        Flag("ipv6", "bool", "Enable or disable IPv6 address assignment"),
        Flag("label", "list", "Set metadata on a network"),
        Flag("opt", "map", "Set driver specific options", "o"),
        Flag("scope", "string", "Control the network's scope"),
        Flag("subnet", "strings", "Subnet in CIDR format that represents a network segment"),
    ),
    1,
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    cli.out(f"{cli.run(cli.engine.networks.create(request(arguments))).id}\n")
    return 0


def request(arguments: Arguments) -> NetworkCreateRequest:
    """Return the body that the flags ask for. Raises InvalidArgument."""
    source = arguments.text("config-from")
    return NetworkCreateRequest(
        name=arguments.words[0],
        driver=arguments.text("driver"),
        scope=arguments.text("scope"),
        enable_ipv4=arguments.truth("ipv4") if arguments.given("ipv4") else None,
        enable_ipv6=arguments.truth("ipv6") if arguments.given("ipv6") else None,
        ipam=IPAM(
            driver=arguments.text("ipam-driver"), options=pairs(arguments.texts("ipam-opt")), config=_pools(arguments)
        ),
        internal=arguments.truth("internal"),
        attachable=arguments.truth("attachable"),
        ingress=arguments.truth("ingress"),
        config_only=arguments.truth("config-only"),
        config_from=ConfigReference(network=source) if source else None,
        options=pairs(arguments.texts("opt")),
        labels=pairs(arguments.texts("label")),
    )


def _pools(arguments: Arguments) -> list[IPAMConfig]:
    """Return a pool for each subnet, with the ranges, gateways and addresses that lie in it."""
    import ipaddress

    subnets = arguments.texts("subnet")
    others = [(name, text) for name in ("ip-range", "gateway") for text in arguments.texts(name)]
    if (others or arguments.texts("aux-address")) and not subnets:
        raise InvalidArgument("every ip-range or gateway must have a corresponding subnet")
    try:
        networks = [ipaddress.ip_network(subnet, strict=False) for subnet in subnets]
    except ValueError as error:
        raise InvalidArgument(f"invalid subnet: {error}") from None
    pools = [IPAMConfig(subnet=subnet) for subnet in subnets]

    def pool(text: str) -> IPAMConfig:
        try:
            address = ipaddress.ip_address(text.partition("/")[0])
        except ValueError as error:
            raise InvalidArgument(str(error)) from None
        for network, found in zip(networks, pools, strict=True):
            if address in network:
                return found
        raise InvalidArgument(f"no matching subnet for {text}")

    for name, text in others:
        _set(pool(text), "gateway" if name == "gateway" else "ip_range", text)
    for name, text in pairs(arguments.texts("aux-address")).items():
        found = pool(text)
        found.auxiliary_addresses = found.auxiliary_addresses | {name: text}
    return pools


def _set(pool: IPAMConfig, attribute: str, text: str) -> None:
    if getattr(pool, attribute):
        raise InvalidArgument(
            f"cannot configure multiple {attribute.replace('_', ' ')}s on the same subnet {pool.subnet}"
        )
    setattr(pool, attribute, text)
