"""Bad input on every route: a status of the client's mistake, a message that says it, and nothing left behind."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from rig.engines import TEST_HOST
from rig.http import EngineClient

pytestmark = pytest.mark.skipif(
    bool(TEST_HOST), reason="a genuine dockerd answers some of these with 500, or takes them"
)

IMAGE = "busybox"
JSON = {"Content-Type": "application/json"}


def create(**fields: Any) -> bytes:
    """The body of a create request."""
    host = {"NetworkMode": "none"} | fields.pop("HostConfig", {})
    return json.dumps({"Image": IMAGE, "Cmd": ["true"], "HostConfig": host} | fields).encode()


def tar(*members: tuple[str, bytes]) -> bytes:
    """A tar of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


BODIES = [b"{", b"{}{}", b"[]", b"3", b'"x"', b"\xff", b'{"Image":3}', b'{"Cmd":{}}', b"[" * 100_000, b'{"a":"\xff"}']
CREATES = [
    create(Image=""),
    create(Image="UPPER"),
    create(Image="a:b:c"),
    create(Image="no such"),
    create(Image="nosuch:latest"),
    create(Env=["=x"]),
    create(WorkingDir="not/absolute"),
    create(StopSignal="NOSUCH"),
    create(Healthcheck={"Test": ["CMD", "x"], "Interval": 1}),
    create(HostConfig={"Memory": 1}),
    create(HostConfig={"Memory": -5}),
    create(HostConfig={"Memory": "x"}),
    create(HostConfig={"Memory": 2**64}),
    create(HostConfig={"NanoCpus": -1}),
    create(HostConfig={"ShmSize": -1}),
    create(HostConfig={"CapAdd": ["NOSUCH"]}),
    create(HostConfig={"NetworkMode": "container:"}),
    create(HostConfig={"RestartPolicy": {"Name": "bogus"}}),
    create(HostConfig={"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}),
    create(HostConfig={"RestartPolicy": {"Name": "always"}, "AutoRemove": True}),
    create(HostConfig={"Binds": ["x"]}),
    create(HostConfig={"Binds": ["/a:b"]}),
    create(HostConfig={"Binds": ["/a:/b:bogus"]}),
    create(HostConfig={"Mounts": [{"Type": "bogus", "Target": "/x"}]}),
    create(HostConfig={"Mounts": [{"Type": "bind", "Source": "/no/such/place", "Target": "/x"}]}),
    create(HostConfig={"Mounts": [{"Type": "tmpfs", "Target": ""}]}),
    create(HostConfig={"LogConfig": {"Type": "bogus"}}),
    create(HostConfig={"LogConfig": {"Type": "json-file", "Config": {"bogus": "1"}}}),
    create(HostConfig={"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}),
    create(HostConfig={"Ulimits": [{"Name": "bogus", "Soft": 1, "Hard": 1}]}),
    create(HostConfig={"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]}),
    create(HostConfig={"IpcMode": "bogus"}),
    create(HostConfig={"PidMode": "bogus"}),
    create(HostConfig={"SecurityOpt": ["bogus"]}),
    create(HostConfig={"ExtraHosts": ["x"]}),
    create(HostConfig={"Tmpfs": {"/x": "bogus"}}),
]
NAMES = ["a", "/", "a b", "-x", "../x", "é", "a\0b", "x" * 5000 + "/"]
QUERIES = [
    ("GET", "/containers/json?limit=x"),
    ("GET", "/containers/json?filters=x"),
    ("GET", '/containers/json?filters={"bogus":["x"]}'),
    ("GET", '/containers/json?filters={"status":["bogus"]}'),
    ("GET", '/containers/json?filters={"exited":["x"]}'),
    ("GET", '/containers/json?filters={"before":["nosuch"]}'),
    ("GET", "/containers/json?all=%zz"),
    ("GET", "/containers/json?a;b"),
    ("GET", "/containers/nosuch/json"),
    ("GET", "/containers/%00/json"),
    ("GET", "/containers/bad/logs"),
    ("GET", "/containers/bad/logs?stdout=1&since=x"),
    ("GET", "/containers/bad/logs?stdout=1&tail=x"),
    ("GET", "/containers/nosuch/logs?stdout=1"),
    ("POST", "/containers/nosuch/start"),
    ("POST", "/containers/bad/start?detachKeys=bogus-key"),
    ("POST", "/containers/bad/stop?t=x"),
    ("POST", "/containers/bad/stop?signal=NOSUCH"),
    ("POST", "/containers/bad/kill?signal=NOSUCH"),
    ("POST", "/containers/bad/kill?signal=99"),
    ("POST", "/containers/bad/kill?signal=0"),
    ("POST", "/containers/bad/restart?t=x"),
    ("POST", "/containers/bad/resize"),
    ("POST", "/containers/bad/resize?h=x&w=1"),
    ("POST", "/containers/bad/resize?h=1&w=-1"),
    ("POST", "/containers/bad/wait?condition=bogus"),
    ("POST", "/containers/nosuch/wait"),
    ("POST", "/containers/bad/rename"),
    ("POST", "/containers/bad/rename?name=-x"),
    ("POST", "/containers/bad/rename?name=bad"),
    ("DELETE", "/containers/nosuch"),
    ("DELETE", "/containers/bad"),
    ("POST", '/containers/prune?filters={"bogus":["x"]}'),
    ("POST", '/containers/prune?filters={"until":["x"]}'),
    ("POST", "/containers/bad/exec"),
    ("POST", "/exec/nosuch/start"),
    ("POST", "/exec/nosuch/resize?h=1&w=1"),
    ("GET", "/exec/nosuch/json"),
    ("GET", "/images/nosuch/json"),
    ("GET", "/images/UPPER/json"),
    ("GET", f"/images/{IMAGE}/json?platform=x"),
    ("GET", "/images/nosuch/history"),
    ("GET", "/images/nosuch/get"),
    ("GET", '/images/json?filters={"bogus":["x"]}'),
    ("GET", '/images/json?filters={"dangling":["maybe"]}'),
    ("GET", '/images/json?filters={"before":["nosuch"]}'),
    ("POST", f"/images/{IMAGE}/tag?repo=UPPER"),
    ("POST", f"/images/{IMAGE}/tag?repo=a&tag=b/c"),
    ("POST", f"/images/{IMAGE}/tag?repo=a@sha256:{'0' * 64}"),
    ("POST", "/images/nosuch/tag?repo=a"),
    ("DELETE", "/images/nosuch"),
    ("DELETE", f"/images/{IMAGE}"),
    ("POST", "/images/create"),
    ("GET", "/volumes/nosuch"),
    ("DELETE", "/volumes/nosuch"),
    ("GET", '/volumes?filters={"bogus":["x"]}'),
    ("GET", "/networks/nosuch"),
    ("GET", "/networks/bridge?verbose=x"),
    ("DELETE", "/networks/nosuch"),
    ("DELETE", "/networks/bridge"),
    ("POST", "/networks/create"),
    ("GET", "/events?since=x"),
    ("GET", "/events?since=10&until=5"),
    ("GET", "/events?filters=x"),
    ("GET", "/nosuch"),
]
ARCHIVES = {
    "nothing": b"",
    "no tar": b"this is no tar" * 100,
    "cut": tar(("manifest.json", b"[]" * 1000))[:700],
    "empty": tar(),
    "no manifest": tar(("x", b"y")),
    "bad manifest": tar(("manifest.json", b"{")),
    "missing config": tar(("manifest.json", b'[{"Config":"nosuch.json","RepoTags":["a:b"],"Layers":[]}]')),
    "bad config": tar(("manifest.json", b'[{"Config":"c","RepoTags":["a:b"],"Layers":[]}]'), ("c", b"{")),
    "outside": tar(("manifest.json", b'[{"Config":"../../etc/passwd","RepoTags":["a:b"],"Layers":[]}]')),
    "bad gzip": b"\x1f\x8b\x08\x00" + b"\x00" * 200,
    "bad zstd": b"\x28\xb5\x2f\xfd" + b"\xff" * 200,
}


def standing(client: EngineClient) -> dict[str, Any]:
    """What there is: ids and names of all objects."""
    volumes = client.get("/volumes").json()["Volumes"] or []
    return {
        "containers": sorted(row["Id"] for row in client.get("/containers/json?all=1").json()),
        "images": sorted((row["Id"], *row["RepoTags"]) for row in client.get("/images/json?all=1").json()),
        "networks": sorted(row["Id"] for row in client.get("/networks").json()),
        "volumes": sorted(row["Name"] for row in volumes),
    }


@pytest.fixture
def client(api: EngineClient) -> Iterator[EngineClient]:
    """A client of an engine with one running container, `bad`; nothing may have changed at the end."""
    body = create(Cmd=["sleep", "1000"])
    assert api.request("POST", "/containers/create?name=bad", body, JSON).status == 201
    assert api.post("/containers/bad/start").status == 204
    before = standing(api)
    yield api
    assert standing(api) == before


class Refusals:
    """Asks, and notes what was not refused with a client's status and a message."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self.taken: list[str] = []

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
        """The reply must be a 4xx, or a 501 for what is not there yet, that says why."""
        answer = self._client.request(method, path, body, headers or (JSON if body else None))
        if not (400 <= answer.status < 500 or answer.status == 501) or not answer.message.strip():
            self.taken.append(f"{method} {path} {(body or b'')[:300]!r}: {answer.status} {answer.body[:200]!r}")

    def ask_stream(self, path: str, body: bytes) -> None:
        """The reply may also be a stream of progress that ends with an error, as dockerd's is."""
        answer = self._client.request("POST", path, body, {"Content-Type": "application/x-tar"})
        last = answer.body.splitlines()[-1] if answer.body.strip() else b"{}"
        if not 400 <= answer.status < 500 and not (answer.status == 200 and json.loads(last).get("error")):
            self.taken.append(f"{path} {body[:60]!r}: {answer.status} {answer.body[:200]!r}")


@pytest.fixture
def refusals(client: EngineClient) -> Iterator[Refusals]:
    """All that was not refused is shown at once."""
    noted = Refusals(client)
    yield noted
    assert not noted.taken, "\n".join(noted.taken)


def test_queries(refusals: Refusals):
    for method, path in QUERIES:
        refusals.ask(method, path)


def test_bodies(refusals: Refusals):
    targets = ["/containers/create", "/containers/bad/exec", "/exec/x/start", "/networks/create"]
    targets += ["/networks/bridge/connect", "/networks/bridge/disconnect"]
    for target in targets:
        for body in BODIES:
            refusals.ask("POST", target, body)
        refusals.ask("POST", target, b"{}", **{"Content-Type": "text/plain"})
        refusals.ask("POST", target, b"{}", **{"Content-Type": ";;"})


def test_create_requests(refusals: Refusals):
    for body in CREATES:
        refusals.ask("POST", "/containers/create", body)


def test_names(refusals: Refusals):
    for name in NAMES:
        refusals.ask("POST", f"/containers/create?name={quote(name, safe='')}", create())
        refusals.ask("POST", f"/containers/bad/rename?name={quote(name, safe='')}")
        refusals.ask("POST", "/volumes/create", json.dumps({"Name": name}).encode())


@pytest.mark.parametrize("what", ARCHIVES)
def test_archives(refusals: Refusals, what: str):
    archive = ARCHIVES[what]
    refusals.ask_stream("/images/load", archive)
    if what in ("no tar", "cut", "bad gzip", "bad zstd"):
        refusals.ask_stream("/images/create?fromSrc=-", archive)


def test_heads(client: EngineClient):
    for head in (b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"):
        client.send_raw(head)
        answer = client.head()
        assert answer.status == 400
        assert b"400 Bad Request" in b"".join(client.stream(answer))
        client.close()
