"""Disk usage and the build cache, on the wire. Engine API 1.51, GET /system/df, definition BuildCache."""

# ruff: noqa: RUF012

from __future__ import annotations

from sampan.wire.base import Document, Int, always, always_new, pascal
from sampan.wire.containers import ContainerSummary
from sampan.wire.images import ImageSummary
from sampan.wire.volumes import Volume


class BuildCache(Document, kw_only=True, rename=pascal(id="ID")):
    """A record of the build cache; times RFC 3339, size in bytes."""

    id: str = always("")
    parents: list[str] = []
    type: str = always("")
    description: str = always("")
    in_use: bool = always(False)
    shared: bool = always(False)
    size: Int = always(0)
    created_at: str = always("")
    last_used_at: str | None = always(None)
    usage_count: Int = always(0)


class OwnUsage(Document, kw_only=True, rename=pascal()):
    """What no field of docker's names, in allocated bytes: content as received, what the file system takes beyond the
    bytes of unpacked files, logs, and the database."""

    blobs: Int = always(0)
    overhead: Int = always(0)
    logs: Int = always(0)
    database: Int = always(0)


class DiskUsage(Document, kw_only=True, rename=pascal()):
    """Answer of GET /system/df; bytes. A part that was not asked for is None."""

    layers_size: Int = always(0)
    images: list[ImageSummary] | None = always_new(list)
    containers: list[ContainerSummary] | None = always_new(list)
    volumes: list[Volume] | None = always_new(list)
    build_cache: list[BuildCache] | None = always_new(list)
    sampan: OwnUsage | None = None


class BuildPruneReport(Document, kw_only=True, rename=pascal()):
    """Answer of POST /build/prune."""

    caches_deleted: list[str] | None = always(None)
    space_reclaimed: int = always(0)
