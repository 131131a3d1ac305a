"""What networks ask of the daemon and of containers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sampan.wire.containers import ContainerConfig, HostConfig, NetworkingConfig

__all__ = ["ContainerRecord", "Member", "Members", "Settings"]


class Settings(Protocol):
    """What the daemon was told about networks."""

    @property
    def bridge(self) -> str: ...

    @property
    def bip(self) -> str: ...

    @property
    def mtu(self) -> int: ...

    @property
    def dns(self) -> Sequence[str]: ...

    @property
    def dns_opts(self) -> Sequence[str]: ...

    @property
    def dns_search(self) -> Sequence[str]: ...


class ContainerState(Protocol):
    @property
    def pid(self) -> int: ...

    @property
    def status(self) -> str: ...

    @property
    def started_at(self) -> int: ...


class ContainerRecord(Protocol):
    """A container as networks need it."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def config(self) -> ContainerConfig: ...

    @property
    def host_config(self) -> HostConfig: ...

    @property
    def networking(self) -> NetworkingConfig: ...

    @property
    def state(self) -> ContainerState: ...


class Member(Protocol):
    """A container of the table."""

    @property
    def record(self) -> ContainerRecord: ...

    @property
    def running(self) -> bool: ...


class Members(Protocol):
    """The table of containers."""

    def get(self, container_id: str) -> Member | None: ...

    def find(self, ref: str) -> Member:
        """By name, id or its beginning. Raises NotFound."""
