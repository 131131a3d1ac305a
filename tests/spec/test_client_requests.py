"""Every request that the client makes is an operation of the OpenAPI file, with query parameters that it knows."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.client.blocking import run
from sampan.client.engine import Engine
from sampan.wire.containers import CreateRequest, UpdateRequest
from sampan.wire.distribution import AuthConfig
from sampan.wire.exec import ExecCreateRequest, ExecStartRequest
from sampan.wire.networks import NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest
from sampan.wire.volumes import VolumeCreateRequest

SPEC = Path(__file__).parents[3] / "shared" / "spec" / "docker-engine-api-1.51.yaml"

pytestmark = pytest.mark.skipif(not SPEC.exists(), reason=f"no OpenAPI file at {SPEC}")

LISTS = {"/containers/json", "/images/json", "/networks", "/images/search", "/changes", "/history"}
STAT = "eyJuYW1lIjoieCJ9"


class Recorder:
    """A transport whose streams answer every request with 200 and the smallest document that fits."""

    prefix = ""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []

    async def connect(self) -> RecorderStream:
        return RecorderStream(self)


class RecorderStream:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._written = b""
        self._answer = b""

    async def write(self, data: bytes) -> None:
        self._written += data
        head, separator, body = self._written.partition(b"\r\n\r\n")
        if not separator or (b"chunked" in head and not body.endswith(b"0\r\n\r\n")):
            return
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self._recorder.requests.append((method, target, body))
        self._written = b""
        path = target.partition("?")[0]
        document = b"[]" if any(path.endswith(end) for end in LISTS) or method == "DELETE" else b"{}"
        length = 0 if method == "HEAD" else len(document)
        status = b"101 UPGRADED" if b"Upgrade: tcp" in head else b"200 OK"
        self._answer = b"HTTP/1.1 %b\r\nX-Docker-Container-Path-Stat: %b\r\nContent-Length: %d\r\n\r\n" % (
            status,
            STAT.encode(),
            length,
        ) + (b"" if method == "HEAD" else document)

    async def read(self, limit: int) -> bytes:
        answer, self._answer = self._answer, b""
        return answer

    async def write_eof(self) -> None: ...

    async def close(self) -> None: ...


async def nothing() -> AsyncIterator[bytes]:
    yield b"tar"


async def drain(items: AsyncIterator[Any]) -> None:
    async for _ in items:
        pass


FILTERS = {"label": ["a"]}
CALLS = {
    "containers.ls": lambda e: e.containers.ls(True, 3, True, FILTERS),
    "containers.create": lambda e: e.containers.create(CreateRequest(image="x"), "name", "linux/amd64"),
    "containers.inspect": lambda e: e.containers.inspect("x", True),
    "containers.inspect_raw": lambda e: e.containers.inspect_raw("x", True),
    "containers.start": lambda e: e.containers.start("x", "ctrl-a"),
    "containers.stop": lambda e: e.containers.stop("x", 0, "INT"),
    "containers.restart": lambda e: e.containers.restart("x", 3, "INT"),
    "containers.kill": lambda e: e.containers.kill("x", "INT"),
    "containers.pause": lambda e: e.containers.pause("x"),
    "containers.unpause": lambda e: e.containers.unpause("x"),
    "containers.rename": lambda e: e.containers.rename("x", "y"),
    "containers.remove": lambda e: e.containers.remove("x", True, True, True),
    "containers.update": lambda e: e.containers.update("x", UpdateRequest()),
    "containers.wait": lambda e: e.containers.wait("x", "removed"),
    "containers.resize": lambda e: e.containers.resize("x", 10, 20),
    "containers.logs": lambda e: e.containers.logs("x", True, True, True, "1", "2", "3", True),
    "containers.attach": lambda e: e.containers.attach("x", True, True, True, True, True, "a"),
    "containers.top": lambda e: e.containers.top("x", "-o pid"),
    "containers.stats": lambda e: e.containers.stats("x", True, True),
    "containers.changes": lambda e: e.containers.changes("x"),
    "containers.export": lambda e: e.containers.export("x"),
    "containers.stat_path": lambda e: e.containers.stat_path("x", "/a"),
    "containers.get_archive": lambda e: e.containers.get_archive("x", "/a"),
    "containers.put_archive": lambda e: e.containers.put_archive("x", "/a", nothing(), True, True),
    "containers.prune": lambda e: e.containers.prune(FILTERS),
    "exec.create": lambda e: e.exec.create("x", ExecCreateRequest()),
    "exec.start": lambda e: e.exec.start("x", ExecStartRequest()),
    "exec.attach": lambda e: e.exec.attach("x", ExecStartRequest()),
    "exec.inspect": lambda e: e.exec.inspect("x"),
    "exec.resize": lambda e: e.exec.resize("x", 1, 2),
    "images.ls": lambda e: e.images.ls(True, FILTERS, True, True, True),
    "images.inspect": lambda e: e.images.inspect("a/b:c"),
    "images.inspect_raw": lambda e: e.images.inspect_raw("a/b:c"),
    "images.history": lambda e: e.images.history("a/b:c", "{}"),
    "images.tag": lambda e: e.images.tag("a", "b", "c"),
    "images.remove": lambda e: e.images.remove("a", True, True, ["{}"]),
    "images.load": lambda e: e.images.load(nothing(), True, "{}"),
    "images.save": lambda e: e.images.save(["a", "b"], "{}"),
    "images.import_": lambda e: e.images.import_("-", nothing(), "a", "b", "c", ["d"], "e"),
    "images.pull": lambda e: e.images.pull("a", "b", "c", "auth"),
    "images.push": lambda e: e.images.push("a", "b", "{}", "auth"),
    "images.search": lambda e: e.images.search("a", 3, FILTERS),
    "images.prune": lambda e: e.images.prune(FILTERS),
    "images.commit": lambda e: e.images.commit("a", "b", "c", "d", "e", ["f"], False),
    "images.build": lambda e: e.images.build(nothing(), {"t": ["a"], "nocache": True}),
    "images.prune_build_cache": lambda e: e.images.prune_build_cache(True, FILTERS),
    "images.distribution": lambda e: e.images.distribution("a/b:c"),
    "images.log_in": lambda e: e.images.log_in(AuthConfig()),
    "networks.ls": lambda e: e.networks.ls(FILTERS),
    "networks.inspect": lambda e: e.networks.inspect("x"),
    "networks.inspect_raw": lambda e: e.networks.inspect_raw("x", True),
    "networks.create": lambda e: e.networks.create(NetworkCreateRequest()),
    "networks.connect": lambda e: e.networks.connect("x", NetworkConnectRequest()),
    "networks.disconnect": lambda e: e.networks.disconnect("x", NetworkDisconnectRequest()),
    "networks.remove": lambda e: e.networks.remove("x"),
    "networks.prune": lambda e: e.networks.prune(FILTERS),
    "volumes.ls": lambda e: e.volumes.ls(FILTERS),
    "volumes.inspect": lambda e: e.volumes.inspect("x"),
    "volumes.inspect_raw": lambda e: e.volumes.inspect_raw("x"),
    "volumes.create": lambda e: e.volumes.create(VolumeCreateRequest()),
    "volumes.remove": lambda e: e.volumes.remove("x", True),
    "volumes.prune": lambda e: e.volumes.prune(FILTERS),
    "system.ping": lambda e: e.system.ping(),
    "system.version": lambda e: e.system.version(),
    "system.version_raw": lambda e: e.system.version_raw(),
    "system.info": lambda e: e.system.info(),
    "system.info_raw": lambda e: e.system.info_raw(),
    "system.disk_usage": lambda e: e.system.disk_usage(["image"]),
    "system.events": lambda e: drain(e.system.events("1", "2", FILTERS)),
}


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(SPEC.read_text(), yaml.CSafeLoader)["paths"]
    return loaded


def operation(paths: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    for template, operations in paths.items():
        pattern = "".join(
            ".+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", template)
        )
        if re.fullmatch(pattern, path) and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    raise AssertionError(f"{method} {path} is not in the OpenAPI file")


@pytest.mark.parametrize("name", CALLS)
def test_a_request_is_what_the_file_describes(paths, name):
    recorder = Recorder()
    run(CALLS[name](Engine(recorder, "1.51")))
    ((method, target, body),) = recorder.requests
    path, _, query = target.removeprefix("/v1.51").partition("?")
    described = operation(paths, method, path)
    known = {parameter["name"] for parameter in described.get("parameters", []) if parameter["in"] == "query"}
    used = dict(urllib.parse.parse_qsl(query))
    assert set(used) <= known
    if "filters" in used:
        assert json.loads(used["filters"]) == {"label": {"a": True}}
    if body and not body.startswith(b"3\r\ntar"):
        assert any(parameter["in"] == "body" for parameter in described["parameters"])
        assert isinstance(json.loads(body), dict)


def test_every_method_is_tried():
    engine = Engine(Recorder(), "1.51")
    methods = {
        f"{noun}.{method}"
        for noun in ("containers", "exec", "images", "networks", "volumes", "system")
        for method in vars(type(getattr(engine, noun)))
        if not method.startswith("_")
    }
    assert methods == set(CALLS)
