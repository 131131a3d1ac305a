"""Networks on the wire. Engine API 1.51, definitions Network, IPAM, EndpointSettings and so on."""

# ruff: noqa: RUF012

from __future__ import annotations

from sampan.wire.base import Document, Int, always, always_new, pascal


class EndpointIPAMConfig(
    Document,
    kw_only=True,
    rename=pascal(ipv4_address="IPv4Address", ipv6_address="IPv6Address", link_local_ips="LinkLocalIPs"),
):
    """Addresses a container asks for."""

    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: list[str] = []


class EndpointSettings(
    Document,
    kw_only=True,
    rename=pascal(
        ipam_config="IPAMConfig",
        network_id="NetworkID",
        endpoint_id="EndpointID",
        ip_address="IPAddress",
        ip_prefix_len="IPPrefixLen",
        ipv6_gateway="IPv6Gateway",
        global_ipv6_address="GlobalIPv6Address",
        global_ipv6_prefix_len="GlobalIPv6PrefixLen",
        dns_names="DNSNames",
    ),
):
    """A container's place in one network: what was asked for, and what it got."""

    ipam_config: EndpointIPAMConfig | None = always(None)
    links: list[str] | None = always(None)
    aliases: list[str] | None = always(None)
    mac_address: str = always("")
    driver_opts: dict[str, str] | None = always(None)
    gw_priority: Int = always(0)
    network_id: str = always("")
    endpoint_id: str = always("")
    gateway: str = always("")
    ip_address: str = always("")
    ip_prefix_len: Int = always(0)
    ipv6_gateway: str = always("")
    global_ipv6_address: str = always("")
    global_ipv6_prefix_len: Int = always(0)
    dns_names: list[str] | None = always(None)


class IPAMConfig(Document, kw_only=True, rename=pascal(ip_range="IPRange")):
    """A pool of addresses."""

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    auxiliary_addresses: dict[str, str] = {}


class IPAM(Document, kw_only=True, rename=pascal()):
    """How a network gets its addresses."""

    driver: str = always("")
    options: dict[str, str] | None = always(None)
    config: list[IPAMConfig] | None = always(None)


class ConfigReference(Document, kw_only=True, rename=pascal()):
    """The network whose configuration another takes."""

    network: str = always("")


class NetworkContainer(
    Document,
    kw_only=True,
    rename=pascal(endpoint_id="EndpointID", ipv4_address="IPv4Address", ipv6_address="IPv6Address"),
):
    """A container in a network; addresses with prefix length."""

    name: str = always("")
    endpoint_id: str = always("")
    mac_address: str = always("")
    ipv4_address: str = always("")
    ipv6_address: str = always("")


class PeerInfo(Document, kw_only=True, rename=pascal(ip="IP")):
    """A peer of an overlay network."""

    name: str = always("")
    ip: str = always("")


NETWORK_KEYS = {"enable_ipv4": "EnableIPv4", "enable_ipv6": "EnableIPv6", "ipam": "IPAM"}


class Network(Document, kw_only=True, rename=pascal(**NETWORK_KEYS)):
    """Answer of GET /networks/{id}, a row of GET /networks; `created` RFC 3339."""

    name: str = always("")
    id: str = always("")
    created: str = always("")
    scope: str = always("")
    driver: str = always("")
    enable_ipv4: bool = always(False)
    enable_ipv6: bool = always(False)
    ipam: IPAM = always_new(IPAM)
    internal: bool = always(False)
    attachable: bool = always(False)
    ingress: bool = always(False)
    config_from: ConfigReference = always_new(ConfigReference)
    config_only: bool = always(False)
    containers: dict[str, NetworkContainer] | None = always_new(dict)
    options: dict[str, str] | None = always_new(dict)
    labels: dict[str, str] | None = always_new(dict)
    peers: list[PeerInfo] = []


class NetworkCreateRequest(Document, kw_only=True, rename=pascal(**NETWORK_KEYS)):
    """Body of POST /networks/create."""

    name: str = always("")
    check_duplicate: bool = False
    driver: str = always("")
    scope: str = always("")
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    ipam: IPAM | None = always(None)
    internal: bool = always(False)
    attachable: bool = always(False)
    ingress: bool = always(False)
    config_only: bool = always(False)
    config_from: ConfigReference | None = always(None)
    options: dict[str, str] | None = always(None)
    labels: dict[str, str] | None = always(None)


class NetworkCreateResponse(Document, kw_only=True, rename=pascal()):
    """The new network's id."""

    id: str = always("")
    warning: str = always("")


class NetworkConnectRequest(Document, kw_only=True, rename=pascal()):
    """Body of POST /networks/{id}/connect."""

    container: str = always("")
    endpoint_config: EndpointSettings | None = None


class NetworkDisconnectRequest(Document, kw_only=True, rename=pascal()):
    """Body of POST /networks/{id}/disconnect."""

    container: str = always("")
    force: bool = always(False)


class PruneReport(Document, kw_only=True, rename=pascal()):
    """Answer of POST /networks/prune."""

    networks_deleted: list[str] | None = always(None)
