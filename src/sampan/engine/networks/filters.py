"""Filters of GET /networks and POST /networks/prune. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sampan.engine.networks.records import NetworkRecord
from sampan.errors import InvalidArgument
from sampan.wire.filters import refuse_unknown

__all__ = ["select"]

_KNOWN = ("dangling", "driver", "id", "label", "name", "scope", "type", "label!", "until")
_TRUE, _FALSE = ("1", "true", "True"), ("0", "false", "False")

Filters = Mapping[str, Sequence[str]]


def select(
    networks: Iterable[NetworkRecord], filters: Filters, is_used: Callable[[NetworkRecord], bool]
) -> list[NetworkRecord]:
    """Those that match every filter, by any of its values. Raises InvalidArgument for an unknown or malformed one."""
    refuse_unknown(filters, _KNOWN)
    return [network for network in networks if all(_matches(network, *item, is_used) for item in filters.items())]


def _matches(network: NetworkRecord, key: str, values: Sequence[str], used: Callable[[NetworkRecord], bool]) -> bool:
    match key:
        case "name":
            return any(value in network.name for value in values)
        case "id":
            return any(value in network.id for value in values)
        case "driver":
            return network.driver in values
        case "scope":
            return "local" in values
        case "type":
            return any(_type(value) == "builtin" for value in values)
        case "dangling":
            return any(_flag(value) for value in values) == (
                network.driver not in ("null", "host") and not used(network)
            )
        case "label":
            return False
    return True


def _type(value: str) -> str:
    if value not in ("builtin", "custom"):
        raise InvalidArgument(f"invalid filter: 'type'='{value}'")
    return value


def _flag(value: str) -> bool:
    if value not in (*_TRUE, *_FALSE):
        raise InvalidArgument(
            f'invalid value for "dangling" filter: \'{value}\', must be "true" (or 1), or "false" (or 0)'
        )
    return value in _TRUE
