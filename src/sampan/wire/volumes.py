"""Volumes on the wire. Engine API 1.51, definitions Volume, VolumeCreateOptions, VolumeListResponse."""

# ruff: noqa: RUF012

from __future__ import annotations

from typing import Any

from sampan.wire.base import Document, Int, always, always_new, pascal


class UsageData(Document, kw_only=True, rename=pascal()):
    """Bytes in a volume and containers that mount it; -1 where unknown."""

    ref_count: Int = always(0)
    size: Int = always(0)


class Volume(Document, kw_only=True, rename=pascal()):
    """A volume; `created_at` RFC 3339 in whole seconds."""

    created_at: str = ""
    driver: str = always("")
    labels: dict[str, str] | None = always(None)
    mountpoint: str = always("")
    name: str = always("")
    options: dict[str, str] | None = always(None)
    scope: str = always("")
    status: dict[str, Any] = {}
    usage_data: UsageData | None = None


class VolumeCreateRequest(Document, kw_only=True, rename=pascal()):
    """Body of POST /volumes/create."""

    cluster_volume_spec: dict[str, Any] | None = None
    driver: str = ""
    driver_opts: dict[str, str] = {}
    labels: dict[str, str] | None = None
    name: str = ""


class VolumeList(Document, kw_only=True, rename=pascal()):
    """Answer of GET /volumes."""

    volumes: list[Volume] | None = always_new(list)
    warnings: list[str] | None = always(None)


class PruneReport(Document, kw_only=True, rename=pascal()):
    """Answer of POST /volumes/prune."""

    volumes_deleted: list[str] | None = always_new(list)
    space_reclaimed: int = always(0)
