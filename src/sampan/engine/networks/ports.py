"""Host ports that are kept for containers.

A kept port is a bound socket that nobody listens on: no other program can take the port meanwhile, and the firewall
forwards what arrives. Port numbers left to us come from the kernel's range for that.
"""

from __future__ import annotations

import errno
import os
import socket

from sampan.engine.networks.records import PublishedPort
from sampan.engine.ports import PortWish
from sampan.errors import Exhausted, InvalidArgument

__all__ = ["PortKeeper"]

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sctp": socket.SOCK_STREAM}
_SCTP = 132


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
