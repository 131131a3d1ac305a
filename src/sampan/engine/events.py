"""Events of all objects: a short memory, and live subscriptions.

The bus keeps the last `HISTORY` events in memory, as dockerd does. `subscribe` first replays what lies between `since`
and now, then goes on live until `until` (or for ever), without a gap between the two.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing

from sampan.errors import InvalidArgument
from sampan.wire.events import Event, EventActor
from sampan.wire.filters import has_label, refuse_unknown

HISTORY = 1024
_BACKLOG = 65536
_LEGACY_TYPES = ("container", "image")
_FILTERS = frozenset(
    {
        "config",
        "container",
        "daemon",
        "event",
        "image",
        "label",
        "network",
        "node",
        "plugin",
        "scope",
        "secret",
        "service",
        "type",
        "volume",
    }
)
Filters = Mapping[str, list[str]]


class EventBus:
    """One per daemon, made on its event loop. `emit` never waits and may be called on any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._subscribers: set[_Subscription] = set()
        self._watchers: list[tuple[str, Callable[[], None]]] = []
        self._last = 0

    def watch(self, kind: str, changed: Callable[[], None]) -> None:
        """Call `changed` at every event of that kind of object, before subscribers hear of it."""
        self._watchers.append((kind, changed))

    @property
    def listeners(self) -> int:
        return len(self._subscribers)

    def emit(self, kind: str, action: str, actor_id: str, attributes: Mapping[str, str]) -> None:
        """Record an event of the object `actor_id` and hand it to every subscriber whose filters match."""
        if threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(self.emit, kind, action, actor_id, attributes)
            return
        for watched, changed in self._watchers:
            if watched == kind:
                changed()
        self._last = max(time.time_ns(), self._last + 1)
        legacy = kind in _LEGACY_TYPES
        event = Event(
            status=action if legacy else "",
            id=actor_id if legacy else "",
            from_=attributes.get("image", "") if kind == "container" else "",
            type=kind,
            action=action,
            actor=EventActor(id=actor_id, attributes=dict(sorted(attributes.items()))),
            scope="local",
            time=self._last // 1_000_000_000,
            time_nano=self._last,
        )
        self._history.append(event)
        for subscriber in tuple(self._subscribers):
            subscriber.offer(event)

    async def subscribe(self, since: int | None, until: int | None, filters: Filters) -> AsyncIterator[Event]:
        """Events from `since` to `until` (nanoseconds since 1970; None: from now, for ever).

        Raises InvalidArgument for a filter that events do not have. The checks happen at the first step.
        """
        refuse_unknown(filters, _FILTERS)
        if since is not None and until is not None and since > until:
            raise InvalidArgument("`since` time cannot be after `until` time")
        replay = []
        if since is not None or until is not None:
            replay = [e for e in self._history if since is None or e.time_nano >= since]
        for event in replay:
            if (until is None or event.time_nano <= until) and matches(event, filters):
                yield event
        if until is not None and until <= time.time_ns():
            return
        subscription = _Subscription(filters)
        self._subscribers.add(subscription)
        # What came while the replay was being written is in the history and was not offered to us.
        seen = replay[-1].time_nano if replay else self._last
        for event in self._history:
            if replay and event.time_nano > seen:
                subscription.offer(event)
        try:
            async with aclosing(subscription.events(until)) as live:
                async for event in live:
                    yield event
        finally:
            self._subscribers.discard(subscription)


class _Subscription:
    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self._queue: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._overrun = False

    def offer(self, event: Event) -> None:
        if self._overrun or not matches(event, self._filters):
            return
        if len(self._queue) >= _BACKLOG:
            self._overrun = True
        else:
            self._queue.append(event)
        self._ready.set()

    async def events(self, until: int | None) -> AsyncGenerator[Event, None]:
        while True:
            while self._queue:
                event = self._queue.popleft()
                if until is not None and event.time_nano > until:
                    return
                yield event
            if self._overrun:
                return
            self._ready.clear()
            try:
                async with asyncio.timeout(None if until is None else max(0.0, (until - time.time_ns()) / 1e9)):
                    await self._ready.wait()
            except TimeoutError:
                return


def matches(event: Event, filters: Filters) -> bool:
    """Whether an event passes: any value of each filter, all filters together."""
    attributes = event.actor.attributes or {}
    for name, values in filters.items():
        if not values:
            continue
        if name == "event":
            if not any(event.action == v or event.action.partition(":")[0] == v for v in values):
                return False
        elif name == "type":
            if event.type not in values:
                return False
        elif name == "scope":
            if event.scope not in values:
                return False
        elif name == "label":
            if not all(has_label(attributes, v) for v in values):
                return False
        elif name == "image":
            if event.type not in _LEGACY_TYPES or not any(_is_image(event, v) for v in values):
                return False
        elif not _is_object(event, name, values):
            return False
    return True


def _is_image(event: Event, wanted: str) -> bool:
    names = [event.actor.id] if event.type == "image" else []
    names += [(event.actor.attributes or {}).get("name" if event.type == "image" else "image", "")]
    return any(wanted in (name, _without_tag(name)) for name in names)


def _without_tag(name: str) -> str:
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


def _is_object(event: Event, kind: str, values: list[str]) -> bool:
    """Whether it is of an object of that kind whose name or id begins with a value, as docker has it."""
    if event.type != kind:
        return False
    name = (event.actor.attributes or {}).get("name", "")
    return any(name.startswith(v) or event.actor.id.startswith(v) for v in values)
