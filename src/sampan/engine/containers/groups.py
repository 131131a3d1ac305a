"""A container's control group, as pausing, limiting and counting need it; its place is the launcher's matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.engine.containers.record import ContainerRecord
from sampan.kernel import cgroups, freezer, relimit, usage
from sampan.kernel.cgroups import CgroupLayout


@dataclass(frozen=True)
class Groups:
    """`path_of` names a container's group. Every method may wait for the kernel: call it in a thread."""

    layout: CgroupLayout
    path_of: Callable[[ContainerRecord], str]

    def freeze(self, record: ContainerRecord) -> None:
        """Stop all its processes. Raises TimeoutError, OSError."""
        freezer.freeze(self.layout, self.path_of(record))

    def thaw(self, record: ContainerRecord) -> None:
        """Let its processes go on. Raises OSError."""
        freezer.thaw(self.layout, self.path_of(record))

    def is_frozen(self, record: ContainerRecord) -> bool:
        """Whether all its processes are stopped."""
        return freezer.is_frozen(self.layout, self.path_of(record))

    def limit(self, record: ContainerRecord, resources: Mapping[str, Any]) -> None:
        """Change its limits to the runtime spec's `resources`. Raises kernel.relimit.RelimitFailed."""
        relimit.relimit(self.layout, self.path_of(record), resources)

    def processes(self, record: ContainerRecord) -> list[int]:
        """The ids of its processes, as the host sees them."""
        return cgroups.processes(self.layout, self.path_of(record))

    def usage(self, record: ContainerRecord) -> usage.Usage | None:
        """What it has used; None when the group is gone."""
        return usage.read_usage(self.layout, self.path_of(record))
