"""Containers: what changes a running one."""

from __future__ import annotations

from typing import Protocol

from sampan.http import Response
from sampan.server.call import Call
from sampan.server.replies import empty_reply
from sampan.server.table import Operation
from sampan.wire.containers import UpdateRequest, UpdateResponse


class ControlBackend(Protocol):
    """What the routes ask of containers; `ref` is a name, an id or the beginning of one."""

    async def pause(self, ref: str) -> None: ...

    async def unpause(self, ref: str) -> None: ...

    async def update(self, ref: str, request: UpdateRequest) -> UpdateResponse: ...


async def pause(containers: ControlBackend, call: Call) -> Response:
    """ContainerPause."""
    await containers.pause(call["id"])
    return empty_reply()


async def unpause(containers: ControlBackend, call: Call) -> Response:
    """ContainerUnpause."""
    await containers.unpause(call["id"])
    return empty_reply()


async def update(containers: ControlBackend, call: Call) -> Response:
    """ContainerUpdate."""
    request = await call.json(UpdateRequest, UpdateRequest())
    return call.reply(await containers.update(call["id"], request))


OPERATIONS: tuple[Operation[ControlBackend], ...] = (
    Operation("POST", "/containers/{id}/pause", "ContainerPause", pause),
    Operation("POST", "/containers/{id}/unpause", "ContainerUnpause", unpause),
    Operation("POST", "/containers/{id}/update", "ContainerUpdate", update),
)
