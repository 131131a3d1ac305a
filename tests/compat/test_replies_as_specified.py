"""A life of containers, images and volumes: every reply of a real daemon is as the OpenAPI file of its version says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from rig.engines import Engine
from rig.http import Answer, EngineClient
from rig.openapi import ResponseValidator, spec_path
from rig.recording import Reply

READS = """
/containers/json?all=1 /containers/json?all=1&size=1 /containers/spec/json /containers/spec/json?size=1
/containers/nosuch/json /images/json /images/json?all=1&shared-size=1 /images/busybox/json /images/busybox/history
/images/nosuch/json /networks /networks/bridge /networks/none /networks/nosuch /volumes /volumes/spec
/volumes/nosuch /info /version /_ping /events?since=1&until=2 /plugins /swarm /nodes /exec/nosuch/json
""".split()


class CheckedClient(EngineClient):
    """A client that notes what of the replies is not as specified."""

    def __init__(self, path: str, version: str) -> None:
        super().__init__(path, f"/v{version}")
        self._validator = ResponseValidator(spec_path(version))
        self.problems: list[str] = []

    def request(self, method: str, path: str, document: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        answer = super().request(method, path, document, headers)
        content_type = answer.headers.get("content-type", "").partition(";")[0]
        self.problems += self._validator.problems(Reply(method, path, answer.status, content_type, answer.body, True))
        return answer


@pytest.fixture(params=["1.51", "1.41"])
def checked(request: pytest.FixtureRequest, loaded: Engine) -> Iterator[CheckedClient]:
    """A checked client of one version; what it made is removed."""
    if not spec_path(request.param).exists():
        pytest.skip(f"no OpenAPI file at {spec_path(request.param)}")
    client = CheckedClient(str(loaded.socket), request.param)
    yield client
    client.delete("/containers/spec?force=1")
    client.delete("/containers/spec2?force=1")
    client.delete("/volumes/spec?force=1")
    client.close()
    assert not client.problems, "\n".join(client.problems)


def create(client: EngineClient) -> None:
    body = {
        "Image": "busybox",
        "Cmd": ["sh", "-c", "echo out; echo err >&2; exec sleep 1000"],
        "Labels": {"a": "b"},
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"NetworkMode": "none", "Binds": ["spec:/spec"], "Memory": 64 << 20, "Init": True},
    }
    assert client.post("/containers/create?name=spec", body).status == 201


def read_everything(client: EngineClient) -> None:
    for path in READS:
        assert client.get(path).status < 500 or path in ("/swarm", "/nodes")


def test_replies(checked: CheckedClient):
    assert checked.post("/volumes/create", {"Name": "spec", "Labels": {"a": "b"}}).status == 201
    create(checked)
    read_everything(checked)
    assert checked.post("/containers/spec/start").status == 204
    assert checked.post("/containers/spec/start").status == 304
    created = checked.post("/containers/spec/exec", {"Cmd": ["true"], "AttachStdout": True})
    assert created.status == 201
    assert checked.post(f"/exec/{created.json()['Id']}/start", {"Detach": True}).status == 200
    assert checked.get(f"/exec/{created.json()['Id']}/json").status == 200
    assert checked.get("/containers/spec/logs?stdout=1&stderr=1").status == 200
    read_everything(checked)
    assert checked.post("/containers/spec/rename?name=spec2").status == 204
    assert checked.post("/containers/spec2/kill?signal=KILL").status == 204
    assert checked.post("/containers/spec2/wait").json()["StatusCode"] == 137
    assert checked.post("/containers/spec2/restart?t=0").status == 204
    assert checked.post("/containers/spec2/stop?t=0").status == 204
    read_everything(checked)
    assert checked.post("/images/busybox/tag?repo=spec&tag=1").status == 201
    assert checked.delete("/images/spec:1").status == 200
    for noun in ("containers", "images", "volumes", "networks"):
        assert checked.post(f'/{noun}/prune?filters={{"label":["nosuch"]}}').status == 200
    assert checked.delete("/containers/spec2?v=1").status == 204
    assert checked.delete("/containers/spec2").status == 404
