"""Containers: what they do at the moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Response
from sampan.server.call import Call
from sampan.server.replies import JSON, json_lines, stream_reply
from sampan.server.table import Operation
from sampan.wire.containers import TopResponse
from sampan.wire.stats import Stats


class ObserveBackend(Protocol):
    """What the routes ask of running containers."""

    async def top(self, ref: str, ps_args: str) -> TopResponse: ...

    async def stats(self, ref: str, stream: bool, one_shot: bool) -> AsyncIterator[Stats]:
        """Samples: one a second for ever, or one; `one_shot` does not wait for the sample before it."""


async def top(containers: ObserveBackend, call: Call) -> Response:
    """ContainerTop."""
    return call.reply(await containers.top(call["id"], call.text("ps_args") or "-ef"))


async def stats(containers: ObserveBackend, call: Call) -> Response:
    """ContainerStats."""
    stream = call.flag("stream", default=True)
    one_shot = call.version >= (1, 41) and call.flag("one-shot")
    if stream and one_shot:
        raise InvalidArgument("cannot have stream=true and one-shot=true")
    return stream_reply(json_lines(await containers.stats(call["id"], stream, one_shot)), JSON)


OPERATIONS: tuple[Operation[ObserveBackend], ...] = (
    Operation("GET", "/containers/{id}/top", "ContainerTop", top),
    Operation("GET", "/containers/{id}/stats", "ContainerStats", stats),
)
