"""Rules that the filters of all nouns share. Engine API, parameter `filters`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from sampan.errors import InvalidArgument


def refuse_unknown(names: Iterable[str], known: Container[str]) -> None:
    """Raise InvalidArgument for the first filter that a list does not have."""
    for name in names:
        if name not in known:
            raise InvalidArgument(f"invalid filter '{name}'")


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """Whether `key` or `key=value` is among the labels."""
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)
