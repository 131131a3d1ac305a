"""What volumes and networks tell when a container takes them into use and lets go of them.

start   volume mount ..., network connect, (container start)
die     network disconnect, volume unmount ..., (container die)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sampan.engine.containers.record import ContainerRecord
from sampan.wire.containers import MountPoint

Emit = Callable[[str, str, str, Mapping[str, str]], None]


class Named(Protocol):
    """A network."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def driver(self) -> str: ...


@dataclass(frozen=True)
class Surroundings:
    """`network_of` gives the network of a container's own; none where it is in another container's."""

    network_of: Callable[[ContainerRecord], Named | None]
    emit: Emit

    def taken(self, record: ContainerRecord) -> None:
        """The container starts."""
        for point in _volumes(record):
            details = {
                "destination": point.destination,
                "propagation": point.propagation,
                "read/write": "true" if point.rw else "false",
            }
            self.emit("volume", "mount", point.name, {"container": record.id, "driver": point.driver, **details})
        self._network(record, "connect")

    def left(self, record: ContainerRecord) -> None:
        """The container has ended."""
        self._network(record, "disconnect")
        for point in _volumes(record):
            self.emit("volume", "unmount", point.name, {"container": record.id, "driver": point.driver})

    def _network(self, record: ContainerRecord, action: str) -> None:
        network = self.network_of(record)
        if network is not None:
            details = {"container": record.id, "name": network.name, "type": network.driver}
            self.emit("network", action, network.id, details)


def _volumes(record: ContainerRecord) -> list[MountPoint]:
    return [point for point in record.mounts if point.type == "volume"]
