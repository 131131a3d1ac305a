"""The checker of replies itself, and the documents that services answer with when they have nothing to say."""

from __future__ import annotations

import asyncio
import marshal
from pathlib import Path

import pytest

from rig.openapi import SPECS, ResponseValidator, json_schema, spec_path
from rig.recording import JSON, LONGEST, Recorded, Reply, read
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


def reply(method: str, target: str, status: int, body: bytes, whole: bool = True) -> Reply:
    return Reply(method, target, status, JSON, body, whole)


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
    found = validator.problems(reply("GET", "/v1.51/info", 200, body))
    assert bool(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_statuses_that_the_file_does_not_have(validator):
    assert validator.problems(reply("GET", "/info", 418, b"{}"))
    assert not validator.problems(reply("GET", "/containers/a/b/json", 404, b'{"message":"x"}'))
    assert validator.problems(reply("GET", "/containers/a/b/json", 404, b'{"message":3}'))


def test_each_line_of_a_stream_is_a_document(validator):
    lines = b'{"Type":"container"}\n{"Type":"bogus"}\n'
    assert len(validator.problems(reply("GET", "/events?since=1", 200, lines))) == 1


def test_what_is_not_in_the_file_passes(validator):
    assert not validator.problems(reply("POST", "/grpc", 404, b"x"))


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
    assert validator.problems(reply(method, path, status, codec.encode(document))) == []


def test_an_inspect_is_as_the_file_says(validator):
    document = ContainerInspect()
    document.state.status = "created"
    document.host_config.restart_policy.name = "no"
    document.host_config.cgroupns_mode = "private"
    document.host_config.log_config.type = "json-file"
    document.host_config.oom_kill_disable = False
    body = codec.encode(document)
    assert validator.problems(reply("GET", "/containers/c/json", 200, body)) == []
    body = body.replace(b'"Status":"created"', b'"Status":"bogus"')
    assert len(validator.problems(reply("GET", "/containers/c/json", 200, body))) == 1


def test_of_a_stream_that_was_cut_the_whole_lines_count(validator):
    assert not validator.problems(reply("GET", "/events", 200, b'{"Type":"container"}\n{"Type":"bog', whole=False))
    assert len(validator.problems(reply("GET", "/events", 200, b'{"Type":"bogus"}\n{"Ty', whole=False))) == 1
    assert not validator.problems(reply("GET", "/info", 200, b'{"NCPU":"two', whole=False))


async def test_a_handler_is_recorded():
    async def lines():
        yield b'{"Type":"container"}\n'
        yield b'{"Type":"image"}\n'

    replies = {
        "/bytes": Response(200, {"Content-Type": f"{JSON}; charset=utf-8"}, b"{}"),
        "/lines": Response(200, {"Content-Type": JSON}, lines()),
        "/left": Response(200, {"Content-Type": JSON}, lines()),
        "/long": Response(200, {"Content-Type": JSON}, b"x" * (LONGEST + 1)),
        "/tar": Response(200, {"Content-Type": "application/x-tar"}, lines()),
    }

    async def handler(request: Request) -> Response:
        return replies[request.path]

    told: list[Reply] = []
    recorded = Recorded(handler, told.append)
    for path in replies:
        answer = await recorded(Request("GET", path, Headers()))
        assert isinstance(answer, Response)
        if path == "/lines":
            assert [item async for item in answer.body] == [b'{"Type":"container"}\n', b'{"Type":"image"}\n']
        elif path == "/left":
            await anext(answer.body)
            await answer.body.aclose()
    assert told == [
        reply("GET", "/bytes", 200, b"{}"),
        reply("GET", "/lines", 200, b'{"Type":"container"}\n{"Type":"image"}\n'),
        reply("GET", "/left", 200, b'{"Type":"container"}\n', whole=False),
        reply("GET", "/long", 200, b"x" * LONGEST, whole=False),
        Reply("GET", "/tar", 200, "application/x-tar", b"", whole=False),
    ]


def test_a_record_that_was_cut_is_left_out(tmp_path: Path):
    one = marshal.dumps(tuple(reply("GET", "/info", 200, b"{}")))
    (tmp_path / "replies").write_bytes(one + one[:-3])
    assert list(read(tmp_path / "replies")) == [reply("GET", "/info", 200, b"{}")]


async def test_the_replies_outside_a_swarm_are_as_the_file_says(validator, tmp_path: Path):
    server = ApiServer(build_routes(Backends()))
    told: list[Reply] = []
    recorded = Recorded(server.handle, told.append)
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
        await recorded(Request("GET", f"/v1.51{target}", Headers()))
    await asyncio.sleep(0)
    assert [problem for each in told for problem in validator.problems(each)] == []
