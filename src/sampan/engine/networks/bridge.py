"""Bridge networks in the kernel: the effects of plans. All calls block; the service makes them in its worker thread.

    plan    record without bridge or subnet ─> record with a free name and subnet (nothing is changed)
    ensure  the bridge, its address, forwarding, the firewall's table: made where missing, kept where they are there;
            what others took since the plan is left to them, and another plan is needed
    plug    a namespace with a pair of links into the bridge, an address, a route; published ports
    unplug  published ports go; the pair ends with its namespace
    remove  table and bridge go

A bridge of ours has a hardware address made from the network's id: a link that has just the name is not ours.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import msgspec

from sampan.engine.networks import rules
from sampan.engine.networks.addresses import choose_subnet, parse_interface
from sampan.engine.networks.records import EndpointRecord, NetworkRecord
from sampan.errors import Conflict, InvalidArgument
from sampan.kernel.netlink import (
    Link,
    add_address,
    add_bridge,
    add_route,
    add_veth,
    delete_link,
    set_hairpin,
    set_up,
)
from sampan.kernel.network import Connection, NetworkKernel

__all__ = ["Bridges"]

_INNER_NAME, _INNER_INDEX = "eth0", 2
_PATIENCE = 1.0
_USER_CHAIN = ("ip", "filter", "DOCKER-USER")


@dataclass(frozen=True)
class Bridges:
    """The bridge networks of one machine."""

    kernel: NetworkKernel

    def plan(self, network: NetworkRecord, prefix: str) -> NetworkRecord:
        """`network` with a bridge and a subnet that nobody uses; what it has is kept while that is still its own."""
        with self.kernel.connect() as connection:
            if network.foreign:
                return self._plan_foreign(connection, network)
            own = self._own(connection, network)
            if own is not None and network.subnet:
                return network
            bridge = network.bridge if own else _free_name(connection, prefix)
            network = msgspec.structs.replace(network, bridge=bridge)
            if _still_free(connection, network):
                return network
            if network.fixed:
                raise Conflict(f"the subnet {network.subnet} of --bip is in use on this host: give another one")
            return _with_subnet(connection, network)

    def _plan_foreign(self, connection: Connection, network: NetworkRecord) -> NetworkRecord:
        link = connection.link(network.bridge)
        if link is None or link.kind != "bridge":
            raise InvalidArgument(f"bridge device with non default name {network.bridge} must be created manually")
        for address in connection.addresses():
            if address.index == link.index and isinstance(address.interface.ip, IPv4Address):
                subnet, gateway = str(address.interface.network), str(address.interface.ip)
                return msgspec.structs.replace(network, subnet=subnet, gateway=gateway)
        raise InvalidArgument(f"the bridge {network.bridge} has no IPv4 address: give it one first")

    def _own(self, connection: Connection, network: NetworkRecord) -> Link | None:
        link = connection.link(network.bridge) if network.bridge else None
        return link if link and (network.foreign or link.mac == _mac(network)) else None

    def ensure(self, network: NetworkRecord, endpoints: Collection[EndpointRecord]) -> bool:
        """Make what is missing of a planned network; its table is renewed with the ports of `endpoints`.

        False, and nothing is changed, when its name or subnet was taken meanwhile: by another daemon, say.
        """
        with self.kernel.alone(), self.kernel.connect() as connection:
            if self._own(connection, network) is None:
                if network.foreign or connection.link(network.bridge) or not _still_free(connection, network):
                    return False
                self._make(connection, network)
        if self.kernel.sysctl("net/ipv4/ip_forward") == "0":
            self.kernel.set_sysctl("net/ipv4/ip_forward", "1")
        self.kernel.set_sysctl(f"net/ipv4/conf/{network.bridge}/route_localnet", "1")
        self.kernel.firewall(rules.table(network, endpoints))
        self._open_user_chain(network)
        return True

    def _make(self, connection: Connection, network: NetworkRecord) -> None:
        connection.run(add_bridge(network.bridge, mac=_mac(network), mtu=network.mtu))
        link = connection.link(network.bridge)
        if link is not None:
            length = IPv4Network(network.subnet).prefixlen
            connection.run(add_address(link.index, f"{network.gateway}/{length}"))

    def _open_user_chain(self, network: NetworkRecord) -> None:
        """Where a Docker engine also runs, its forwarding is closed but for what this chain of the user's accepts."""
        rules_there = self.kernel.chain(*_USER_CHAIN)
        if rules_there is None or any(_names_link(rule, network.bridge) for rule in rules_there):
            return
        chain = " ".join(_USER_CHAIN)
        self.kernel.firewall(
            f'insert rule {chain} iifname "{network.bridge}" counter accept\n'
            f'insert rule {chain} oifname "{network.bridge}" counter accept\n'
        )

    def _close_user_chain(self, network: NetworkRecord) -> None:
        chain = " ".join(_USER_CHAIN)
        for rule in self.kernel.chain(*_USER_CHAIN) or ():
            if _names_link(rule, network.bridge):
                self.kernel.firewall(f"delete rule {chain} handle {rule['handle']}")

    def plug(self, network: NetworkRecord, endpoint: EndpointRecord) -> int:
        """A new namespace connected to the bridge as `endpoint` says; returns its descriptor. Raises OSError, NftError.

        A failure leaves nothing: the links end with the namespace.
        """
        netns = self.kernel.new_network()
        try:
            self._connect(network, endpoint, netns)
            self._open_user_chain(network)  # a Docker engine may have come since the bridge was made
            if endpoint.ports:
                self.kernel.firewall(rules.add_ports(network, endpoint))
        except BaseException:
            os.close(netns)
            raise
        return netns

    def _connect(self, network: NetworkRecord, endpoint: EndpointRecord, netns: int) -> None:
        with self.kernel.connect() as outside:
            bridge = outside.link(network.bridge)
            if bridge is None:
                raise OSError(errno.ENODEV, f"the bridge {network.bridge} is gone")
            pair = add_veth(
                endpoint.link,
                _INNER_NAME,
                netns,
                master=bridge.index,
                peer_mac=endpoint.mac,
                peer_index=_INNER_INDEX,
                mtu=network.mtu,
            )
            outside.run(pair, set_hairpin(endpoint.link))
            self._set_up_inside(endpoint, netns)
            _wait_running(outside, [endpoint.link, *([] if bridge.running else [network.bridge])])

    def _set_up_inside(self, endpoint: EndpointRecord, netns: int) -> None:
        self._without_ipv6(netns)
        with self.kernel.connect(netns) as inside:
            inside.run(
                set_up("lo"),
                set_up(_INNER_NAME),
                add_address(_INNER_INDEX, f"{endpoint.address}/{endpoint.prefix_length}"),
                add_route(_INNER_INDEX, gateway=endpoint.gateway),
            )

    def _without_ipv6(self, netns: int) -> None:
        """The network has no IPv6: no link-local address either, as with Docker. A kernel without IPv6 has no knob."""
        try:
            self.kernel.set_sysctl(f"net/ipv6/conf/{_INNER_NAME}/disable_ipv6", "1", netns)
        except FileNotFoundError:
            pass

    def unplug(self, network: NetworkRecord, endpoint: EndpointRecord) -> None:
        """Take the endpoint's published ports back."""
        if endpoint.ports:
            self.kernel.firewall(rules.remove_ports(network, endpoint))

    def remove(self, network: NetworkRecord) -> None:
        """Remove everything of the network; what is gone already is fine."""
        if not network.bridge:
            return
        self.kernel.firewall(rules.remove_table(network))
        self._close_user_chain(network)
        with self.kernel.connect() as connection:
            link = self._own(connection, network)
            if link is not None and not network.foreign:
                connection.run(delete_link(link.index))


def _wait_running(connection: Connection, names: list[str]) -> None:
    """The kernel lets a link pass packets some time after it has a carrier, on a busy machine long after."""
    deadline = time.monotonic() + _PATIENCE
    while not all((link := connection.link(name)) and link.running for name in names):
        if time.monotonic() >= deadline:
            return
        time.sleep(0.001)


def _mac(network: NetworkRecord) -> str:
    """A locally administered address out of the network's id: the one mark that a link gets as it is made."""
    return bytes.fromhex("02" + network.id[:10]).hex(":")


def _free_name(connection: Connection, prefix: str) -> str:
    taken = {link.name for link in connection.links()}
    number = 0
    while f"{prefix}{number}" in taken:
        number += 1
    return f"{prefix}{number}"


def _used_networks(connection: Connection) -> list[IPv4Network]:
    found = [route.network for route in connection.routes()]
    found += [address.interface.network for address in connection.addresses()]
    return [network for network in found if isinstance(network, IPv4Network) and network.prefixlen > 0]


def _still_free(connection: Connection, network: NetworkRecord) -> bool:
    if not network.subnet:
        return False
    subnet = IPv4Network(network.subnet)
    return not any(subnet.overlaps(used) for used in _used_networks(connection))


def _with_subnet(connection: Connection, network: NetworkRecord) -> NetworkRecord:
    subnet = choose_subnet(_used_networks(connection))
    gateway = parse_interface(f"{subnet.network_address + 1}/{subnet.prefixlen}")
    return msgspec.structs.replace(network, subnet=str(subnet), gateway=str(gateway.ip))


def _names_link(rule: dict[str, object], link: str) -> bool:
    """Whether a rule is one of those that `_open_user_chain` makes."""
    expressions = rule.get("expr")
    first = expressions[0] if isinstance(expressions, list) and expressions else {}
    match = first.get("match", {}) if isinstance(first, dict) else {}
    left = match.get("left", {})
    return bool(match.get("right") == link and left.get("meta", {}).get("key") in ("iifname", "oifname"))
