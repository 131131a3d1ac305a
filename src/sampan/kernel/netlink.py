"""Links, addresses and routes over rtnetlink(7), without a library.

    message    nlmsghdr ─ ifinfomsg | ifaddrmsg | rtmsg ─ attribute*          attribute = length, type, payload, padding
    request    one or several messages in one send; each is answered by an acknowledgement or an error

Worked use:

    with Netlink() as host, Netlink(netns) as inside:
        host.run(add_veth("veth1", "eth0", netns, master=bridge.index))
        inside.run(set_up("lo"), add_address(2, "172.20.0.2/16"), add_route(2, gateway="172.20.0.1"))

Functions named by verbs return messages; nothing happens until `run`. Errors are OSError with the kernel's own words.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sampan.kernel.namespaces import socket_in

__all__ = [
    "Address",
    "Link",
    "Message",
    "Netlink",
    "Route",
    "add_address",
    "add_bridge",
    "add_route",
    "add_veth",
    "change_link",
    "delete_link",
    "link_made",
    "link_removed",
    "set_hairpin",
    "set_up",
]

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _GETADDR = 20, 22
_NEWROUTE, _GETROUTE = 24, 26
_ERROR, _DONE = 2, 3

_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_EXCLUSIVE, _CREATE = 0x200, 0x400
_ACK_TLVS = 0x200
_MESSAGE = 1
_SOL_NETLINK, _EXT_ACK = 270, 11

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_NET_NS_FD = (
    1,
    3,
    4,
    10,
    18,
    20,
    28,
)
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_PEER, _PORT_MODE = 1, 4
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_UP, _RUNNING = 0x1, 0x40
_NESTED = 0x8000
_ROUTE_MAIN, _PROTO_BOOT, _SCOPE_UNIVERSE, _SCOPE_LINK, _UNICAST = 254, 3, 0, 253, 1

_HEADER = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBi")
_RTMSG = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")


@dataclass(frozen=True)
class Message:
    """A request that is ready to be sent."""

    kind: int
    flags: int
    payload: bytes


@dataclass(frozen=True)
class Link:
    """A network device. `master` is the index of its bridge (0: none); `kind` is "" for hardware and loopback.

    `up` is what was asked for; a link is `running` once it passes packets.
    """

    index: int
    name: str
    kind: str
    up: bool
    running: bool
    mac: str
    mtu: int
    master: int
    alias: str


@dataclass(frozen=True)
class Address:
    """An address of a link, with the length of its network's prefix."""

    index: int
    interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True)
class Route:
    """A unicast route of the main table. `network` has length 0 for a default route."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    gateway: str
    index: int


# --- messages ---------------------------------------------------------------------------------------------------------


def add_bridge(name: str, *, mac: str | None = None, mtu: int = 0) -> Message:
    """A bridge that is up."""
    attributes = _names(name, mac, mtu) + _attribute(_IFLA_LINKINFO, _attribute(_INFO_KIND, b"bridge"), nest=True)
    return Message(_NEWLINK, _CREATE | _EXCLUSIVE, _ifinfo(up=True) + attributes)


def add_veth(
    name: str,
    peer: str,
    netns: int,
    *,
    master: int = 0,
    mac: str | None = None,
    peer_mac: str | None = None,
    peer_index: int = 0,
    mtu: int = 0,
) -> Message:
    """A pair: `name` here, in the bridge with index `master`; `peer` in the namespace `netns` (descriptor).

    `name` is up, `peer` can't be before the pair is whole.
    """
    inner = _ifinfo(peer_index) + _names(peer, peer_mac, mtu)
    inner += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", netns))
    data = _attribute(_INFO_DATA, _attribute(_VETH_PEER, inner, nest=True), nest=True)
    attributes = _names(name, mac, mtu)
    attributes += _attribute(_IFLA_LINKINFO, _attribute(_INFO_KIND, b"veth") + data, nest=True)
    if master:
        attributes += _attribute(_IFLA_MASTER, struct.pack("=I", master))
    return Message(_NEWLINK, _CREATE | _EXCLUSIVE, _ifinfo(up=True) + attributes)


def change_link(
    link: int | str,
    *,
    up: bool | None = None,
    name: str | None = None,
    master: int | None = None,
    netns: int | None = None,
    mtu: int = 0,
    alias: str = "",
) -> Message:
    """Change a link, named by index or name: up or down, its name (down first), bridge (0: none), and so on.

    The kernel does not take an alias for a link that it is just making.
    """
    attributes = b"" if isinstance(link, int) else _attribute(_IFLA_IFNAME, _text(link))
    if name is not None:
        attributes += _attribute(_IFLA_IFNAME, _text(name))
    if master is not None:
        attributes += _attribute(_IFLA_MASTER, struct.pack("=I", master))
    if netns is not None:
        attributes += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", netns))
    if mtu:
        attributes += _attribute(_IFLA_MTU, struct.pack("=I", mtu))
    if alias:
        attributes += _attribute(_IFLA_IFALIAS, alias.encode())
    return Message(_NEWLINK, 0, _ifinfo(link if isinstance(link, int) else 0, up=up) + attributes)


def set_up(name: str) -> Message:
    """Set the link called `name` up."""
    return change_link(name, up=True)


def set_hairpin(link: int | str) -> Message:
    """Let the bridge send frames of this port back to it: a container may then reach its own published port."""
    data = _attribute(_INFO_SLAVE_DATA, _attribute(_PORT_MODE, b"\1"), nest=True)
    info = _attribute(_IFLA_LINKINFO, _attribute(_INFO_SLAVE_KIND, b"bridge") + data, nest=True)
    if isinstance(link, int):
        return Message(_NEWLINK, 0, _ifinfo(link) + info)
    return Message(_NEWLINK, 0, _ifinfo() + _attribute(_IFLA_IFNAME, _text(link)) + info)


def delete_link(link: int | str) -> Message:
    """Remove a link, named by index or name; a veth takes its peer along."""
    if isinstance(link, int):
        return Message(_DELLINK, 0, _ifinfo(link))
    return Message(_DELLINK, 0, _ifinfo() + _attribute(_IFLA_IFNAME, _text(link)))


def add_address(index: int, interface: str) -> Message:
    """Give the link an address such as 172.20.0.2/16, and with it the route to its network."""
    found = ipaddress.ip_interface(interface)
    family = socket.AF_INET if found.version == 4 else socket.AF_INET6
    payload = _IFADDR.pack(family, found.network.prefixlen, 0, 0, index)
    payload += _attribute(_IFA_LOCAL, found.packed) + _attribute(_IFA_ADDRESS, found.packed)
    if found.version == 4 and found.network.prefixlen < 31:
        payload += _attribute(_IFA_BROADCAST, found.network.broadcast_address.packed)
    return Message(_NEWADDR, _CREATE | _EXCLUSIVE, payload)


def add_route(index: int, *, gateway: str = "", destination: str = "") -> Message:
    """Route `destination` (a network; "" is everything) through the link, by `gateway` where one is given."""
    network = ipaddress.ip_network(destination) if destination else None
    version = network.version if network else (ipaddress.ip_address(gateway).version if gateway else 4)
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    scope = _SCOPE_UNIVERSE if gateway else _SCOPE_LINK
    length = network.prefixlen if network else 0
    payload = _RTMSG.pack(family, length, 0, 0, _ROUTE_MAIN, _PROTO_BOOT, scope, _UNICAST, 0)
    payload += _attribute(_RTA_OIF, struct.pack("=I", index))
    if network:
        payload += _attribute(_RTA_DST, network.network_address.packed)
    if gateway:
        payload += _attribute(_RTA_GATEWAY, ipaddress.ip_address(gateway).packed)
    return Message(_NEWROUTE, _CREATE | _EXCLUSIVE, payload)


def link_made(message: Message) -> Link | None:
    """The link that a message makes (its index is the kernel's to choose), None for other messages."""
    makes = message.kind == _NEWLINK and message.flags & _CREATE
    return _link(message.payload) if makes else None


def link_removed(message: Message) -> int | None:
    """The index of the link that a message removes, None for other messages."""
    removes = message.kind == _DELLINK
    return _link(message.payload).index if removes else None


def _names(name: str, mac: str | None, mtu: int) -> bytes:
    found = _attribute(_IFLA_IFNAME, _text(name))
    if mac:
        found += _attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    if mtu:
        found += _attribute(_IFLA_MTU, struct.pack("=I", mtu))
    return found


def _ifinfo(index: int = 0, up: bool | None = None) -> bytes:
    return _IFINFO.pack(socket.AF_UNSPEC, 0, index, _UP if up else 0, 0 if up is None else _UP)


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _attribute(kind: int, payload: bytes, nest: bool = False) -> bytes:
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind | (_NESTED if nest else 0)) + payload + b"\0" * (-length % 4)


# --- the socket -------------------------------------------------------------------------------------------------------


class Netlink:
    """A connection to one network namespace's configuration: this process's, or that of a descriptor."""

    def __init__(self, netns: int | None = None) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket_in(netns, socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def run(self, *messages: Message) -> None:
        """Carry out messages in order, all in one send. Raises OSError for the first that fails; the rest is done."""
        first = self._sequence + 1
        self._send(messages, _REQUEST | _ACK)
        failures = dict(self._acknowledgements(first, len(messages)))
        for sequence in sorted(failures):
            if error := failures[sequence]:
                raise error

    def _acknowledgements(self, first: int, count: int) -> Iterator[tuple[int, OSError | None]]:
        while count:
            for kind, sequence, payload, flags in self._receive():
                if kind == _ERROR and sequence >= first:
                    yield sequence, _failure(payload, bool(flags & _ACK_TLVS))
                    count -= 1

    def links(self) -> list[Link]:
        """All links."""
        return [_link(payload) for payload in self._dump(_GETLINK, _ifinfo())]

    def link(self, name: str) -> Link | None:
        """The link called `name`, None when there is none."""
        message = Message(_GETLINK, 0, _ifinfo() + _attribute(_IFLA_IFNAME, _text(name)))
        self._send([message], _REQUEST)
        for kind, _, payload, _ in self._receive():
            if kind == _NEWLINK:
                return _link(payload)
            if code := -struct.unpack_from("=i", payload)[0]:
                if code == errno.ENODEV:
                    return None
                raise OSError(code, os.strerror(code), name)
        return None

    def addresses(self) -> list[Address]:
        """All addresses of all links."""
        return [_address(payload) for payload in self._dump(_GETADDR, _IFADDR.pack(0, 0, 0, 0, 0))]

    def routes(self) -> list[Route]:
        """The unicast routes of the main table, of both families."""
        found = []
        for payload in self._dump(_GETROUTE, _RTMSG.pack(*[0] * 9)):
            if route := _route(payload):
                found.append(route)
        return found

    def _dump(self, kind: int, payload: bytes) -> Iterator[bytes]:
        self._send([Message(kind, 0, payload)], _REQUEST | _DUMP)
        while True:
            for found, _, body, _ in self._receive():
                if found == _DONE:
                    return
                if found == _ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    raise OSError(code, os.strerror(code))
                yield body

    def _send(self, messages: tuple[Message, ...] | list[Message], flags: int) -> None:
        parts = []
        for message in messages:
            self._sequence += 1
            length = _HEADER.size + len(message.payload)
            parts.append(_HEADER.pack(length, message.kind, flags | message.flags, self._sequence, 0))
            parts.append(message.payload + b"\0" * (-length % 4))
        self._socket.send(b"".join(parts))

    def _receive(self) -> Iterator[tuple[int, int, bytes, int]]:
        """(kind, sequence, payload, flags) of each message of one datagram."""
        data = self._socket.recv(1 << 18)
        offset = 0
        while offset < len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
            yield kind, sequence, data[offset + _HEADER.size : offset + length], flags
            offset += (length + 3) & ~3


def _failure(payload: bytes, explained: bool) -> OSError | None:
    """The error of an acknowledgement: number, copy of the request (with its own length), attributes with words."""
    code, length = struct.unpack_from("=iI", payload)
    if code == 0:
        return None
    words = _attributes(payload, 4 + ((length + 3) & ~3)).get(_MESSAGE, b"") if explained else b""
    return OSError(-code, _string(words) or os.strerror(-code))


def _attributes(data: bytes, offset: int) -> Mapping[int, bytes]:
    found: dict[int, bytes] = {}
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def _number(data: bytes | None) -> int:
    return struct.unpack("=I", data)[0] if data else 0


def _string(data: bytes | None) -> str:
    return (data or b"").rstrip(b"\0").decode(errors="replace")


def _link(payload: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(payload)
    found = _attributes(payload, _IFINFO.size)
    info = _attributes(found.get(_IFLA_LINKINFO, b""), 0)
    return Link(
        index=index,
        name=_string(found.get(_IFLA_IFNAME)),
        kind=_string(info.get(_INFO_KIND)),
        up=bool(flags & _UP),
        running=bool(flags & _RUNNING),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=_number(found.get(_IFLA_MTU)),
        master=_number(found.get(_IFLA_MASTER)),
        alias=_string(found.get(_IFLA_IFALIAS)),
    )


def _address(payload: bytes) -> Address:
    _, length, _, _, index = _IFADDR.unpack_from(payload)
    found = _attributes(payload, _IFADDR.size)
    raw = found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]
    return Address(index, ipaddress.ip_interface((raw, length)))


def _route(payload: bytes) -> Route | None:
    family, length, _, _, table, _, _, kind, _ = _RTMSG.unpack_from(payload)
    if kind != _UNICAST or table != _ROUTE_MAIN or family not in (socket.AF_INET, socket.AF_INET6):
        return None
    found = _attributes(payload, _RTMSG.size)
    zero = bytes(4 if family == socket.AF_INET else 16)
    network = ipaddress.ip_network((found.get(_RTA_DST, zero), length))
    gateway = str(ipaddress.ip_address(found[_RTA_GATEWAY])) if _RTA_GATEWAY in found else ""
    return Route(network, gateway, _number(found.get(_RTA_OIF)))
