"""What clients find on the streams of commands, attachments and logs: frames or bare bytes, from the first on."""

from __future__ import annotations

import json
import socket

import pytest

from rig.http import EngineClient

pytestmark = pytest.mark.root

UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
RAW, MULTIPLEXED = "application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream"
NOT_FOUND = (
    b"OCI runtime exec failed: exec failed: unable to start container process: "
    b'exec: "nosuch": executable file not found in $PATH\r\n'
)


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def create(api: EngineClient, *command: str) -> str:
    body = {"Image": "busybox", "Cmd": command, "HostConfig": {"NetworkMode": "none"}}
    created = api.post("/containers/create", body)
    assert created.status == 201, created.message
    return str(created.json()["Id"])


def start(api: EngineClient, container: str) -> None:
    assert api.post(f"/containers/{container}/start").status == 204


def opened(api: EngineClient, path: str, document: object = None) -> tuple[str, socket.socket, bytes]:
    """An upgraded request's content type, its connection, and what came with the head."""
    with EngineClient(api.path) as client:
        answer = client.begin("POST", path, document, UPGRADE)
        assert answer.status == 101, answer.message
        return answer.headers["content-type"], *client.hijack()


def rest(connection: socket.socket, early: bytes) -> bytes:
    with connection:
        connection.settimeout(30)
        while data := connection.recv(65536):
            early += data
    return early


def executed(api: EngineClient, container: str, command: list[str], tty: bool, raw: bool) -> tuple[str, bytes]:
    """What a command with or without a terminal gives to a client that asks for bare bytes or frames."""
    wish = {"Cmd": command, "Tty": tty, "AttachStdout": True, "AttachStderr": True}
    identity = api.post(f"/containers/{container}/exec", wish).json()["Id"]
    kind, connection, early = opened(api, f"/exec/{identity}/start", {"Tty": raw})
    return kind, rest(connection, early)


@pytest.mark.parametrize(
    ("tty", "raw", "kind", "output"),
    [
        (False, False, MULTIPLEXED, frame(1, b"out\n") + frame(2, b"err\n")),
        (False, True, RAW, b"out\n"),
        (True, False, MULTIPLEXED, frame(1, b"out\r\n") + frame(1, b"err\r\n")),
        (True, True, RAW, b"out\r\nerr\r\n"),
    ],
)
def test_the_start_of_a_command_decides_on_frames(api, tty, raw, kind, output):
    container = create(api, "sleep", "1000")
    start(api, container)
    command = ["sh", "-c", "echo out; sleep 0.3; echo err >&2"]
    assert executed(api, container, command, tty, raw) == (kind, output)


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("raw", [False, True])
def test_a_command_that_is_not_there(api, tty, raw):
    container = create(api, "sleep", "1000")
    start(api, container)
    output = NOT_FOUND if raw else frame(1, NOT_FOUND)
    assert executed(api, container, ["nosuch"], tty, raw)[1] == output


def test_logs_come_line_by_line(api):
    container = create(api, "sh", "-c", "printf 'one\\n\\nthree\\nrest'; echo err >&2")
    start(api, container)
    assert api.post(f"/containers/{container}/wait").status == 200
    body = api.get(f"/containers/{container}/logs?stdout=1&follow=1").body
    assert body == b"".join(frame(1, line) for line in (b"one\n", b"\n", b"three\n", b"rest"))


@pytest.mark.parametrize("query", ["stdout=1&stream=1", "stdout=1&stream=1&logs=1"])
def test_attached_before_the_start(api, query):
    container = create(api, "echo", "hello")
    _, connection, early = opened(api, f"/containers/{container}/attach?{query}")
    start(api, container)
    assert rest(connection, early) == frame(1, b"hello\n")


def test_attached_with_the_log_of_the_last_run(api):
    container = create(api, "sh", "-c", "cat /proc/uptime >>/seen; wc -l </seen")
    start(api, container)
    assert api.post(f"/containers/{container}/wait").status == 200
    _, connection, early = opened(api, f"/containers/{container}/attach?stdout=1&stream=1&logs=1")
    while len(early) < len(frame(1, b"1\n")):
        early += connection.recv(100)
    start(api, container)
    assert rest(connection, early) == frame(1, b"1\n") + frame(1, b"2\n")


def test_a_client_that_leaves_before_the_start_holds_nothing_up(api):
    container = create(api, "echo", "hello")
    for _ in range(3):
        opened(api, f"/containers/{container}/attach?stdout=1&stream=1")[1].close()
    _, connection, early = opened(api, f"/containers/{container}/attach?stdout=1&stream=1")
    start(api, container)
    assert rest(connection, early) == frame(1, b"hello\n")
    assert json.loads(api.post(f"/containers/{container}/wait").body)["StatusCode"] == 0
