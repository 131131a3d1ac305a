"""A NUL character in any string of a request: one refusal, on every route, and nothing made."""

from __future__ import annotations

import base64
import json
import socket
from typing import Any

import pytest

from rig import storm
from rig.care import load
from rig.http import EngineClient
from rig.image import busybox_archive

pytestmark = pytest.mark.root

NUL = "\0"
WORDS = "has a NUL character in it"


@pytest.fixture(scope="module")
def client(sampand):
    load(sampand)
    with sampand.client() as client:
        storm.run(client, "there", "sleep", "1000")
        yield client
        client.delete("/containers/there?force=1")


def create(**fields: Any) -> dict[str, Any]:
    return {"Image": "busybox", "HostConfig": fields.pop("HostConfig", {}), **fields}


BODIES: list[tuple[str, Any]] = [
    ("/containers/create", create(Image="busy\0box")),
    ("/containers/create", create(Cmd=["a\0"])),
    ("/containers/create", create(Env=["A=\0"])),
    ("/containers/create", create(Labels={"a": NUL})),
    ("/containers/create", create(Labels={NUL: "a"})),
    ("/containers/create", create(WorkingDir="/\0")),
    ("/containers/create", create(Hostname=NUL)),
    ("/containers/create", create(Healthcheck={"Test": ["CMD", NUL]})),
    ("/containers/create", create(HostConfig={"Binds": ["/tmp:/\0"]})),
    ("/containers/create", create(HostConfig={"Mounts": [{"Type": "tmpfs", "Target": "/\0"}]})),
    ("/containers/create", create(HostConfig={"LogConfig": {"Type": "json-file", "Config": {"tag": NUL}}})),
    ("/containers/create", create(HostConfig={"ExtraHosts": ["a:\0"]})),
    ("/containers/there/exec", {"Cmd": ["a\0b"]}),
    ("/containers/there/exec", {"Cmd": ["true"], "Env": ["A=\0"]}),
    ("/containers/there/exec", {"Cmd": ["true"], "WorkingDir": "/\0"}),
    ("/containers/there/update", {"CpusetCpus": "0\0"}),
    ("/commit?container=there", {"Cmd": [NUL]}),
    ("/volumes/create", {"Name": "a\0b"}),
    ("/volumes/create", {"Name": "a", "Labels": {"a": NUL}}),
    ("/networks/create", {"Name": "a\0b"}),
    ("/networks/bridge/connect", {"Container": "a\0b"}),
    ("/auth", {"username": "a\0", "password": "b", "serveraddress": "127.0.0.1:1"}),
]
TARGETS = [
    ("GET", "/containers/a%00b/json"),
    ("GET", "/images/a%00b/json"),
    ("DELETE", "/volumes/a%00b"),
    ("POST", "/containers/create?name=a%00"),
    ("POST", "/containers/there/rename?name=a%00"),
    ("POST", "/containers/there/kill?signal=%00"),
    ("GET", "/containers/there/archive?path=/%00"),
    ("POST", "/images/create?fromImage=a%00"),
    ("POST", "/commit?container=there&comment=%00"),
    ("GET", "/containers/json?filters=%7B%22name%22%3A%5B%22%5Cu0000%22%5D%7D"),
    ("GET", "/events?filters=%7B%22type%22%3A%7B%22%5Cu0000%22%3Atrue%7D%7D"),
    ("GET", "/images/busybox/json?platform=%7B%22os%22%3A%22%5Cu0000%22%7D"),
]


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_in_a_body(client, path, body):
    answer = client.post(path, body)
    assert (answer.status, WORDS in answer.message) == (400, True), answer.message


@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_in_the_path_or_the_query(client, method, target):
    answer = client.request(method, target)
    assert (answer.status, WORDS in answer.message) == (400, True), answer.message


def test_in_credentials(client):
    document = json.dumps({"username": NUL, "password": "x"}).encode()
    headers = {"X-Registry-Auth": base64.urlsafe_b64encode(document).decode()}
    answer = client.request("POST", "/images/create?fromImage=127.0.0.1:1/x&tag=a", headers=headers)
    assert (answer.status, WORDS in answer.message) == (400, True), answer.message


def test_a_backslash_before_it_makes_it_text(client):
    answer = client.post("/volumes/create", {"Name": "text", "Labels": {"a": "\\u0000"}})
    assert (answer.status, answer.json()["Labels"]) == (201, {"a": "\\u0000"}), answer.message
    assert client.delete("/volumes/text").status == 204


@pytest.mark.parametrize("line", [b"GET /v1.51/in\0fo HTTP/1.1\r\nHost: x", b"GET /info HTTP/1.1\r\nHost: x\r\nA: \0"])
def test_in_the_head(sampand, line):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(60)
        raw.connect(str(sampand.socket))
        raw.sendall(line + b"\r\n\r\n")
        assert raw.recv(1 << 16).split(b" ")[1] == b"400"


def test_an_image_may_have_one_and_no_container(sampand, client: EngineClient):
    load(sampand, busybox_archive("nul:latest", {"Cmd": ["sh"], "Env": ["PATH=/bin:/sbin", "A=\0"]}))
    answer = client.post("/containers/create", {"Image": "nul:latest"})
    assert (answer.status, "has a NUL character" in answer.message) == (400, True), answer.message
    assert client.delete("/images/nul:latest").status == 200
