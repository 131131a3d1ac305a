"""Networks and endpoints as the Engine API shows them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

from sampan.engine.networks.records import EndpointRecord, NetworkRecord
from sampan.wire.codec import format_time
from sampan.wire.containers import NetworkSettings, PortBinding
from sampan.wire.networks import IPAM, EndpointSettings, IPAMConfig, Network, NetworkContainer

__all__ = ["Named", "bare_endpoint", "endpoint_settings", "network_document", "network_settings", "port_bindings"]

_BRIDGE = "com.docker.network.bridge."


class Named(Protocol):
    """An endpoint's container by name."""

    def __call__(self, container_id: str) -> str: ...


def network_document(network: NetworkRecord, endpoints: Iterable[EndpointRecord], name_of: Named) -> Network:
    """A network with its containers."""
    config = [IPAMConfig(subnet=network.subnet, gateway=network.gateway)] if network.subnet else None
    return Network(
        name=network.name,
        id=network.id,
        created=format_time(network.created),
        scope="local",
        driver=network.driver,
        enable_ipv4=True,
        ipam=IPAM(driver="default", config=config),
        containers={endpoint.container: _member(endpoint, name_of) for endpoint in endpoints},
        options=_options(network),
    )


def _options(network: NetworkRecord) -> dict[str, str]:
    if network.driver != "bridge":
        return {}
    return {
        f"{_BRIDGE}default_bridge": "true",
        f"{_BRIDGE}enable_icc": "true",
        f"{_BRIDGE}enable_ip_masquerade": "true",
        f"{_BRIDGE}host_binding_ipv4": "0.0.0.0",
        f"{_BRIDGE}name": network.bridge,
        "com.docker.network.driver.mtu": str(network.mtu),
    }


def _member(endpoint: EndpointRecord, name_of: Named) -> NetworkContainer:
    return NetworkContainer(
        name=name_of(endpoint.container),
        endpoint_id=endpoint.id,
        mac_address=endpoint.mac,
        ipv4_address=f"{endpoint.address}/{endpoint.prefix_length}" if endpoint.address else "",
    )


def endpoint_settings(
    network: NetworkRecord | None, endpoint: EndpointRecord | None, asked: EndpointSettings | None
) -> EndpointSettings:
    """A container's place in a network: what it asked for, and while it runs what it has."""
    found = EndpointSettings()
    if asked is not None:
        found.ipam_config, found.links, found.aliases = asked.ipam_config, asked.links, asked.aliases
        found.driver_opts, found.gw_priority, found.mac_address = (
            asked.driver_opts,
            asked.gw_priority,
            asked.mac_address,
        )
    if network is None or endpoint is None:
        return found
    found.network_id, found.endpoint_id = network.id, endpoint.id
    found.gateway, found.ip_address, found.ip_prefix_len = endpoint.gateway, endpoint.address, endpoint.prefix_length
    found.mac_address = endpoint.mac
    return found


def bare_endpoint(network: NetworkRecord, container: str) -> EndpointRecord:
    """The endpoint of a container in a network without addresses: an id made from both."""
    identity = hashlib.sha256(f"{network.id} {container}".encode()).hexdigest()
    return EndpointRecord(
        id=identity, network=network.id, container=container, address="", prefix_length=0, gateway="", mac="", link=""
    )


def port_bindings(
    endpoints: Iterable[EndpointRecord], exposed: Iterable[tuple[str, int]]
) -> dict[str, list[PortBinding] | None]:
    """`Ports` of a running container: exposed ones with null, published ones with their host ports."""
    found: dict[str, list[PortBinding] | None] = {f"{number}/{protocol}": None for protocol, number in exposed}
    for endpoint in endpoints:
        for port in endpoint.ports:
            key = f"{port.container_port}/{port.protocol}"
            binding = PortBinding(host_ip=port.host_ip, host_port=str(port.host_port))
            found[key] = [*(found.get(key) or ()), binding]
    return found


def network_settings(
    endpoints: Mapping[str, EndpointSettings],
    ports: dict[str, list[PortBinding] | None],
    sandbox_id: str,
    sandbox_key: str,
) -> NetworkSettings:
    """`NetworkSettings` of inspect; the default bridge's addresses stand at the top too."""
    default = endpoints.get("bridge") or EndpointSettings()
    return NetworkSettings(
        sandbox_id=sandbox_id,
        sandbox_key=sandbox_key,
        ports=ports,
        endpoint_id=default.endpoint_id,
        gateway=default.gateway,
        ip_address=default.ip_address,
        ip_prefix_len=default.ip_prefix_len,
        mac_address=default.mac_address if default.endpoint_id else "",
        networks=dict(endpoints),
    )
