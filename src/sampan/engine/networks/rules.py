"""The firewall of a bridge network as nft(8) commands. Pure.

Each network has one table, so that it is made, renewed and removed in one transaction:

    guard        packets from the bridge may not name the host's loopback (the bridge routes it for published ports)
    published    an address and port of the host -> a container's, by one lookup in a map
    postrouting  what leaves the subnet has the host's address; so has what comes from the host's loopback, and what a
                 container sends to itself by its published port
    forward      into the bridge comes only what belongs to a known connection, was published, or is from the bridge
"""

from __future__ import annotations

from collections.abc import Iterable

from sampan.engine.networks.records import EndpointRecord, NetworkRecord, PublishedPort
from sampan.engine.ports import EVERY_ADDRESS

__all__ = ["add_ports", "remove_ports", "remove_table", "table", "table_name"]


def table_name(network: NetworkRecord) -> str:
    """The table's name: one network, one bridge, one table."""
    return f"sampan-{network.bridge}"


def table(network: NetworkRecord, endpoints: Iterable[EndpointRecord]) -> str:
    """Make the network's table anew, with the ports that `endpoints` publish; what was there is replaced."""
    name, bridge, subnet = table_name(network), f'"{network.bridge}"', network.subnet
    return f"""
add table ip {name}
delete table ip {name}
table ip {name} {{
    map ports {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
    map ports_at {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
    chain guard {{
        type filter hook prerouting priority raw; policy accept;
        iifname {bridge} ip daddr 127.0.0.0/8 drop
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local jump published
    }}
    chain output {{
        type nat hook output priority -100; policy accept;
        fib daddr type local jump published
    }}
    chain published {{
        dnat ip to ip daddr . meta l4proto . th dport map @ports_at
        dnat ip to meta l4proto . th dport map @ports
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {subnet} oifname != {bridge} masquerade
        ip saddr 127.0.0.0/8 oifname {bridge} masquerade
        ip saddr {subnet} oifname {bridge} ct status dnat masquerade
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        oifname {bridge} iifname {bridge} accept
        oifname {bridge} ct state established,related accept
        oifname {bridge} ct status dnat accept
        oifname {bridge} drop
    }}
}}
""" + "".join(add_ports(network, endpoint) for endpoint in endpoints)


def remove_table(network: NetworkRecord) -> str:
    """Remove the network's table, whether it is there or not."""
    name = table_name(network)
    return f"add table ip {name}\ndelete table ip {name}\n"


def add_ports(network: NetworkRecord, endpoint: EndpointRecord) -> str:
    """Publish the endpoint's ports; "" when it has none."""
    return "".join(
        f"add element ip {table_name(network)} {_key(port)} : {endpoint.address} . {port.container_port} }}\n"
        for port in endpoint.ports
    )


def remove_ports(network: NetworkRecord, endpoint: EndpointRecord) -> str:
    """Take the endpoint's ports back; "" when it has none."""
    return "".join(f"delete element ip {table_name(network)} {_key(port)} }}\n" for port in endpoint.ports)


def _key(port: PublishedPort) -> str:
    if port.host_ip == EVERY_ADDRESS:
        return f"ports {{ {port.protocol} . {port.host_port}"
    return f"ports_at {{ {port.host_ip} . {port.protocol} . {port.host_port}"
