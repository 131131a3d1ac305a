"""The networks of a new container: --network and the flags that go with its first."""

from __future__ import annotations

from sampan.errors import InvalidArgument
from sampan.wire.networks import EndpointIPAMConfig, EndpointSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.flags import Arguments


def mode(arguments: Arguments) -> str:
    """Return the network mode: the first network, or default."""
    networks = arguments.values("network")
    return networks[0][0] if networks else "default"


def endpoints(arguments: Arguments) -> dict[str, EndpointSettings | None]:
    """Return the settings of each network; a single one that was only named is left to the engine.

    Raises InvalidArgument.
    """
    networks = arguments.values("network")
    found: dict[str, EndpointSettings | None] = {}
    for place, (name, settings, _) in enumerate(networks or [("default", EndpointSettings(), False)]):
        if place == 0:
            _apply(settings, arguments)
        elif not (_user_defined(name) and _user_defined(networks[0][0])):
            raise InvalidArgument(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
            )
        if name in found:
            raise InvalidArgument(f'network "{name}" is specified multiple times')
        if len(networks) != 1 or settings != EndpointSettings():
            found[name] = settings
    return found


def _apply(settings: EndpointSettings, arguments: Arguments) -> None:
    ipam = settings.ipam_config or EndpointIPAMConfig()
    ipam.ipv4_address = arguments.text("ip") or ipam.ipv4_address
    ipam.ipv6_address = arguments.text("ip6") or ipam.ipv6_address
    ipam.link_local_ips = arguments.texts("link-local-ip") or ipam.link_local_ips
    settings.ipam_config = ipam if ipam != EndpointIPAMConfig() else None
    settings.aliases = [*(settings.aliases or ()), *arguments.texts("network-alias")] or None
    settings.mac_address = arguments.text("mac-address") or settings.mac_address
    if settings.links is None and arguments.texts("link") and _user_defined(mode(arguments)):
        settings.links = arguments.texts("link")


def _user_defined(network: str) -> bool:
    return network not in ("default", "bridge", "host", "none") and not network.startswith("container:")
