"""Published ports: what a container asks for, and host ports that are kept for it.

A kept port is a bound socket that nobody listens on: no other program can take the port meanwhile, and the firewall
forwards what arrives. Port numbers left to us come from the kernel's range for that.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from sampan.engine.networks.records import PublishedPort
from sampan.errors import Exhausted, InvalidArgument, NotImplementedYet
from sampan.wire.containers import ContainerConfig, HostConfig, PortBinding

__all__ = ["PortKeeper", "PortWish", "wanted_ports"]

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sctp": socket.SOCK_STREAM}
_SCTP = 132
_EVERY_ADDRESS = "0.0.0.0"


@dataclass(frozen=True)
class PortWish:
    """A container port to publish at one of the host ports `first` to `last` (0: any free one)."""

    protocol: str
    container_port: int
    host_ip: str = _EVERY_ADDRESS
    first: int = 0
    last: int = 0


def wanted_ports(config: ContainerConfig, host: HostConfig) -> list[PortWish]:
    """All ports to publish, sorted. Raises InvalidArgument for what is no port, NotImplementedYet for IPv6."""
    bindings = dict(_normal(host.port_bindings or {}))
    if host.publish_all_ports:
        for name in config.exposed_ports:
            bindings.setdefault(_parse(name), [PortBinding()])
    return [
        _wish(port, protocol, binding) for (protocol, port), wanted in sorted(bindings.items()) for binding in wanted
    ]


def _normal(
    bindings: Mapping[str, list[PortBinding] | None],
) -> Iterator[tuple[tuple[str, int], list[PortBinding]]]:
    for name, wanted in bindings.items():
        yield _parse(name), wanted or [PortBinding()]


def _parse(name: str) -> tuple[str, int]:
    number, _, protocol = name.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in _KINDS:
        raise InvalidArgument(f"invalid proto: {protocol}")
    return protocol, _number(number)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise InvalidArgument(f'invalid port specification: "{text}"')
    return int(text)


def _wish(port: int, protocol: str, binding: PortBinding) -> PortWish:
    first, dash, last = binding.host_port.partition("-")
    low = _number(first) if first else 0
    high = _number(last) if dash else low
    if high < low:
        raise InvalidArgument(f'invalid port specification: "{binding.host_port}"')
    return PortWish(protocol, port, _host_ip(binding.host_ip), low, high)


def _host_ip(text: str) -> str:
    if text == "":
        return _EVERY_ADDRESS
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        if ":" in text:
            raise NotImplementedYet(f"publishing at the IPv6 address {text} is not implemented yet") from None
        raise InvalidArgument(f"invalid IP address in port binding: {text}") from None


class PortKeeper:
    """The host ports kept for containers, by container id."""

    def __init__(self) -> None:
        self._kept: dict[str, list[socket.socket]] = {}

    def keep(self, container: str, wishes: list[PortWish]) -> tuple[PublishedPort, ...]:
        """Keep a host port for each wish. Raises Exhausted when one is taken; then none is kept."""
        sockets: list[socket.socket] = []
        try:
            ports = tuple(self._bind(wish, sockets) for wish in wishes)
        except BaseException:
            for kept in sockets:
                kept.close()
            raise
        if sockets:
            self._kept.setdefault(container, []).extend(sockets)
        return ports

    def keep_again(self, container: str, ports: tuple[PublishedPort, ...]) -> None:
        """After a restart of the daemon: keep what the container still has; a port that was taken meanwhile stays."""
        for port in ports:
            wish = PortWish(port.protocol, port.container_port, port.host_ip, port.host_port, port.host_port)
            try:
                self.keep(container, [wish])
            except Exhausted:
                continue

    def release(self, container: str) -> None:
        """Let go of the container's ports."""
        for kept in self._kept.pop(container, ()):
            kept.close()

    def close(self) -> None:
        for container in list(self._kept):
            self.release(container)

    def _bind(self, wish: PortWish, sockets: list[socket.socket]) -> PublishedPort:
        last = None
        for number in range(wish.first, wish.last + 1):
            try:
                bound = _bound(wish, number)
            except OSError as error:
                last = error
                continue
            sockets.append(bound)
            return PublishedPort(
                protocol=wish.protocol,
                container_port=wish.container_port,
                host_ip=wish.host_ip,
                host_port=bound.getsockname()[1],
            )
        raise _refusal(wish, last)


def _bound(wish: PortWish, number: int) -> socket.socket:
    protocol = _SCTP if wish.protocol == "sctp" else 0
    found = socket.socket(socket.AF_INET, _KINDS[wish.protocol] | socket.SOCK_CLOEXEC, protocol)
    try:
        found.bind((wish.host_ip, number))
    except BaseException:
        found.close()
        raise
    return found


def _refusal(wish: PortWish, error: OSError | None) -> Exception:
    where = f"{wish.host_ip}:{wish.first}"
    if error is None or error.errno == errno.EADDRINUSE:
        if wish.first == 0:
            return Exhausted("all ports are allocated")
        return Exhausted(f"Bind for {where} failed: port is already allocated")
    words = os.strerror(error.errno or errno.EINVAL).lower()
    return InvalidArgument(f"failed to bind host port {where}/{wish.protocol}: {words}")
