"""How much room things take."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Response
from sampan.server.call import Call
from sampan.server.table import Operation
from sampan.wire.disk import DiskUsage

KINDS = ("container", "image", "volume", "build-cache")


class UsageBackend(Protocol):
    """What the route asks; `kinds` are among KINDS."""

    async def disk_usage(self, kinds: Collection[str]) -> DiskUsage: ...


async def disk_usage(system: UsageBackend, call: Call) -> Response:
    """SystemDataUsage."""
    kinds = call.texts("type") if call.version >= (1, 42) else []
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidArgument(f"unknown object type: {kind}")
    return call.reply(await system.disk_usage(kinds or KINDS))


OPERATIONS: tuple[Operation[UsageBackend], ...] = (Operation("GET", "/system/df", "SystemDataUsage", disk_usage),)
