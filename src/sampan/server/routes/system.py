"""The daemon itself: ping, version, info."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from sampan.http import Response
from sampan.server.call import Call
from sampan.server.replies import settled
from sampan.server.table import Operation
from sampan.wire.system import Info, Version


class SystemBackend(Protocol):
    """What the routes ask of the daemon."""

    def version(self) -> Version | Awaitable[Version]: ...

    def info(self) -> Info | Awaitable[Info]: ...


async def ping(builder_version: str, call: Call) -> Response:
    """SystemPing and SystemPingHead. `builder_version` tells clients to build with 1, this API, or 2, BuildKit."""
    fields = {
        "Builder-Version": builder_version,
        "Swarm": "inactive",
        "Cache-Control": "no-cache, no-store, must-revalidate",
        "Pragma": "no-cache",
        "Content-Type": "text/plain; charset=utf-8",
    }
    return Response(200, fields, b"" if call.request.method == "HEAD" else b"OK")


async def version(system: SystemBackend, call: Call) -> Response:
    """SystemVersion."""
    return call.reply(await settled(system.version()))


async def info(system: SystemBackend, call: Call) -> Response:
    """SystemInfo."""
    return call.reply(await settled(system.info()))


async def options(builder_version: str, call: Call) -> Response:
    """OPTIONS of anything, which the OpenAPI file doesn't have."""
    return Response(200)


PING: tuple[Operation[str], ...] = (
    Operation("GET", "/_ping", "SystemPing", ping),
    Operation("HEAD", "/_ping", "SystemPingHead", ping),
    Operation("OPTIONS", "/{any}", None, options),
)
OPERATIONS: tuple[Operation[SystemBackend], ...] = (
    Operation("GET", "/version", "SystemVersion", version),
    Operation("GET", "/info", "SystemInfo", info),
)
