"""Which containers a list shows. Pure over the containers given in.

Values of one filter are alternatives, except labels, which must all be there; different filters must all hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sampan.engine.containers.record import ContainerRecord
from sampan.engine.ports import ports_named
from sampan.errors import InvalidArgument, NotFound
from sampan.wire.filters import has_label, refuse_unknown

Filters = Mapping[str, list[str]]
STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
_HEALTH = ("none", "starting", "healthy", "unhealthy")
_KNOWN = (
    "ancestor before exited expose health id is-task isolation label label! name network publish since status volume"
).split()


@dataclass(frozen=True)
class Listed:
    """A container with what filters ask beyond its record: `networks` are names and ids, and may be
    empty where no filter asks for them."""

    record: ContainerRecord
    status: str
    health: str
    networks: Sequence[str]


def check_filters(filters: Filters) -> None:
    """Raise InvalidArgument for a filter or a value that a list of containers does not have."""
    for name, values in filters.items():
        refuse_unknown((name,), _KNOWN)
        for value in values:
            _check_value(name, value)


def _check_value(name: str, value: str) -> None:
    if name == "status" and value not in STATUSES:
        raise InvalidArgument(f"invalid filter 'status={value}': it must be one of {', '.join(STATUSES)}")
    if name == "health" and value not in _HEALTH:
        raise InvalidArgument(f"invalid filter 'health={value}': it must be one of {', '.join(_HEALTH)}")
    if name == "exited" and not re.fullmatch(r"-?\d+", value, re.ASCII):
        raise InvalidArgument(f"invalid filter 'exited={value}': it must be a number")
    if name in ("publish", "expose"):
        port_range(name, value)


def port_range(name: str, text: str) -> tuple[int, int, str]:
    """First and last port and protocol of `80`, `80/udp`, `8000-8080/tcp`. Raises InvalidArgument."""
    match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?(?:/(tcp|udp|sctp))?", text, re.ASCII)
    if not match or int(match[1]) > 65535 or int(match[2] or 0) > 65535:
        raise InvalidArgument(f"invalid filter '{name}={text}': it must be PORT[-PORT][/PROTOCOL]")
    return int(match[1]), int(match[2] or match[1]), match[3] or "tcp"


def select(
    listed: Sequence[Listed], everything: bool, limit: int, filters: Filters, ancestors: Callable[[str], set[str]]
) -> list[Listed]:
    """The rows of a list, newest first. `ancestors(name)` gives the ids of an image and of what was made from it.

    Raises NotFound for `before` and `since` that name no container.
    """
    check_filters(filters)
    newest = sorted(listed, key=lambda item: item.record.created, reverse=True)
    newest = _between(newest, filters)
    everything = everything or limit > 0 or any(f in filters for f in ("status", "exited", "before", "since"))
    wanted_images = [ancestors(name) for name in filters.get("ancestor", ())]
    found = [
        item
        for item in newest
        if (everything or item.status in ("running", "paused", "restarting"))
        and (not wanted_images or any(item.record.image_id in ids for ids in wanted_images))
        and _matches(item, filters)
    ]
    return found[:limit] if limit > 0 else found


def _between(newest: list[Listed], filters: Filters) -> list[Listed]:
    before, since = (_position(newest, filters, name) for name in ("before", "since"))
    return newest[None if before is None else before + 1 : since]


def _position(newest: list[Listed], filters: Filters, name: str) -> int | None:
    refs = filters.get(name)
    if not refs:
        return None
    for index, item in enumerate(newest):
        if refs[0].removeprefix("/") == item.record.name or item.record.id.startswith(refs[0]):
            return index
    raise NotFound(f"No such container: {refs[0]}")


def _matches(item: Listed, filters: Filters) -> bool:
    return all(not values or _TESTS[name](item, values) for name, values in filters.items() if name in _TESTS)


def _name(item: Listed, values: list[str]) -> bool:
    return any(_found(value, item.record.name) or _found(value, f"/{item.record.name}") for value in values)


def _found(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return pattern in text


def _volume(item: Listed, values: list[str]) -> bool:
    points = {m.name for m in item.record.mounts} | {m.destination for m in item.record.mounts}
    return any(value in points for value in values)


def _exposed(item: Listed, values: list[str]) -> bool:
    return _any_port(item.record.config.exposed_ports, "expose", values)


def _published(item: Listed, values: list[str]) -> bool:
    return _any_port(item.record.host_config.port_bindings or (), "publish", values)


def _any_port(names: Iterable[str], name: str, values: list[str]) -> bool:
    ports = ports_named(names)
    for value in values:
        first, last, protocol = port_range(name, value)
        if any(its == protocol and first <= number <= last for its, number in ports):
            return True
    return False


_TESTS: dict[str, Callable[[Listed, list[str]], bool]] = {
    "exited": lambda item, values: (
        item.status not in ("running", "created", "paused") and str(item.record.state.exit_code) in values
    ),
    "expose": _exposed,
    "health": lambda item, values: (item.health or "none") in values,
    "id": lambda item, values: any(item.record.id.startswith(value) for value in values),
    "is-task": lambda item, values: values[0].lower() in ("false", "0"),
    "isolation": lambda item, values: item.record.host_config.isolation in values,
    "label": lambda item, values: all(has_label(item.record.config.labels or {}, value) for value in values),
    "label!": lambda item, values: not any(has_label(item.record.config.labels or {}, v) for v in values),
    "name": _name,
    "network": lambda item, values: any(value in item.networks for value in values),
    "publish": _published,
    "status": lambda item, values: item.status in values,
    "volume": _volume,
}
