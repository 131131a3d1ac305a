"""Events on the wire. Engine API 1.51, definition EventMessage."""

from __future__ import annotations

from sampan.wire.base import Document, Int, always, always_new, pascal


class EventActor(Document, kw_only=True, rename=pascal(id="ID")):
    """What the event happened to."""

    id: str = always("")
    attributes: dict[str, str] | None = always_new(dict)


class Event(
    Document,
    kw_only=True,
    rename={"type": "Type", "action": "Action", "actor": "Actor", "from_": "from", "time_nano": "timeNano"},
):
    """A line of GET /events; `status`, `id` and `from_` are old names that containers and images still carry."""

    status: str = ""
    id: str = ""
    from_: str = ""
    type: str = always("")
    action: str = always("")
    actor: EventActor = always_new(EventActor)
    scope: str = ""
    time: Int = 0
    time_nano: Int = 0
