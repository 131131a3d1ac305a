"""Routes as data, and how a request finds its own.

A pattern is a path with names in it: `{id}` takes one or more characters, slashes too, so that names of images may
have them. Of patterns that match, the first in the table wins; a path without names wins over all patterns.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from sampan.errors import NotImplementedYet
from sampan.http import Response, Upgrade
from sampan.server.call import Call
from sampan.server.versions import OLDEST, Version

Reply = Response | Upgrade
Handler = Callable[[Call], Awaitable[Reply]]
B = TypeVar("B")
_ANY = ""


@dataclass(frozen=True)
class Route:
    """One operation of the API. `operation_id` is the OpenAPI file's, None for what the file doesn't have."""

    method: str
    pattern: str
    operation_id: str | None
    handler: Handler
    min_version: Version = OLDEST


@dataclass(frozen=True)
class Operation(Generic[B]):
    """A route whose handler gets the service it calls first: a row of what a noun's module offers."""

    method: str
    pattern: str
    operation_id: str | None
    handler: Callable[[B, Call], Awaitable[Reply]]

    def bound(self, backend: B | None) -> Route:
        """The route that calls `backend`; without one it answers 501."""
        handler = _not_there if backend is None else partial(self.handler, backend)
        return Route(self.method, self.pattern, self.operation_id, handler)


async def _not_there(call: Call) -> Reply:
    raise NotImplementedYet(f"{call.operation} is not there yet in this version of Sampan")


class RouteTable:
    """All routes, found by method and decoded path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Raises ValueError when two routes have the same method and pattern."""
        self._routes = tuple(routes)
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Route]]] = {}
        for route in self._routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        if "{" not in route.pattern:
            if self._exact.setdefault((route.method, route.pattern), route) is not route:
                raise ValueError(f"two routes for {route.method} {route.pattern}")
            return
        group = self._patterns.setdefault((route.method, _first_segment(route.pattern)), [])
        if any(other.pattern == route.pattern for _, other in group):
            raise ValueError(f"two routes for {route.method} {route.pattern}")
        group.append((_compile(route.pattern), route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and the values of its names, or None."""
        if exact := self._exact.get((method, path)):
            return exact, {}
        for segment in (_first_segment(path), _ANY):
            for pattern, route in self._patterns.get((method, segment), ()):
                if match := pattern.fullmatch(path):
                    return route, match.groupdict()
        return None

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)


def _first_segment(path: str) -> str:
    segment = path[1:].partition("/")[0]
    return _ANY if segment.startswith("{") else segment


def _compile(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    names = [f"(?P<{part}>.+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)]
    return re.compile("".join(names), re.DOTALL)
