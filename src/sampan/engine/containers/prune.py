"""POST /containers/prune: remove all containers that do not run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from sampan.engine.containers.lifecycle import Lifecycle
from sampan.engine.containers.table import Container, Table
from sampan.errors import Conflict, InvalidArgument
from sampan.wire.codec import parse_time
from sampan.wire.containers import PruneReport
from sampan.wire.filters import has_label, refuse_unknown

_KNOWN = ("label", "label!", "until")


class Sizes(Protocol):
    async def sizes(self, container: Container) -> tuple[int, int]:
        """Bytes of the container's own layer, and of it with its image."""


async def prune(table: Table, lifecycle: Lifecycle, snapshots: Sizes, filters: Mapping[str, list[str]]) -> PruneReport:
    """Remove them, and tell which went and how many bytes that freed. Raises InvalidArgument for an unknown filter."""
    refuse_unknown(filters, _KNOWN)
    until = [parse_time(text) for text in filters.get("until", ())]
    if len(until) > 1:
        raise InvalidArgument("more than one until filter specified")
    deleted, reclaimed = [], 0
    for container in table:
        if not _prunable(container, filters, until[0] if until else time.time_ns()):
            continue
        size, _ = await snapshots.sizes(container)
        try:
            await lifecycle.remove(container, force=False, volumes=False)
        except Conflict:
            continue
        deleted.append(container.id)
        reclaimed += size
    return PruneReport(containers_deleted=deleted or None, space_reclaimed=reclaimed)


def _prunable(container: Container, filters: Mapping[str, list[str]], until: int) -> bool:
    labels = container.record.config.labels or {}
    return (
        not container.running
        and not container.starting
        and container.record.state.status != "restarting"
        and container.record.created <= until
        and all(has_label(labels, label) for label in filters.get("label", ()))
        and not any(has_label(labels, label) for label in filters.get("label!", ()))
    )
