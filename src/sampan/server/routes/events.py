"""Events of all objects, as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Response
from sampan.server.call import Call
from sampan.server.filters import Filters
from sampan.server.replies import JSON, Begun, json_lines, stream_reply
from sampan.server.table import Operation
from sampan.wire import codec
from sampan.wire.events import Event


class EventBackend(Protocol):
    """What the route asks: events from `since` to `until`, nanoseconds since 1970 (None: from now, for ever)."""

    def subscribe(self, since: int | None, until: int | None, filters: Filters) -> AsyncIterator[Event]: ...


async def events(bus: EventBackend, call: Call) -> Response:
    """SystemEvents. The head leaves at once, each event when it happens."""
    since, until = _moment(call, "since"), _moment(call, "until")
    if since is not None and until is not None and since > until:
        raise InvalidArgument(
            f"`since` time ({call.text('since')}) cannot be after `until` time ({call.text('until')})"
        )
    return stream_reply(await Begun.begin(json_lines(bus.subscribe(since, until, call.filters()))), JSON)


def _moment(call: Call, key: str) -> int | None:
    text = call.text(key)
    return codec.parse_time(text) or None if text else None


OPERATIONS: tuple[Operation[EventBackend], ...] = (Operation("GET", "/events", "SystemEvents", events),)
