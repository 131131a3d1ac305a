"""What every wire document is made of.

    class Example(Document, kw_only=True, rename=pascal(image_id="ImageID")):
        name: str = always("")          Go without omitempty: rendered even when zero
        comment: str = ""               Go with omitempty: left out when zero
        tags: list[str] | None = always(None)     a slice that may be null: null and [] stay apart
        mounts: list[Mount] = []        a slice with omitempty: left out when empty
        pid_limit: Int | None = None    a pointer with omitempty

Attributes are snake_case; `pascal` makes the JSON keys, its keyword arguments name the irregular ones. Documents are
strict about keys (`forbid_unknown_fields`) only so that `codec.decode` notices odd ones and takes its lenient path:
there keys match in any case, unknown ones are dropped and null means the zero value, as in Go.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct, field

T = TypeVar("T")

Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A Go int64."""

UInt16 = Annotated[int, Meta(ge=0, le=2**16 - 1)]
"""A Go uint16."""

StrSlice = Annotated[list[str], Meta(extra={"string_too": True})]
"""A list of strings that may also be sent as one string (Go's strslice)."""


class Document(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Base of all wire documents."""


class Empty(Document):
    """`{}`: the value of Go's sets (ExposedPorts, Volumes)."""


def always(value: T) -> T:
    """Return a field with default `value` that is rendered even when it has that value (Go without omitempty)."""
    # A factory, for a plain default is left out; and one in C, for there are dozens of fields in a document.
    rendered: Any = field(default_factory=repeat(value).__next__)
    return rendered  # type: ignore[no-any-return]


def always_new(factory: Callable[[], T]) -> T:
    """Return a field whose default `factory` makes anew, always rendered."""
    # msgspec leaves out what equals its default where the factory is list or dict itself.
    empty: Any = factory() if factory in (list, dict) else None
    rendered: Any = field(default_factory=factory if empty is None else empty.copy)
    return rendered  # type: ignore[no-any-return]


def pascal(**irregular: str) -> Callable[[str], str]:
    """Return the function from attribute to JSON key: `host_config` -> `HostConfig`, or what `irregular` says."""

    def key(attribute: str) -> str:
        return irregular.get(attribute) or "".join(part[:1].upper() + part[1:] for part in attribute.split("_"))

    return key
