"""The endpoints of the distribution specification as data: pattern, and a handler for each method.

Handlers have one shape: look at the call, ask the registry once or twice, reply. What they raise is turned into the
answer elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from sampan.http import Request, Response
from sampan.registry.auth import Access
from sampan.registry.names import check_name
from sampan.registry.repositories import Registry

__all__ = ["Call", "Handler", "Resource", "find"]


@dataclass(frozen=True)
class Call:
    """One request, what its path named, and what its sender may do."""

    request: Request
    registry: Registry
    access: Access
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The repository's name."""
        return self.params["name"]


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True)
class Resource:
    """A path with names in braces, and who answers which method. `{name}` may have slashes in it."""

    pattern: str
    methods: Mapping[str, Handler]
    actions: Mapping[str, str] = field(default_factory=dict)
    """The right that a method needs: pull, push or delete."""

    @property
    def expression(self) -> re.Pattern[str]:
        """The pattern as a regular expression over whole paths."""
        parts = re.split(r"\{(\w+)\}", self.pattern)
        return re.compile(
            "".join(
                (f"(?P<{part}>.+)" if part == "name" else f"(?P<{part}>[^/]+)") if place % 2 else re.escape(part)
                for place, part in enumerate(parts)
            )
        )


def find(table: list[tuple[re.Pattern[str], Resource]], path: str) -> tuple[Resource, dict[str, str]] | None:
    """The resource that a path names, and its names' values. Raises NAME_INVALID."""
    for expression, resource in table:
        if match := expression.fullmatch(path):
            params = match.groupdict()
            if "name" in params:
                check_name(params["name"])
            return resource, params
    return None
