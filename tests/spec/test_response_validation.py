"""The checker of replies itself, and the documents that services answer with when they have nothing to say."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rig.openapi import SPECS, Checked, ResponseValidator, json_schema, spec_path
from sampan.http import Headers, Request, Response
from sampan.server import ApiServer, Backends, build_routes
from sampan.wire import codec
from sampan.wire.containers import ContainerInspect, ContainerSummary, CreateResponse, WaitResponse
from sampan.wire.disk import DiskUsage
from sampan.wire.events import Event
from sampan.wire.exec import ExecInspect
from sampan.wire.images import DeleteItem, HistoryItem, ImageInspect, ImageSummary, RootFS
from sampan.wire.networks import Network, NetworkCreateResponse
from sampan.wire.system import Version
from sampan.wire.volumes import Volume, VolumeList

pytestmark = pytest.mark.skipif(not spec_path("1.51").exists(), reason=f"no OpenAPI files in {SPECS}")

INFO = b'{"ID":"x","NCPU":2,"Swarm":{"LocalNodeState":"inactive"},"Plugins":null}'


@pytest.fixture(scope="module")
def validator() -> ResponseValidator:
    return ResponseValidator(spec_path("1.51"))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (INFO, None),
        (INFO.replace(b"2", b'"2"'), "['NCPU']"),
        (INFO.replace(b'"x"', b"null"), "['ID']"),
        (INFO.replace(b"inactive", b"bogus"), "['LocalNodeState']"),
        (b"{", "not JSON"),
    ],
)
def test_a_document_that_is_not_as_the_file_says_is_found(validator, body: bytes, problem: str | None):
    found = validator.problems("GET", "/v1.51/info", 200, "application/json", body)
    assert bool(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_statuses_that_the_file_does_not_have(validator):
    assert validator.problems("GET", "/info", 418, "application/json", b"{}")
    assert not validator.problems("GET", "/containers/a/b/json", 404, "application/json", b'{"message":"x"}')
    assert validator.problems("GET", "/containers/a/b/json", 404, "application/json", b'{"message":3}')


def test_each_line_of_a_stream_is_a_document(validator):
    lines = b'{"Type":"container"}\n{"Type":"bogus"}\n'
    assert len(validator.problems("GET", "/events?since=1", 200, "application/json", lines)) == 1


def test_what_is_not_in_the_file_passes(validator):
    assert not validator.problems("POST", "/grpc", 404, "application/json", b"x")


def test_null_is_where_go_writes_it():
    node = {"type": "object", "properties": {"a": {"$ref": "#/definitions/A"}, "b": {"type": "string"}}}
    assert json_schema(node) == {
        "type": ["object", "null"],
        "properties": {"a": {"$ref": "#/definitions/A"}, "b": {"type": "string"}},
    }


PLAIN = [
    ("GET", "/containers/json", [ContainerSummary(state="running")]),
    ("POST", "/containers/create", CreateResponse(id="x")),
    ("POST", "/containers/c/wait", WaitResponse()),
    ("GET", "/exec/e/json", ExecInspect()),
    ("GET", "/images/json", [ImageSummary()]),
    ("GET", "/images/i/json", ImageInspect(root_fs=RootFS(type="layers"))),
    ("GET", "/images/i/history", [HistoryItem()]),
    ("DELETE", "/images/i", [DeleteItem(deleted="x")]),
    ("GET", "/networks", [Network()]),
    ("POST", "/networks/create", NetworkCreateResponse(id="x")),
    ("GET", "/volumes", VolumeList(volumes=[Volume(scope="local")])),
    ("GET", "/system/df", DiskUsage(images=[ImageSummary()])),
    ("GET", "/version", Version()),
    ("GET", "/events", Event(type="container")),
]


@pytest.mark.parametrize(("method", "path", "document"), PLAIN, ids=[f"{method} {path}" for method, path, _ in PLAIN])
def test_empty_documents_are_as_the_file_says(validator, method: str, path: str, document: object):
    status = 201 if path.endswith("create") else 200
    assert validator.problems(method, path, status, "application/json", codec.encode(document)) == []


def test_an_inspect_is_as_the_file_says(validator):
    document = ContainerInspect()
    document.state.status = "created"
    document.host_config.restart_policy.name = "no"
    document.host_config.cgroupns_mode = "private"
    document.host_config.log_config.type = "json-file"
    document.host_config.oom_kill_disable = False
    body = codec.encode(document)
    assert validator.problems("GET", "/containers/c/json", 200, "application/json", body) == []
    body = body.replace(b'"Status":"created"', b'"Status":"bogus"')
    assert len(validator.problems("GET", "/containers/c/json", 200, "application/json", body)) == 1


async def test_a_handler_can_be_watched(validator):
    async def handler(request: Request) -> Response:
        return Response(200, {"Content-Type": "application/json"}, b'{"NCPU":"two"}')

    checked = Checked(handler, validator)
    await checked(Request("GET", "/v1.51/info", Headers()))
    assert len(checked.problems) == 1

    async def streaming(request: Request) -> Response:
        async def lines():
            yield b'{"Type":"bogus"}\n'

        return Response(200, {"Content-Type": "application/json"}, lines())

    checked = Checked(streaming, validator)
    reply = await checked(Request("GET", "/v1.51/events", Headers()))
    assert isinstance(reply, Response)
    assert [item async for item in reply.body] == [b'{"Type":"bogus"}\n']
    assert len(checked.problems) == 1


async def test_the_replies_outside_a_swarm_are_as_the_file_says(validator, tmp_path: Path):
    server = ApiServer(build_routes(Backends()))
    checked = Checked(server.handle, validator)
    for target in (
        "/swarm",
        "/nodes",
        "/services",
        "/tasks/x",
        "/secrets",
        "/configs/x",
        "/plugins",
        "/plugins/x/json",
    ):
        await checked(Request("GET", f"/v1.51{target}", Headers()))
    await asyncio.sleep(0)
    assert checked.problems == []
