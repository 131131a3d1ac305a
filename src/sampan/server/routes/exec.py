"""Commands in running containers."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Response, Upgrade
from sampan.server.call import Call
from sampan.server.hijack import Session, raw_stream
from sampan.server.replies import empty_reply, settled
from sampan.server.routes.containers import terminal_size
from sampan.server.table import Operation
from sampan.wire.exec import ExecCreateRequest, ExecCreateResponse, ExecInspect, ExecStartRequest


class ExecBackend(Protocol):
    """What the routes ask of commands."""

    async def exec_create(self, ref: str, request: ExecCreateRequest) -> str: ...

    async def exec_start(self, exec_id: str, request: ExecStartRequest) -> Session | None:
        """None when it was started detached."""

    def exec_inspect(self, exec_id: str) -> ExecInspect | Awaitable[ExecInspect]: ...

    async def exec_resize(self, exec_id: str, height: int, width: int) -> None: ...


async def create(execs: ExecBackend, call: Call) -> Response:
    """ContainerExec."""
    request = await call.json(ExecCreateRequest, ExecCreateRequest())
    if not request.cmd:
        raise InvalidArgument("No exec command specified")
    return call.reply(ExecCreateResponse(id=await execs.exec_create(call["id"], request)), 201)


async def start(execs: ExecBackend, call: Call) -> Response | Upgrade:
    """ExecStart."""
    request = await call.json(ExecStartRequest, ExecStartRequest())
    session = await execs.exec_start(call["id"], request)
    return empty_reply(200) if session is None else raw_stream(call, session)


async def inspect(execs: ExecBackend, call: Call) -> Response:
    """ExecInspect."""
    return call.reply(await settled(execs.exec_inspect(call["id"])))


async def resize(execs: ExecBackend, call: Call) -> Response:
    """ExecResize."""
    await execs.exec_resize(call["id"], *terminal_size(call))
    return empty_reply(200)


OPERATIONS: tuple[Operation[ExecBackend], ...] = (
    Operation("POST", "/containers/{id}/exec", "ContainerExec", create),
    Operation("POST", "/exec/{id}/start", "ExecStart", start),
    Operation("POST", "/exec/{id}/resize", "ExecResize", resize),
    Operation("GET", "/exec/{id}/json", "ExecInspect", inspect),
)
