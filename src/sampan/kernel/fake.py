"""A recording stand-in for the kernel's network, for unit tests: it keeps what it is told and can be made to fail.

No end-to-end, compatibility or benchmark result comes from it.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from sampan.kernel.netlink import Address, Link, Message, Route, link_made, link_removed

__all__ = ["FakeConnection", "FakeNetwork"]


@dataclass
class FakeNetwork:
    """`calls` lists what was done, in order, as readable tuples. `fail` raises the error of a call's name once."""

    existing: dict[str, Link] = field(default_factory=dict)
    known_routes: list[Route] = field(default_factory=list)
    known_addresses: list[Address] = field(default_factory=list)
    chains: dict[tuple[str, str, str], list[dict[str, Any]]] = field(default_factory=dict)
    sysctls: dict[str, str] = field(default_factory=dict)
    fail: dict[str, Exception] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def record(self, name: str, *details: Any) -> None:
        """Note a call; raise what `fail` has for it."""
        self.calls.append((name, *details))
        if error := self.fail.pop(name, None):
            raise error

    def apply(self, message: Message) -> None:
        """Keep the link that a message makes, up and running at once; forget the one that it removes."""
        made, removed = link_made(message), link_removed(message)
        if made is not None:
            index = 10 + len(self.calls)
            self.existing[made.name] = replace(made, index=index, running=True)
        if removed is not None:
            self.existing = {name: link for name, link in self.existing.items() if link.index != removed}

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """The details of each call of that name."""
        return [call[1:] for call in self.calls if call[0] == name]

    def new_network(self) -> int:
        self.record("new_network")
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def connect(self, netns: int | None = None) -> FakeConnection:
        return FakeConnection(self, inside=netns is not None)

    def alone(self) -> AbstractContextManager[None]:
        return nullcontext()

    def firewall(self, commands: str) -> None:
        self.record("firewall", commands)

    def chain(self, family: str, table: str, chain: str) -> list[dict[str, Any]] | None:
        return self.chains.get((family, table, chain))

    def sysctl(self, name: str) -> str | None:
        return self.sysctls.get(name)

    def set_sysctl(self, name: str, value: str, netns: int | None = None) -> None:
        self.record("sysctl", name, value)
        self.sysctls[name] = value


@dataclass
class FakeConnection:
    """A connection to the fake's links, or to those `inside` a namespace, which has none to show."""

    network: FakeNetwork
    inside: bool

    def __enter__(self) -> FakeConnection:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def run(self, *messages: Message) -> None:
        self.network.record("run inside" if self.inside else "run", *messages)
        if not self.inside:
            for message in messages:
                self.network.apply(message)

    def links(self) -> list[Link]:
        return [] if self.inside else list(self.network.existing.values())

    def link(self, name: str) -> Link | None:
        return None if self.inside else self.network.existing.get(name)

    def addresses(self) -> list[Address]:
        return [] if self.inside else self.network.known_addresses

    def routes(self) -> list[Route]:
        return [] if self.inside else self.network.known_routes
