"""A container's own layer, as inspect and sizes show it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sampan.engine.containers.table import Container
from sampan.store.paths import RunPaths
from sampan.store.snapshots import Snapshots


@dataclass(frozen=True)
class ContainerLayers:
    """`image_size` gives the unpacked bytes of an image."""

    snapshots: Snapshots
    run: RunPaths
    image_size: Callable[[str], int]

    def graph(self, container: Container) -> dict[str, str]:
        """The overlay's directories, under docker's names."""
        mount = self.snapshots.mounts(container.id)
        folder = mount.folder
        return {
            "ID": container.id,
            "LowerDir": ":".join(str(folder / part) for part in mount.lower),
            "MergedDir": str(self.run.rootfs(container.id)),
            "UpperDir": str(folder / (mount.upper or "")),
            "WorkDir": str(folder / (mount.work or "")),
        }

    async def sizes(self, container: Container) -> tuple[int, int]:
        """Bytes of the container's own layer, and of it with its image."""
        usage = await asyncio.to_thread(self.snapshots.usage, container.id)
        return usage.size, usage.size + self.image_size(container.record.image_id)
