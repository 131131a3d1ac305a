from __future__ import annotations

import pytest

from sampan.http import Response
from sampan.server.call import Call
from sampan.server.table import Route, RouteTable


async def nothing(call: Call) -> Response:
    """Answers nothing."""
    return Response()


def table(*routes: tuple[str, str]) -> RouteTable:
    return RouteTable([Route(method, pattern, None, nothing) for method, pattern in routes])


def found(routes: RouteTable, method: str, path: str) -> tuple[str, dict[str, str]] | None:
    match = routes.find(method, path)
    return (match[0].pattern, match[1]) if match else None


ROUTES = table(
    ("GET", "/images/json"),
    ("GET", "/images/{name}/json"),
    ("GET", "/images/{name}/get"),
    ("DELETE", "/images/{name}"),
    ("GET", "/a.b/{x}/c/{y}"),
    ("OPTIONS", "/{any}"),
)


def test_exact_paths_win():
    assert found(ROUTES, "GET", "/images/json") == ("/images/json", {})


def test_names_take_slashes():
    assert found(ROUTES, "GET", "/images/a/b:c/json") == ("/images/{name}/json", {"name": "a/b:c"})
    assert found(ROUTES, "DELETE", "/images/a/b\nc") == ("/images/{name}", {"name": "a/b\nc"})


def test_names_are_not_empty():
    assert found(ROUTES, "DELETE", "/images/") is None
    assert found(ROUTES, "DELETE", "/images") is None


def test_the_rest_of_a_pattern_is_text():
    assert found(ROUTES, "GET", "/a.b/1/c/2") == ("/a.b/{x}/c/{y}", {"x": "1", "y": "2"})
    assert found(ROUTES, "GET", "/aXb/1/c/2") is None


def test_methods_differ():
    assert found(ROUTES, "POST", "/images/json") is None


def test_a_pattern_may_begin_with_a_name():
    assert found(ROUTES, "OPTIONS", "/images/json") == ("/{any}", {"any": "images/json"})


def test_the_table_can_be_walked():
    assert len(ROUTES) == len(list(ROUTES)) == 6


@pytest.mark.parametrize("pattern", ["/a", "/a/{b}"])
def test_two_routes_for_the_same_are_a_mistake(pattern: str):
    with pytest.raises(ValueError, match=f"two routes for GET {pattern.split('{')[0]}"):
        table(("GET", pattern), ("GET", pattern))
