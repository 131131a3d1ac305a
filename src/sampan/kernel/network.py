"""The kernel's network as one thing to hold: what engine code is given, so that tests can give it a recording fake."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from sampan.kernel import namespaces
from sampan.kernel.netlink import Address, Link, Message, Netlink, Route
from sampan.kernel.nft import Nftables, NftError

__all__ = ["Connection", "LinuxNetwork", "NetworkKernel"]


class Connection(Protocol):
    """A connection to one namespace's links, addresses and routes; see `netlink.Netlink`."""

    def __enter__(self) -> Connection: ...

    def __exit__(self, *exception: object) -> None: ...

    def run(self, *messages: Message) -> None: ...

    def links(self) -> list[Link]: ...

    def link(self, name: str) -> Link | None: ...

    def addresses(self) -> list[Address]: ...

    def routes(self) -> list[Route]: ...


class NetworkKernel(Protocol):
    """Namespaces, links, firewall and sysctls of one machine. All calls block, most for less than a millisecond."""

    def new_network(self) -> int:
        """The descriptor of a new network namespace."""

    def connect(self, netns: int | None = None) -> Connection:
        """A connection to the namespace of a descriptor, or to this process's."""

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else is in such a block meanwhile who serves the same network namespace, whatever process it is."""

    def firewall(self, commands: str) -> None:
        """Carry out nft commands as one transaction. Raises NftError."""

    def chain(self, family: str, table: str, chain: str) -> list[dict[str, Any]] | None:
        """The rules of a chain in libnftables-json(5)'s form, None when there is no such chain."""

    def sysctl(self, name: str) -> str | None:
        """The value of a sysctl, named by its path below /proc/sys; None when there is none."""

    def set_sysctl(self, name: str, value: str, netns: int | None = None) -> None:
        """Set a network sysctl. Raises OSError."""


class LinuxNetwork:
    """The real one, for the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        self._nft: Nftables | None = None
        self._lock = threading.Lock()

    def new_network(self) -> int:
        return namespaces.new_network()

    def connect(self, netns: int | None = None) -> Netlink:
        return Netlink(netns)

    def alone(self) -> AbstractContextManager[None]:
        return namespaces.locked()

    def firewall(self, commands: str) -> None:
        self._nftables().run(commands)

    def chain(self, family: str, table: str, chain: str) -> list[dict[str, Any]] | None:
        try:
            found = self._nftables().query(f"list chain {family} {table} {chain}")
        except NftError:
            return None
        return [entry["rule"] for entry in found if "rule" in entry]

    def sysctl(self, name: str) -> str | None:
        try:
            return (Path("/proc/sys") / name).read_text().strip()
        except OSError:
            return None

    def set_sysctl(self, name: str, value: str, netns: int | None = None) -> None:
        namespaces.write_sysctl(name, value, netns)

    def _nftables(self) -> Nftables:
        with self._lock:
            if self._nft is None:
                self._nft = Nftables()
            return self._nft
