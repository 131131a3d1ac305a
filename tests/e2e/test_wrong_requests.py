"""Whatever is sent, the answer is a 4xx with a clear message, the daemon goes on, and nothing is left behind."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rig import image, leaks, storm

pytestmark = pytest.mark.root

HOST = b"Host: x\r\n"


def raw(engine, data, half_close=True):
    """Send bytes as they are on a connection of their own; all that comes back."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(engine.socket))
        try:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


HEADS = {
    "garbage": b"garbage\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "no version": b"GET /_ping\r\n\r\n",
    "unknown version": b"GET /_ping HTTP/9.9\r\n" + HOST + b"\r\n",
    "header without colon": b"GET /_ping HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n",
    "space in a header's name": b"GET /_ping HTTP/1.1\r\n" + HOST + b"na me: x\r\n\r\n",
    "control character": b"GET /_ping HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
    "length that is no number": b"POST /auth HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
    "negative length": b"POST /auth HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "two lengths": b"POST /auth HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST /auth HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"POST /v1.51/containers/create HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "unknown coding": b"POST /v1.51/containers/create HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\nabc",
    "a head without end": b"GET /_ping HTTP/1.1\r\n" + b"X: " + b"a" * (3 << 20),
    "thousands of headers": b"GET /_ping HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(100_000)) + b"\r\n",
    "a very long path": b"GET /" + b"a" * (3 << 20) + b" HTTP/1.1\r\n" + HOST + b"\r\n",
}


# Statuses that HTTP has for just this.
ACCEPTED = {"unknown version": 505, "unknown coding": 501}


@pytest.mark.parametrize("name", HEADS)
def test_malformed_heads(api, sampand, name):
    answer = raw(sampand, HEADS[name], half_close=False)
    status = int(answer.split(b" ")[1]) if answer else 400
    assert 400 <= status < 500 or status == ACCEPTED.get(name), answer[:300]
    assert b"Traceback" not in answer
    assert api.get("/_ping").status == 200


def test_a_body_that_ends_early(api, sampand):
    head = b"POST /v1.51/containers/create?name=cut HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n"
    raw(sampand, head + b'{"Image":"busybox"')
    assert api.get("/containers/cut/json").status == 404


BODIES = {
    "empty": b"",
    "not json": b"garbage",
    "cut": b'{"Image":"busybox"',
    "trailing": b'{"Image":"busybox"} x',
    "not utf-8": b'{"Image":"\xff\xfe"}',
    "list": b"[]",
    "number": b"5",
    "deep": b"[" * 100_000,
    "deep inside": b'{"Labels":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
    "wrong type": b'{"Image":["busybox"]}',
    "huge number": b'{"Image":"busybox","StopTimeout":1e400}',
    "overflow": b'{"Image":"busybox","HostConfig":{"Memory":99999999999999999999}}',
    "fraction": b'{"Image":"busybox","HostConfig":{"Memory":1.5}}',
}
TAKES_BODY = [
    "/containers/create?name=bad",
    "/containers/runner/exec",
    "/exec/nonesuch/start",
]


@pytest.fixture
def runner(api):
    host = {"NetworkMode": "none"}
    api.post("/containers/create?name=runner", {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": host})
    assert api.post("/containers/runner/start").status == 204


@pytest.mark.parametrize("path", TAKES_BODY)
@pytest.mark.parametrize("name", BODIES)
def test_malformed_bodies(api, runner, path, name):
    answer = api.request("POST", path, BODIES[name], {"Content-Type": "application/json"})
    assert 400 <= answer.status < 500, f"{answer.status}: {answer.message}"
    assert len(answer.message) > 5
    assert api.get("/containers/bad/json").status == 404


def test_a_body_of_another_type_is_refused(api):
    answer = api.request("POST", "/containers/create", b"Image=busybox", {"Content-Type": "text/plain"})
    assert answer.status in (400, 415), answer.message


QUERIES = [
    "GET /containers/json?limit=x",
    "GET /containers/json?all=x%00",
    "GET /containers/json?filters=%7B",
    "GET /containers/json?filters=[]",
    'GET /containers/json?filters={"status":["nonesuch"]}',
    'GET /containers/json?filters={"exited":["x"]}',
    'GET /containers/json?filters={"label":5}',
    "GET /containers/runner/logs",
    "GET /containers/runner/logs?stdout=1&since=x",
    "GET /containers/runner/logs?stdout=1&until=99999999999999999999999",
    "POST /containers/runner/kill?signal=NONESUCH",
    "POST /containers/runner/kill?signal=-3",
    "POST /containers/runner/kill?signal=99999999999999999999",
    "POST /containers/runner/stop?t=x",
    "POST /containers/runner/restart?t=1e9",
    "POST /containers/runner/rename?name=",
    "POST /containers/runner/rename?name=../x",
    f"POST /containers/runner/rename?name={'%0A' * 3}",
    "POST /containers/runner/resize?h=x&w=1",
    "POST /containers/runner/resize?h=-1&w=1",
    "POST /containers/runner/wait?condition=nonesuch",
    "POST /containers/create?name=..%2Fetc",
    "POST /containers/create?name=%00",
    "POST /containers/create?platform=a/b/c/d/e",
    "GET /containers/..%2F..%2Fetc/json",
    "GET /containers/%00/json",
    "GET /containers/%ff%fe/json",
    "GET /images/..%2F..%2Fetc%2Fpasswd/json",
    "GET /images/UPPER/json",
    "GET /images/%00/json",
    "DELETE /images/..%2Fx",
    "POST /images/busybox/tag?repo=%00",
    "POST /images/busybox/tag?repo=..%2Fx",
    "GET /images/get?names=%00",
    'GET /images/json?filters={"nonesuch":["x"]}',
    "GET /events?since=x",
    'GET /events?until=1&filters={"nonesuch":["x"]}',
    "GET /exec/%00/json",
    "GET /exec/..%2Fx/json",
    "POST /exec/nonesuch/resize?h=x&w=y",
]


@pytest.mark.parametrize("call", QUERIES)
def test_malformed_queries_and_names(api, runner, call):
    method, path = call.split(" ", 1)
    answer = api.request(method, path, {"Image": "busybox"} if method == "POST" and "create?" in path else None)
    if ".." in path and answer.status == 301:  # to the cleaned path, as dockerd does
        assert ".." not in answer.headers["location"]
        return
    assert 400 <= answer.status < 500, f"{answer.status}: {answer.message}"
    assert len(answer.message) > 5 and "Traceback" not in answer.message
    assert [name for c in api.get("/containers/json?all=1").json() for name in c["Names"]] == ["/runner"]


def layer_with(name, **options):
    layer = image.Layer()
    layer.add(name, **options)
    return layer.finish()


def bad_archives():
    good = image.busybox_archive("bad:1")
    yield "nothing", b""
    yield "garbage", b"garbage" * 5000
    yield "zeros", b"\0" * 20480
    yield "cut", good[: len(good) // 2]
    yield "cut in a header", good[:700]
    yield "gzip garbage", b"\x1f\x8b\x08" + b"x" * 1000
    yield "no layers", image.archive({"bad:1": ({}, [])}).replace(b'"diff_ids":[]', b'"diff_ids":[x')
    yield "layer is no tar", image.archive({"bad:1": ({}, [b"this is no tar" * 100])})
    climbing = image.Layer()
    climbing.add("../../../../tmp/sampan-escaped", b"x")
    yield "path climbs out", image.archive({"bad:1": ({}, [climbing.finish()])})
    linked = image.Layer()
    linked.link("way", "/tmp")
    linked.add("way/sampan-escaped", b"x")
    yield "path through a link", image.archive({"linked:1": ({}, [linked.finish()])})


@pytest.mark.parametrize(("name", "data"), list(bad_archives()), ids=[name for name, _ in bad_archives()])
def test_malformed_archives(api, sampand, tmp_path, name, data):
    def snapshots():
        return {entry.name for entry in (sampand.data / "snapshots").iterdir()}

    before = snapshots()
    answer = api.request("POST", "/images/load?quiet=1", data, {"Content-Type": "application/x-tar"})
    refused = answer.status >= 400 or b'"error"' in answer.body
    assert answer.status < 500 and b"Traceback" not in answer.body
    assert not leaks.Path("/tmp/sampan-escaped").exists()
    if name == "path through a link":
        api.delete("/images/linked:1?force=1")
        return
    assert refused, answer.body
    assert api.get("/images/bad:1/json").status == 404
    storm.wait_until(lambda: snapshots() <= before, f"no snapshots but {before}")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["Cmd", "Env", "User", "Labels", "Tty", "StopTimeout", "ExposedPorts", "Hostname", "Volumes", "Healthcheck"]
HOST_FIELDS = ["Binds", "Memory", "NanoCpus", "CapAdd", "Mounts", "RestartPolicy", "Tmpfs", "Ulimits", "NetworkMode"]
fields = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=3)
host_fields = st.dictionaries(st.sampled_from(HOST_FIELDS), json_values, max_size=3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields, host_fields)
def test_no_document_makes_create_fail_inside(api, document, host):
    body = json.dumps({"Image": "busybox", **document, "HostConfig": host}).encode()
    answer = api.request("POST", "/containers/create?name=fuzzed", body, {"Content-Type": "application/json"})
    assert answer.status < 500 or answer.status == 501, f"{answer.status} {answer.message} for {body!r}"
    if answer.status == 201:
        assert api.get("/containers/fuzzed/json").status == 200
        assert api.delete("/containers/fuzzed?force=1&v=1").status == 204
