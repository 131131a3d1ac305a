"""GET /system/df: what images, containers and volumes take.

LayersSize + SizeRw of the containers + Size of the volumes     bytes of files, as docker counts them
Sampan.Blobs                                                    compressed layers and other content as received
Sampan.Overhead                                                 what the file system takes beyond the files' bytes
─────────────────────────────────────────────────────────       together: what `du` says of blobs/, snapshots/
                                                                and volumes/
Sampan.Logs, Sampan.Database                                    what no other field can name
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from sampan.store.paths import DataPaths
from sampan.store.trees import measure
from sampan.wire.containers import ContainerSummary
from sampan.wire.disk import DiskUsage, OwnUsage
from sampan.wire.images import ImageSummary
from sampan.wire.volumes import Volume

_BLOCK = 512


class Layer(Protocol):
    """A committed layer: bytes of its files, and where they are. It never changes."""

    @property
    def id(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def fs(self) -> Path: ...


class ContainerUsage(Protocol):
    """What is asked of the containers."""

    async def list_with_sizes(
        self, all: bool, limit: int, filters: dict[str, list[str]]
    ) -> Sequence[ContainerSummary]: ...


class VolumeUsage(Protocol):
    """What is asked of the volumes."""

    async def usage(self) -> Sequence[Volume]: ...


@dataclass
class Usage:
    """One per daemon. `images` gives the rows of a list with shared sizes, `layers` all layers; both block.

    What a layer allocates is looked at once: it never changes.
    """

    images: Callable[[], Sequence[ImageSummary]]
    layers: Callable[[], Sequence[Layer]]
    containers: ContainerUsage
    volumes: VolumeUsage
    paths: DataPaths
    _allocated: dict[int, int] = field(default_factory=dict)

    async def disk_usage(self, kinds: Collection[str]) -> DiskUsage:
        """The parts that `kinds` (container, image, volume, build-cache) name; ours only with all of them."""
        found = DiskUsage(images=None, containers=None, volumes=None, build_cache=None)
        if "image" in kinds:
            rows = await asyncio.to_thread(self.images)
            found.images = [msgspec.structs.replace(row, repo_digests=row.repo_digests or None) for row in rows]
            found.layers_size = sum(layer.size for layer in self.layers())
        if "container" in kinds:
            found.containers = list(await self.containers.list_with_sizes(True, 0, {}))
        if "volume" in kinds:
            found.volumes = list(await self.volumes.usage())
        if "build-cache" in kinds:
            found.build_cache = []
        if {"image", "container", "volume"} <= set(kinds):
            found.sampan = await asyncio.to_thread(self._own, _named(found))
        return found

    def _own(self, named: int) -> OwnUsage:
        paths = self.paths
        layers = {layer.fs.parent: layer.id for layer in self.layers()}
        unpacked = sum(self._layer(layers.get(folder), folder) for folder in paths.snapshots.iterdir())
        unpacked += _size(paths.snapshots)
        return OwnUsage(
            blobs=measure(paths.blobs).allocated,
            overhead=max(0, unpacked + measure(paths.volumes).allocated - named),
            logs=measure(paths.containers).allocated,
            database=sum(_size(path) for path in paths.root.glob(f"{paths.database.name}*")),
        )

    def _layer(self, identity: int | None, folder: Path) -> int:
        if identity is None:
            return measure(folder).allocated
        if identity not in self._allocated:
            self._allocated[identity] = measure(folder).allocated
        return self._allocated[identity]


def _named(found: DiskUsage) -> int:
    """The bytes that docker's own fields name."""
    volumes = sum(volume.usage_data.size for volume in found.volumes or () if volume.usage_data)
    return found.layers_size + volumes + sum(container.size_rw for container in found.containers or ())


def _size(path: Path) -> int:
    try:
        return path.lstat().st_blocks * _BLOCK
    except OSError:
        return 0
