"""Building images: the classic builder's request, and the connections that BuildKit's clients take over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Duplex, Request, Response, Upgrade
from sampan.server.call import Call
from sampan.server.credentials import registry_config
from sampan.server.filters import Filters
from sampan.server.replies import progress_reply
from sampan.server.table import Operation
from sampan.wire.base import Document
from sampan.wire.disk import BuildPruneReport
from sampan.wire.distribution import AuthConfig

VERSIONS = ("", "1", "2")


class BuildBackend(Protocol):
    """What the routes ask of the builder."""

    def build(
        self,
        options: Mapping[str, list[str]],
        context: AsyncIterator[bytes],
        credentials: Mapping[str, AuthConfig],
        buildkit: bool,
    ) -> AsyncIterator[Document | bytes]:
        """`options` are the query's keys and values, `context` is the body. Gives progress."""

    async def prune_cache(self, filters: Filters, all: bool, keep_storage: int) -> BuildPruneReport: ...

    async def session(self, request: Request, duplex: Duplex) -> None:
        """A client's session, as HTTP/2 on a connection of its own."""

    async def grpc(self, request: Request, duplex: Duplex) -> None:
        """BuildKit's services, as HTTP/2 on a connection of their own."""


async def build(builder: BuildBackend, call: Call) -> Response:
    """ImageBuild."""
    version = call.text("version")
    if version not in VERSIONS:
        raise InvalidArgument(f'invalid version "{version}"')
    options: dict[str, list[str]] = {}
    for key, value in call.request.query:
        options.setdefault(key, []).append(value)
    context = aiter(call.request.body)
    return await progress_reply(builder.build(options, context, registry_config(call.request), version == "2"))


async def prune(builder: BuildBackend, call: Call) -> Response:
    """BuildPrune."""
    keep = call.number("keep-storage", 0) or call.number("reserved-space", 0) or 0
    return call.reply(await builder.prune_cache(call.filters(), call.flag("all"), keep))


async def session(builder: BuildBackend, call: Call) -> Upgrade:
    """Session."""

    async def run(duplex: Duplex) -> None:
        await builder.session(call.request, duplex)

    return Upgrade(run, 101, _h2c(call))


async def grpc(builder: BuildBackend, call: Call) -> Upgrade:
    """POST /grpc, which the OpenAPI file doesn't have."""

    async def run(duplex: Duplex) -> None:
        await builder.grpc(call.request, duplex)

    return Upgrade(run, 101, _h2c(call))


def _h2c(call: Call) -> dict[str, str]:
    protocol = call.request.headers.get("upgrade")
    if not protocol:
        raise InvalidArgument("no upgrade proto in request")
    if protocol.lower() != "h2c":
        raise InvalidArgument(f"protocol {protocol} not supported: use h2c")
    return {"Connection": "Upgrade", "Upgrade": "h2c"}


OPERATIONS: tuple[Operation[BuildBackend], ...] = (
    Operation("POST", "/build", "ImageBuild", build),
    Operation("POST", "/build/prune", "BuildPrune", prune),
    Operation("POST", "/session", "Session", session),
    Operation("POST", "/grpc", None, grpc),
)
