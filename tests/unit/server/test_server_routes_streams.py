from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from unittest.mock import call

import pytest

from sampan.engine.containers.service import AttachOptions, LogOptions, LogStream
from sampan.errors import Conflict, InvalidArgument, NotFound
from sampan.http import Duplex, Response, Upgrade
from sampan.wire.containers import Change, PathStat, TopResponse
from sampan.wire.events import Event
from sampan.wire.exec import ExecInspect
from sampan.wire.images import CommitResponse
from sampan.wire.stats import Stats
from sampan.wire.stdcopy import STDOUT, frame

UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


async def of(*items: bytes) -> AsyncIterator[bytes]:
    for item in items:
        yield item


class Session:
    """A session that does nothing."""

    def __init__(self, tty: bool) -> None:
        self.tty = tty

    async def run(self, stream: Duplex) -> None:
        """Ends at once."""


@pytest.mark.parametrize(
    ("tty", "version", "content_type"),
    [
        (False, "1.51", "application/vnd.docker.multiplexed-stream"),
        (True, "1.51", "application/vnd.docker.raw-stream"),
        (False, "1.41", "application/vnd.docker.raw-stream"),
    ],
)
async def test_logs(api, read, tty: bool, version: str, content_type: str):
    api.attach.logs.return_value = LogStream(tty, of(b"a", b"b"))
    reply = await api.send("GET", "/containers/c/logs?stdout=1&stderr=0", version=version)
    assert (reply.status, reply.headers["Content-Type"], await read(reply)) == (200, content_type, b"ab")
    assert api.attach.logs.mock_calls == [call("c", LogOptions(stdout=True))]


async def test_all_options_of_logs(api):
    api.attach.logs.return_value = LogStream(False, of())
    query = "stderr=1&follow=1&since=1.5&until=2020-01-01T00:00:00Z&tail=7&timestamps=1&details=1"
    await api.send("GET", f"/containers/c/logs?{query}")
    options = LogOptions(
        stderr=True,
        follow=True,
        since=1_500_000_000,
        until=1_577_836_800_000_000_000,
        tail=7,
        timestamps=True,
        details=True,
    )
    assert api.attach.logs.call_args == call("c", options)


@pytest.mark.parametrize(("query", "tail"), [("all", None), ("", None), ("-5", None), ("0", 0)])
async def test_tails(api, query: str, tail: int | None):
    api.attach.logs.return_value = LogStream(False, of())
    await api.send("GET", f"/containers/c/logs?stdout=1&tail={query}&since=0&until=0")
    assert api.attach.logs.call_args == call("c", LogOptions(stdout=True, tail=tail))


@pytest.mark.parametrize("query", ["", "stdout=1&tail=x", "stdout=1&since=x", "stdout=1&until=2020-13-01", "stdout=0"])
async def test_malformed_logs(api, query: str):
    assert (await api.message("GET", f"/containers/c/logs?{query}"))[0] == 400
    assert not api.attach.logs.called


@pytest.mark.parametrize(
    ("tty", "version", "content_type"),
    [
        (False, "1.51", "application/vnd.docker.multiplexed-stream"),
        (True, "1.51", "application/vnd.docker.raw-stream"),
        (False, "1.41", "application/vnd.docker.raw-stream"),
    ],
)
async def test_attach_upgraded(api, tty: bool, version: str, content_type: str):
    api.attach.attach.return_value = session = Session(tty)
    query = "stdin=1&stdout=1&stderr=1&stream=1&logs=1&detachKeys=ctrl-x"
    reply = await api.send("POST", f"/containers/c/attach?{query}", headers=UPGRADE, version=version)
    assert reply == Upgrade(session.run, 101, {"Content-Type": content_type, **UPGRADE}, "UPGRADED")
    assert api.attach.attach.call_args == call("c", AttachOptions(True, True, True, True, True, "ctrl-x"))


async def test_attach_without_an_upgrade(api):
    api.attach.attach.return_value = session = Session(False)
    reply = await api.send("POST", "/containers/c/attach?stream=1")
    assert reply == Upgrade(session.run, 200, {"Content-Type": "application/vnd.docker.raw-stream"})


async def test_errors_of_attach_are_plain_text(api):
    for error, status in ((NotFound("no c"), 404), (InvalidArgument("keys"), 400), (Conflict("paused"), 409)):
        api.attach.attach.side_effect = error
        reply = await api.send("POST", "/containers/c/attach", headers=UPGRADE)
        assert isinstance(reply, Response)
        assert (reply.status, reply.body) == (status, f"{error}\r\n".encode())
        assert reply.headers["Content-Type"] == "application/vnd.docker.raw-stream"


async def test_exec_create(api):
    api.execs.exec_create.return_value = "e1"
    assert await api.ask("POST", "/containers/c/exec", {"Cmd": ["ls"], "ConsoleSize": [1, 2]}) == (201, {"Id": "e1"})
    ref, request = api.execs.exec_create.call_args.args
    assert (ref, request.cmd, request.console_size) == ("c", ["ls"], [1, 2])
    await api.ask("POST", "/containers/c/exec", {"Cmd": ["ls"], "ConsoleSize": [1, 2]}, version="1.41")
    assert api.execs.exec_create.call_args.args[1].console_size is None


@pytest.mark.parametrize("body", [None, {}, {"Cmd": []}, {"Cmd": None}])
async def test_exec_create_of_nothing(api, body):
    assert await api.message("POST", "/containers/c/exec", body) == (400, "No exec command specified")


async def test_exec_start(api):
    api.execs.exec_start.return_value = session = Session(True)
    reply = await api.send("POST", "/exec/e1/start", {"Tty": True}, headers=UPGRADE)
    fields = {"Content-Type": "application/vnd.docker.raw-stream", **UPGRADE}
    assert reply == Upgrade(session.run, 101, fields, "UPGRADED")
    reply = await api.send("POST", "/exec/e1/start", {"Tty": True})
    assert (reply.status, reply.reason) == (200, None)


async def test_exec_start_detached(api):
    api.execs.exec_start.return_value = None
    reply = await api.send("POST", "/exec/e1/start", {"Detach": True}, headers=UPGRADE)
    assert (reply.status, reply.body) == (200, b"")
    assert api.execs.exec_start.call_args.args[1].detach


async def test_exec_start_errors_are_json(api):
    api.execs.exec_start.side_effect = NotFound("No such exec instance: e1")
    assert await api.message("POST", "/exec/e1/start", {}, headers=UPGRADE) == (404, "No such exec instance: e1")
    assert (await api.message("POST", "/exec/e1/start", b"x", headers={"Content-Type": "text/plain"}))[0] == 400


async def test_exec_inspect_and_resize(api):
    api.execs.exec_inspect.return_value = ExecInspect(id="e1", exit_code=3)
    status, document = await api.ask("GET", "/exec/e1/json")
    assert (status, document["ID"], document["ExitCode"]) == (200, "e1", 3)
    assert (await api.send("POST", "/exec/e1/resize?h=1&w=2")).status == 200
    assert api.execs.exec_resize.mock_calls == [call("e1", 1, 2)]
    assert (await api.message("POST", "/exec/e1/resize?h=1"))[0] == 400


async def test_top(api):
    api.observe.top.return_value = TopResponse(titles=["PID"], processes=[["1"]])
    assert await api.ask("GET", "/containers/c/top") == (200, {"Titles": ["PID"], "Processes": [["1"]]})
    await api.ask("GET", "/containers/c/top?ps_args=aux")
    assert api.observe.top.mock_calls == [call("c", "-ef"), call("c", "aux")]


async def samples(*names: str) -> AsyncIterator[Stats]:
    for name in names:
        yield Stats(name=name)


@pytest.mark.parametrize(
    ("query", "version", "arguments"),
    [
        ("", "1.51", (True, False)),
        ("?stream=0", "1.51", (False, False)),
        ("?stream=false&one-shot=1", "1.51", (False, True)),
        ("?stream=0&one-shot=1", "1.40", (False, False)),
    ],
)
async def test_stats(api, read, query: str, version: str, arguments: tuple[bool, bool]):
    api.observe.stats.return_value = samples("a", "b")
    reply = await api.send("GET", f"/containers/c/stats{query}", version=version)
    lines = (await read(reply)).splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["a", "b"]
    assert api.observe.stats.mock_calls == [call("c", *arguments)]


async def test_one_shot_stats_can_not_stream(api):
    assert (await api.message("GET", "/containers/c/stats?one-shot=1"))[0] == 400


async def test_changes(api):
    api.archives.changes.return_value = [Change(path="/a", kind=1)]
    assert await api.ask("GET", "/containers/c/changes") == (200, [{"Path": "/a", "Kind": 1}])
    api.archives.changes.return_value = []
    assert await api.ask("GET", "/containers/c/changes") == (200, None)


async def test_export(api, read):
    api.archives.export.return_value = of(b"tar")
    reply = await api.send("GET", "/containers/c/export")
    assert (await read(reply), reply.headers["Content-Type"]) == (b"tar", "application/octet-stream")


async def test_archives_out(api, read):
    stat = PathStat(name="etc", size=1, mode=2, mtime="t", link_target="l")
    api.archives.archive_stat.return_value = stat
    api.archives.archive_get.return_value = (stat, of(b"tar"))
    head = await api.send("HEAD", "/containers/c/archive?path=/etc")
    reply = await api.send("GET", "/containers/c/archive?path=/etc")
    field = reply.headers["X-Docker-Container-Path-Stat"]
    assert json.loads(base64.b64decode(field)) == {
        "name": "etc",
        "size": 1,
        "mode": 2,
        "mtime": "t",
        "linkTarget": "l",
    }
    assert head.headers["X-Docker-Container-Path-Stat"] == field
    assert (await read(reply), reply.headers["Content-Type"]) == (b"tar", "application/x-tar")
    assert api.archives.archive_get.mock_calls == [call("c", "/etc")]


async def test_archives_in(api):
    taken: list[bytes] = []

    async def put(ref, path, body, no_overwrite, copy_owner) -> None:
        taken.extend([piece async for piece in body])
        assert (ref, path, no_overwrite, copy_owner) == ("c", "/x", True, False)

    api.archives.archive_put.side_effect = put
    reply = await api.send("PUT", "/containers/c/archive?path=/x&noOverwriteDirNonDir=true", b"tar")
    assert (reply.status, taken) == (200, [b"tar"])


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
async def test_archives_need_a_path(api, method: str):
    assert (await api.message(method, "/containers/c/archive?path="))[0] == 400


async def test_commit(api):
    api.commit.commit.return_value = CommitResponse(id="sha256:1")
    query = "container=c&repo=r&tag=t&comment=m&author=a&changes=CMD+x&changes=USER+y&pause=0"
    assert await api.ask("POST", f"/commit?{query}", {"Cmd": ["z"]}) == (201, {"Id": "sha256:1"})
    arguments = api.commit.commit.call_args
    assert arguments.args == ("c",)
    assert arguments.kwargs.pop("config").cmd == ["z"]
    assert arguments.kwargs == {
        "repo": "r",
        "tag": "t",
        "comment": "m",
        "author": "a",
        "pause": False,
        "changes": ["CMD x", "USER y"],
    }


async def test_a_plain_commit_pauses_and_keeps_the_config(api):
    api.commit.commit.return_value = CommitResponse()
    for body in (None, b"", b"null", b"{}"):
        headers = {"Content-Type": "application/json"} if body else {}
        assert (await api.ask("POST", "/commit?container=c", body, headers=headers))[0] == 201
        assert api.commit.commit.call_args.kwargs["pause"] is True
        assert api.commit.commit.call_args.kwargs["config"] is None
    assert (await api.message("POST", "/commit"))[0] == 400


async def happenings(*actions: str) -> AsyncIterator[Event]:
    for action in actions:
        yield Event(action=action)


async def test_events(api, read):
    api.events.subscribe.side_effect = lambda *args: happenings("a", "b")
    reply = await api.send("GET", '/events?since=1&until=2.5&filters={"type":{"container":true}}')
    assert reply.headers["Content-Type"] == "application/json"
    assert [json.loads(line)["Action"] for line in (await read(reply)).splitlines()] == ["a", "b"]
    assert api.events.subscribe.mock_calls == [call(1_000_000_000, 2_500_000_000, {"type": ["container"]})]
    await api.send("GET", "/events?since=0")
    assert api.events.subscribe.call_args == call(None, None, {})


async def refusing(*arguments: object) -> AsyncIterator[Event]:
    raise InvalidArgument("invalid filter 'x'")
    yield Event()


async def test_events_that_are_refused_have_a_status(api):
    api.events.subscribe.side_effect = refusing
    assert await api.message("GET", "/events") == (400, "invalid filter 'x'")


async def test_events_are_subscribed_to_before_the_head_leaves(api):
    subscribed, ended = asyncio.Event(), asyncio.Event()

    async def silent(*arguments: object) -> AsyncIterator[Event]:
        subscribed.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        yield Event()

    api.events.subscribe.side_effect = silent
    reply = await api.send("GET", "/events")
    assert isinstance(reply, Response)
    assert subscribed.is_set()
    await reply.body.aclose()
    assert ended.is_set()


@pytest.mark.parametrize("query", ["since=x", "until=x", "since=10&until=5", "filters=x"])
async def test_malformed_events(api, query: str):
    assert (await api.message("GET", f"/events?{query}"))[0] == 400


async def test_attach_by_websocket_needs_a_handshake(api):
    assert (await api.message("GET", "/containers/c/attach/ws"))[0] == 400
    assert not api.attach.attach.called


HANDSHAKE = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def test_attach_by_websocket(api):
    api.attach.attach.return_value = Session(False)
    reply = await api.send("GET", "/containers/c/attach/ws?stream=1&stdout=1", headers=HANDSHAKE)
    assert isinstance(reply, Upgrade)
    assert reply.status == 101
    assert reply.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    api.attach.attach.side_effect = NotFound("No such container: c")
    assert (await api.message("GET", "/containers/c/attach/ws", headers=HANDSHAKE))[0] == 404


@pytest.mark.parametrize(("field", "value"), [("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Key", "")])
async def test_other_handshakes(api, field: str, value: str):
    reply = await api.message("GET", "/containers/c/attach/ws", headers={**HANDSHAKE, field: value})
    assert reply[0] == 400


@pytest.mark.parametrize("tty", [False, True])
async def test_a_websocket_carries_bytes_without_frames(api, tty):
    class Wire:
        """Records what is written; the client says one thing and ends."""

        def __init__(self) -> None:
            self.written = b""
            self.incoming = [b"\x82\x82\x01\x02\x03\x04" + bytes((ord("h") ^ 1, ord("i") ^ 2)), b""]
            self.is_closed = False

        async def read(self, limit: int = -1) -> bytes:
            return self.incoming.pop(0) if self.incoming else b""

        async def write(self, data: bytes) -> None:
            assert not self.is_closed
            self.written += data

        def close(self) -> None:
            self.is_closed = True

    class Echo(Session):
        async def run(self, stream) -> None:
            assert await stream.read(100) == b"hi"
            assert await stream.read(100) == b""
            await stream.write(b"output" if tty else frame(STDOUT, b"out") + frame(STDOUT, b"put"))
            stream.write_eof()
            stream.close()

    api.attach.attach.return_value = Echo(tty)
    reply = await api.send("GET", "/containers/c/attach/ws", headers=HANDSHAKE)
    assert isinstance(reply, Upgrade)
    wire = Wire()
    await reply.run(wire)  # type: ignore[arg-type]
    assert wire.written == b"\x82\x06output\x88\x02\x03\xe8"
    assert wire.is_closed
