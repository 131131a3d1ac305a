"""The table of routes against the OpenAPI file of the Engine API."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.server import Backends, build_routes
from sampan.server.outside import OUTSIDE

SPECS = Path(__file__).parents[2].parent / "shared" / "spec"
NOT_IN_THE_FILE = {
    ("OPTIONS", "/{any}"),
    ("POST", "/grpc"),
    ("GET", "/networks/"),
    ("GET", "/containers/{id}/checkpoints"),
    ("POST", "/containers/{id}/checkpoints"),
    ("DELETE", "/containers/{id}/checkpoints/{checkpoint}"),
}
METHODS = ("get", "post", "put", "delete", "head")


@cache
def load(version: str) -> dict[str, Any]:
    path = SPECS / f"docker-engine-api-{version}.yaml"
    if not path.exists():
        pytest.skip(f"the OpenAPI file of the Engine API is not at {path}")
    document: dict[str, Any] = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return document


def operations(version: str) -> Iterator[tuple[str, str, str]]:
    """Id, method and path of every operation."""
    for path, item in load(version)["paths"].items():
        for method in METHODS:
            if method in item:
                yield item[method]["operationId"], method.upper(), path


@pytest.mark.parametrize("version", ["1.51", "1.41"])
def test_every_operation_has_a_route(version: str):
    routes = {route.operation_id: route for route in build_routes(Backends())}
    for operation_id, method, path in operations(version):
        route = routes.get(operation_id)
        assert route is not None, f"{operation_id} ({method} {path}) has no route"
        assert (route.method, route.pattern) == (method, path)


def test_every_route_is_an_operation():
    known = {(method, path) for _, method, path in operations("1.51")}
    for route in build_routes(Backends()):
        place = (route.method, route.pattern)
        assert place in known or place in NOT_IN_THE_FILE
        assert (route.operation_id is None) == (place in NOT_IN_THE_FILE)


def test_what_is_left_out_has_a_place_and_a_reason_in_one_list_only():
    places = [(outside.method, outside.pattern) for outside in OUTSIDE]
    assert len(places) == len(set(places))
    assert all(outside.reason for outside in OUTSIDE)
    routes = list(build_routes(Backends()))
    assert len([route for route in routes if (route.method, route.pattern) in places]) == len(places)


def test_paths_lead_to_their_operations():
    table = build_routes(Backends())
    for operation_id, method, path in operations("1.51"):
        sample = path.replace("{id}", "0123abc").replace("{name}", "registry:5000/a/b")
        found = table.find(method, sample)
        assert found is not None, f"{method} {sample}"
        assert found[0].operation_id == operation_id
