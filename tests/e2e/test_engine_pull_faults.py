"""An engine pulls and pushes while registry, network, disk and the engine itself fail: nothing half is ever listed, and
the next try goes on where the last one ended."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rig import image
from rig.care import started, stop_and_check
from rig.engines import Sampand, peer_binary, peers_ready
from rig.ramdisk import RamDisk
from rig.registries import DebianRegistry
from sampan.kernel import syscalls

pytestmark = pytest.mark.root

ADDRESS = "127.0.0.1:5050"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers for manifests and blobs; the server's `fault` may answer first, and says so by True."""

    protocol_version = "HTTP/1.1"
    server: FaultyRegistry

    def do_GET(self) -> None:
        kind, _, name = self.path.removeprefix(f"/v2/{self.server.repository}/").partition("/")
        offset = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if kind == "blobs":
            self.server.asked.append((name, offset))
        if self.server.fault(self, name, offset):
            return
        if self.path == "/v2/":
            self.reply(200, b"{}")
        elif kind == "manifests":
            self.reply(200, self.server.manifest, {"Content-Type": MANIFEST})
        elif name in self.server.blobs:
            self.blob(name, offset)
        else:
            self.reply(404, b"{}")

    do_HEAD = do_GET

    def blob(self, name: str, offset: int, end: int | None = None, length: int | None = None) -> None:
        """Bytes from `offset`, up to `end`, of what is announced as `length`; less closes the connection."""
        data = self.server.blobs[name]
        fields = {"Content-Range": f"bytes {offset}-{len(data) - 1}/{len(data)}"} if offset else {}
        announced = len(data) - offset if length is None else length
        self.reply(206 if offset else 200, data[offset:end], fields, announced)
        if announced != len(data[offset:end]):
            self.close_connection = True

    def reply(self, status: int, body: bytes, fields: dict[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in (fields or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


Fault = Callable[[Handler, str, int], bool]


def none(handler: Handler, name: str, offset: int) -> bool:
    return False


class FaultyRegistry(ThreadingHTTPServer):
    """A registry on an engine's loopback with one image, which can be given faults."""

    daemon_threads = True

    def __init__(self, daemon: Sampand) -> None:
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.fault: Fault = none
        self.asked: list[tuple[str, int]] = []
        self.blobs: dict[str, bytes] = {}
        self.manifest = b""
        self.repository = ""

        def listen() -> None:
            syscalls.setns(daemon.network.descriptor, syscalls.CLONE_NEWNET)
            self.socket = type(self.socket)(self.address_family, self.socket_type)
            self.server_address = ("", int(ADDRESS.partition(":")[2]))
            self.server_bind()
            self.server_activate()

        thread = threading.Thread(target=listen)
        thread.start()
        thread.join()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no error here."""

    def offer(self, repository: str, layers: list[bytes]) -> list[str]:
        """Serve an image of these gzip layers; their digests."""
        diffs = [digest_of(gzip.decompress(layer)) for layer in layers]
        config = image.document(
            {
                "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
                "rootfs": {"type": "layers", "diff_ids": diffs},
            }
        )  # fmt: skip
        parts = [(CONFIG, config), *((LAYER, layer) for layer in layers)]
        described = [{"mediaType": kind, "digest": digest_of(data), "size": len(data)} for kind, data in parts]
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
        self.blobs = {digest_of(data): data for _, data in parts}
        self.manifest, self.repository = image.document(document), repository
        self.fault = none
        self.asked.clear()
        return [digest_of(layer) for layer in layers]

    def close(self) -> None:
        self.shutdown()
        self.server_close()


def layer_of(seed: int, size: int = 1 << 20) -> bytes:
    """A gzip layer of one file of random bytes."""
    made = image.Layer()
    made.add(f"file{seed}", random.Random(seed).randbytes(size))
    return gzip.compress(made.finish(), 1, mtime=0)


@pytest.fixture(scope="module")
def registry(sampand) -> Iterator[FaultyRegistry]:
    made = FaultyRegistry(sampand)
    yield made
    made.close()


_numbers = iter(range(1, 1 << 20))


@pytest.fixture
def one(registry) -> tuple[str, str, bytes]:
    """An image of one fresh layer: its name, the layer's digest and bytes."""
    number = next(_numbers)
    layer = layer_of(number)
    (digest,) = registry.offer(f"image{number}", [layer])
    return f"{ADDRESS}/image{number}", digest, layer


def pull(daemon: Sampand, name: str, timeout: float = 60) -> str:
    """Pull to the end; the error, "" for none."""
    with daemon.client(timeout=timeout) as client:
        answer = client.post(f"/images/create?fromImage={name}&tag=1")
        if answer.status != 200:
            return answer.message
        lines = [json.loads(line) for line in answer.body.split(b"\r\n") if line]
        return next((str(line["error"]) for line in lines if "error" in line), "")


def listed(daemon: Sampand, name: str) -> bool:
    with daemon.client() as client:
        return any(f"{name}:1" in (found["RepoTags"] or ()) for found in client.get("/images/json?all=1").json())


def stored(daemon: Sampand, digest: str) -> Path:
    return daemon.data / "blobs" / digest.replace(":", "/")


def assert_whole(daemon: Sampand, name: str, *layers: bytes) -> None:
    """The image is listed, its blobs are right, and a container sees its files."""
    assert listed(daemon, name)
    for layer in layers:
        assert stored(daemon, digest_of(layer)).read_bytes() == layer
    with daemon.client() as client:
        made = client.post("/containers/create", {"Image": f"{name}:1", "Cmd": ["none"]})
        assert made.status == 201, made.message
        identity = made.json()["Id"]
        archive = client.get(f"/containers/{identity}/export").body
        for layer in layers:
            content = gzip.decompress(layer)[512:]
            assert content[: 1 << 13] in archive
        assert client.delete(f"/containers/{identity}?force=1").status == 204


def assert_nothing(daemon: Sampand, name: str, *digests: str) -> None:
    assert not listed(daemon, name)
    assert not [digest for digest in digests if stored(daemon, digest).exists()]
    with daemon.client() as client:
        assert client.get(f"/images/{name}:1/json").status == 404


@pytest.mark.parametrize("tenth", range(0, 10))
def test_a_connection_that_is_cut_goes_on_where_it_was(sampand, registry, one, tenth):
    name, digest, layer = one
    cut = len(layer) * tenth // 10

    def fault(handler: Handler, wanted: str, offset: int) -> bool:
        if wanted == digest and not offset and sum(asked == wanted for asked, _ in registry.asked) == 1:
            handler.blob(wanted, 0, end=cut, length=len(layer))
            return True
        return False

    registry.fault = fault
    assert pull(sampand, name) == ""
    assert_whole(sampand, name, layer)
    assert [offset for wanted, offset in registry.asked if wanted == digest] == [0, cut]


def test_a_connection_that_is_cut_again_and_again(sampand, registry, one):
    name, digest, layer = one
    step = len(layer) // 10 + 1

    def fault(handler: Handler, wanted: str, offset: int) -> bool:
        if wanted == digest:
            handler.blob(wanted, offset, end=offset + step, length=len(layer) - offset)
        return wanted == digest

    registry.fault = fault
    assert pull(sampand, name) == ""
    assert_whole(sampand, name, layer)
    assert [offset for wanted, offset in registry.asked if wanted == digest] == [step * n for n in range(10)]


def test_a_registry_without_ranges(sampand, registry, one):
    name, digest, layer = one

    def fault(handler: Handler, wanted: str, offset: int) -> bool:
        if wanted != digest:
            return False
        first = sum(asked == wanted for asked, _ in registry.asked) == 1
        handler.blob(wanted, 0, end=len(layer) // 2 if first else None, length=len(layer))
        return True

    registry.fault = fault
    assert pull(sampand, name) == ""
    assert_whole(sampand, name, layer)


def test_a_failed_pull_leaves_nothing_and_is_resumed(sampand, registry):
    """The first layer came whole, the second broke for good: the next pull asks only for what it has not got."""
    layers = [layer_of(1_000_001), layer_of(1_000_002)]
    digests = registry.offer("resumed", layers)
    name = f"{ADDRESS}/resumed"
    half = len(layers[1]) // 2

    def fault(handler: Handler, wanted: str, offset: int) -> bool:
        if wanted != digests[1]:
            return False
        handler.blob(wanted, offset, end=max(half, offset), length=len(layers[1]) - offset)
        return True

    registry.fault = fault
    assert f"{digests[1]}, at {half} of {len(layers[1])} bytes" in pull(sampand, name)
    assert_nothing(sampand, name, *digests)
    registry.fault = none
    registry.asked.clear()
    assert pull(sampand, name) == ""
    assert [asked for asked in registry.asked if asked[0] in digests] == [(digests[1], half)]
    assert_whole(sampand, name, *layers)
    assert not list((sampand.data / "ingest").iterdir())


@pytest.mark.parametrize("wrong", ["digest", "short", "longer"])
def test_other_bytes_than_were_promised(sampand, registry, one, wrong):
    name, digest, layer = one
    bad = {"digest": layer[:-9] + b"x" + layer[-8:], "short": layer[:-1], "longer": layer + b"more"}[wrong]
    registry.blobs[digest] = bad

    def fault(handler: Handler, wanted: str, offset: int) -> bool:
        if wanted == digest and offset >= len(bad):
            handler.reply(416, b"")
            return True
        return False

    registry.fault = fault
    said = pull(sampand, name)
    assert digest in said, said
    assert_nothing(sampand, name, digest)
    registry.blobs[digest] = layer
    registry.fault = none
    assert pull(sampand, name) == ""
    assert_whole(sampand, name, layer)


@pytest.mark.parametrize("place", ["manifests", "blobs"])
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_registry_that_is_busy_is_asked_again(sampand, registry, one, place, status):
    name, _, layer = one
    refused: list[float] = []

    def fault(handler: Handler, wanted: str, offset: int) -> bool:
        if f"/{place}/" not in handler.path or len(refused) >= 2:
            return False
        refused.append(time.monotonic())
        handler.reply(status, b"", {"Retry-After": "1"} if status == 429 else {})
        return True

    registry.fault = fault
    began = time.monotonic()
    assert pull(sampand, name) == ""
    assert len(refused) == 2
    if status == 429:
        assert time.monotonic() - began >= 2, "what Retry-After asks for is waited"
    assert_whole(sampand, name, layer)


def test_a_registry_that_stays_broken(sampand, registry, one):
    name, digest, _ = one

    def fault(handler: Handler, wanted: str, offset: int) -> bool:
        if wanted == digest:
            handler.reply(500, b'{"errors":[{"code":"UNKNOWN","message":"on fire"}]}')
        return wanted == digest

    registry.fault = fault
    assert "on fire" in pull(sampand, name)
    assert_nothing(sampand, name, digest)


def test_a_token_that_expires_during_the_pull(sampand, registry):
    """Each token is good for three requests: the pull gets new ones, and comes to its end."""
    address = ADDRESS.replace("127.0.0.1", "127.0.0.2")  # what an engine knows of a registry, it keeps
    layers = [layer_of(2_000_000 + number, 10_000) for number in range(8)]
    registry.offer("tokens", layers)
    left: dict[str, int] = {}

    def fault(handler: Handler, wanted: str, offset: int) -> bool:
        if handler.path.startswith("/token"):
            left[token := f"token{len(left)}"] = 3
            handler.reply(200, json.dumps({"token": token, "expires_in": 3600}).encode())
            return True
        token = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        if left.get(token, 0) > 0:
            left[token] -= 1
            return False
        challenge = f'Bearer realm="http://{address}/token",service="faulty",scope="repository:tokens:pull"'
        handler.reply(401, b"{}", {"WWW-Authenticate": challenge})
        return True

    registry.fault = fault
    assert pull(sampand, f"{address}/tokens") == ""
    assert len(left) >= 4
    assert_whole(sampand, f"{address}/tokens", *layers)


def slowly(registry: FaultyRegistry, digest: str, arrived: threading.Event, go_on: threading.Event) -> Fault:
    """Send half of a blob, and the rest once it may go on."""

    def fault(handler: Handler, wanted: str, offset: int) -> bool:
        if wanted != digest or offset:
            return False
        data = registry.blobs[wanted]
        handler.reply(200, data[: len(data) // 2], length=len(data))
        arrived.set()
        go_on.wait(30)
        handler.wfile.write(data[len(data) // 2 :])
        return True

    return fault


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return found


def half_arrived(daemon: Sampand, digest: str, size: int) -> bool:
    ingest = daemon.data / "ingest" / f"pull-{digest.replace(':', '-')}"
    return ingest.exists() and ingest.stat().st_size >= size


def test_a_client_that_goes_away_stops_the_pull(sampand, registry, one):
    name, digest, layer = one
    arrived, go_on = threading.Event(), threading.Event()
    registry.fault = slowly(registry, digest, arrived, go_on)
    client = sampand.client()
    client.begin("POST", f"/images/create?fromImage={name}&tag=1")
    until(lambda: half_arrived(sampand, digest, len(layer) // 2))
    client.close()
    until(lambda: not open_ingests(sampand))
    go_on.set()
    assert_nothing(sampand, name, digest)
    registry.asked.clear()
    assert pull(sampand, name) == ""
    assert [offset for wanted, offset in registry.asked if wanted == digest] == [len(layer) // 2]
    assert_whole(sampand, name, layer)


def open_ingests(daemon: Sampand) -> list[str]:
    folder = Path(f"/proc/{daemon.pid}/fd")
    links = []
    for entry in folder.iterdir():
        try:
            links.append(os.readlink(entry))
        except FileNotFoundError:
            continue
    return [link for link in links if link.startswith(str(daemon.data / "ingest"))]


def test_one_of_two_pulls_is_cancelled(sampand, registry, one):
    """The other takes the layer over, and asks only for its rest."""
    name, digest, layer = one
    arrived, go_on = threading.Event(), threading.Event()
    registry.fault = slowly(registry, digest, arrived, go_on)
    first = sampand.client()
    first.begin("POST", f"/images/create?fromImage={name}&tag=1")
    until(lambda: half_arrived(sampand, digest, len(layer) // 2))
    said: list[str] = []
    second = threading.Thread(target=lambda: said.append(pull(sampand, name)))
    second.start()
    time.sleep(0.3)
    first.close()
    second.join(30)
    go_on.set()
    assert said == [""]
    assert [offset for wanted, offset in registry.asked if wanted == digest] == [0, len(layer) // 2]
    assert_whole(sampand, name, layer)


def test_registries_that_stall_hold_nobody_up(sampand, registry):
    """Six layers wait for bytes that don't come; an image is loaded and another pulled meanwhile."""
    stalled = [layer_of(5_000_000 + number, 100_000) for number in range(6)]
    registry.offer("stalled2", stalled[3:])
    held = {digest_of(layer) for layer in stalled}
    other = layer_of(5_000_100)
    go_on = threading.Event()

    def fault(handler: Handler, wanted: str, offset: int) -> bool:
        if wanted in held:
            handler.reply(200, b"", length=100)
            go_on.wait(30)
        return wanted in held

    waiting = [sampand.client(), sampand.client()]
    try:
        registry.fault = fault
        waiting[1].begin("POST", f"/images/create?fromImage={ADDRESS}/stalled2&tag=1")
        until(lambda: len(open_ingests(sampand)) >= 3)
        registry.offer("stalled", stalled[:3])
        registry.fault = fault
        waiting[0].begin("POST", f"/images/create?fromImage={ADDRESS}/stalled&tag=1")
        until(lambda: len(open_ingests(sampand)) >= 6)
        registry.offer("other", [other])
        with sampand.client() as client:
            archive = image.busybox_archive("meanwhile:1")
            answer = client.request("POST", "/images/load?quiet=1", archive, {"Content-Type": "application/x-tar"})
            assert b'"error"' not in answer.body
        assert pull(sampand, f"{ADDRESS}/other") == ""
        assert_whole(sampand, f"{ADDRESS}/other", other)
    finally:
        for client in waiting:
            client.close()
        go_on.set()
    until(lambda: not open_ingests(sampand))


def test_a_killed_engine_goes_on_with_the_pull(fresh_sampand):
    registry = FaultyRegistry(fresh_sampand)
    try:
        layers = [layer_of(3_000_001), layer_of(3_000_002)]
        digests = registry.offer("killed", layers)
        name = f"{ADDRESS}/killed"
        arrived, go_on = threading.Event(), threading.Event()
        registry.fault = slowly(registry, digests[1], arrived, go_on)
        client = fresh_sampand.client()
        client.begin("POST", f"/images/create?fromImage={name}&tag=1")
        until(lambda: half_arrived(fresh_sampand, digests[1], len(layers[1]) // 2))
        until(lambda: stored(fresh_sampand, digests[0]).exists())
        fresh_sampand.kill()
        client.close()
        go_on.set()
        fresh_sampand.start()
        assert_nothing(fresh_sampand, name, *digests)
        registry.fault = none
        registry.asked.clear()
        assert pull(fresh_sampand, name) == ""
        assert [asked for asked in registry.asked if asked[0] in digests] == [(digests[1], len(layers[1]) // 2)]
        assert_whole(fresh_sampand, name, *layers)
    finally:
        registry.close()


def test_a_killed_engine_pushes_again(fresh_sampand):
    reason = peers_ready()
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="sampan-faults-", dir="/tmp"))
    debian = DebianRegistry(fresh_sampand, folder / "registry", "127.0.0.1:5051")
    debian.start()
    try:
        extra = []
        for number in range(3):
            layer = image.Layer()
            layer.add(f"large{number}", random.Random(number).randbytes(30_000_000))
            extra.append(layer.finish())
        name = f"{debian.address}/killed/large"
        archive = image.busybox_archive(f"{name}:1", None, extra)
        with fresh_sampand.client() as client:
            answer = client.request("POST", "/images/load?quiet=1", archive, {"Content-Type": "application/x-tar"})
            assert b'"error"' not in answer.body
        pushing = fresh_sampand.client()
        pushing.begin("POST", f"/images/{name}/push?tag=1", None, {"X-Registry-Auth": "e30="})
        uploads = folder / "registry" / "root"
        until(lambda: any(path.stat().st_size > 1 << 20 for path in uploads.rglob("_uploads/*/data")))
        fresh_sampand.kill()
        pushing.close()
        assert not list(uploads.rglob("_manifests/tags"))
        fresh_sampand.start()
        with fresh_sampand.client() as client:
            answer = client.request("POST", f"/images/{name}/push?tag=1", None, {"X-Registry-Auth": "e30="})
            assert answer.status == 200 and b'"error"' not in answer.body, answer.body[-300:]
            assert client.delete(f"/images/{name}:1").status == 200
        assert pull(fresh_sampand, name) == ""
        assert listed(fresh_sampand, name)
    finally:
        debian.close()
        shutil.rmtree(folder)
    assert peer_binary("docker-registry")


def test_a_full_disk(tmp_path_factory):
    """Refused with words, nothing half is left, and with room again the same pull comes through."""
    home = Path(tempfile.mkdtemp(prefix="sampan-full-", dir="/tmp"))
    with RamDisk(home / "disk", 64) as disk:
        daemon = started(Sampand(home / "disk" / "engine"))
        registry = FaultyRegistry(daemon)
        try:
            layers = [layer_of(4_000_000 + number, 8_000_000) for number in range(3)]
            digests = registry.offer("full", layers)
            name = f"{ADDRESS}/full"
            filler = disk.path / "filler"
            room = shutil.disk_usage(disk.path).free
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, room - (12 << 20))
            assert "no space left on device" in pull(daemon, name).lower()
            assert_nothing(daemon, name, *digests)
            filler.unlink()
            assert pull(daemon, name) == ""
            assert_whole(daemon, name, *layers)
        finally:
            registry.close()
            stop_and_check(daemon)
    shutil.rmtree(home)
