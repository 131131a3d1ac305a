"""Volumes."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from sampan.errors import Unavailable
from sampan.http import Response
from sampan.server.call import Call
from sampan.server.filters import Filters
from sampan.server.outside import NOT_A_MANAGER
from sampan.server.replies import empty_reply, settled
from sampan.server.table import Operation
from sampan.wire.volumes import PruneReport, Volume, VolumeCreateRequest, VolumeList


class VolumeBackend(Protocol):
    """What the routes ask of volumes."""

    def list(self, filters: Filters) -> VolumeList | Awaitable[VolumeList]: ...

    def inspect(self, name: str) -> Volume | Awaitable[Volume]: ...

    async def create(self, request: VolumeCreateRequest) -> Volume: ...

    async def remove(self, name: str, force: bool = False) -> None: ...

    async def prune(self, filters: Filters) -> PruneReport: ...


async def list_volumes(volumes: VolumeBackend, call: Call) -> Response:
    """VolumeList."""
    return call.reply(await settled(volumes.list(call.filters())))


async def inspect(volumes: VolumeBackend, call: Call) -> Response:
    """VolumeInspect."""
    return call.reply(await settled(volumes.inspect(call["name"])))


async def create(volumes: VolumeBackend, call: Call) -> Response:
    """VolumeCreate."""
    request = await call.json(VolumeCreateRequest, VolumeCreateRequest())
    if request.cluster_volume_spec is not None:
        raise Unavailable(NOT_A_MANAGER)
    return call.reply(await volumes.create(request), 201)


async def remove(volumes: VolumeBackend, call: Call) -> Response:
    """VolumeDelete."""
    await volumes.remove(call["name"], call.flag("force"))
    return empty_reply()


async def prune(volumes: VolumeBackend, call: Call) -> Response:
    """VolumePrune. Before API 1.42 named volumes were pruned as well."""
    filters = call.filters()
    if call.version < (1, 42):
        filters.setdefault("all", ["true"])
    return call.reply(await volumes.prune(filters))


OPERATIONS: tuple[Operation[VolumeBackend], ...] = (
    Operation("GET", "/volumes", "VolumeList", list_volumes),
    Operation("POST", "/volumes/create", "VolumeCreate", create),
    Operation("POST", "/volumes/prune", "VolumePrune", prune),
    Operation("GET", "/volumes/{name}", "VolumeInspect", inspect),
    Operation("DELETE", "/volumes/{name}", "VolumeDelete", remove),
)
