"""Pulls and pushes against our own registry, with a network that misbehaves on purpose in between."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from rig.registry import Client, bound, descriptor, image, served
from sampan.errors import DataLoss, InvalidArgument, NotFound, Upstream
from sampan.http import HttpServer, Request, Response
from sampan.images.remote import Puller, Pusher, Remote, RemoteSettings
from sampan.images.remote.copy import copy
from sampan.oci import mediatypes
from sampan.oci.digest import Digest, digest_of
from sampan.oci.documents import Descriptor
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference
from sampan.registry.app import RegistryApp
from sampan.registry.auth import Everyone
from sampan.registry.repositories import Registry
from sampan.registry.storage.filesystem import FileStorage

QUICK = RemoteSettings(backoff=0.001, attempts=4)
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
LAYER = os.urandom(100_000)
HOST = Platform.of("linux", "amd64")

Fault = Callable[[Request], Awaitable[Response | None]]


@dataclass
class Network:
    """A registry, and the faults that requests to it meet first."""

    app: RegistryApp
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    base: str = ""

    async def handle(self, request: Request) -> Response:
        self.requests.append(request)
        for fault in self.faults:
            if (reply := await fault(request)) is not None:
                return reply
        return await self.app.handle(request)

    def count(self, method: str, part: str = "") -> int:
        return sum(request.method == method and part in request.target for request in self.requests)


@dataclass
class Memory:
    """A sink and a source in memory. What an aborted writer had stays for the next one."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    partial: dict[str, bytes] = field(default_factory=dict)
    mountable: tuple[str, ...] = ()

    async def has(self, layer: Descriptor) -> bool:
        return layer.digest in self.blobs

    async def begin(self, layer: Descriptor) -> Writer:
        return Writer(self, layer, bytearray(self.partial.get(layer.digest, b"")))

    async def put(self, descriptor: Descriptor, content: bytes) -> None:
        assert digest_of(content) == descriptor.digest
        self.blobs[descriptor.digest] = content

    async def document(self, digest: Digest) -> bytes:
        return self.blobs[digest]

    async def read(self, blob: Descriptor, offset: int) -> AsyncIterator[bytes]:
        content = self.blobs[blob.digest]
        for start in range(offset, len(content), 10_000):
            yield content[start : start + 10_000]

    def origins(self, digest: Digest) -> tuple[str, ...]:
        return self.mountable

    def add(self, content: bytes) -> bytes:
        self.blobs[digest_of(content)] = content
        return content


@dataclass
class Writer:
    memory: Memory
    layer: Descriptor
    data: bytearray

    @property
    def offset(self) -> int:
        return len(self.data)

    async def write(self, data: bytes) -> None:
        self.data += data

    async def commit(self) -> None:
        if digest_of(bytes(self.data)) != self.layer.digest:
            self.data.clear()
            raise DataLoss("unexpected digest")
        self.memory.blobs[self.layer.digest] = bytes(self.data)

    async def abort(self) -> None:
        self.memory.partial[self.layer.digest] = bytes(self.data)


@pytest.fixture
async def network(tmp_path) -> AsyncIterator[Network]:
    storage = FileStorage(tmp_path / "root")
    made = Network(RegistryApp(Registry(storage), Everyone()))
    server = HttpServer(made.handle)
    sock = bound()
    await server.serve_socket(sock)
    made.base = f"127.0.0.1:{sock.getsockname()[1]}"
    yield made
    await server.close(1)
    await storage.close()


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    async with Remote(QUICK) as made:
        yield made


def whole_image(memory: Memory, *layers: bytes, **more: object) -> Descriptor:
    """Put an image into memory; returns its manifest's descriptor."""
    memory.add(CONFIG)
    for layer in layers:
        memory.add(layer)
    manifest = memory.add(json.dumps(image(CONFIG, *layers, **more)).encode())
    return Descriptor(media_type=mediatypes.OCI_MANIFEST, digest=digest_of(manifest), size=len(manifest))


async def push(remote: Remote, network: Network, name: str, *layers: bytes, **more: object) -> Descriptor:
    memory = Memory()
    target = whole_image(memory, *layers, **more)
    reference = Reference.parse(f"{network.base}/{name}")
    await Pusher(remote.repository(reference), memory, settings=QUICK).push(target, reference.tag or "latest")
    return target


def puller(remote: Remote, network: Network, name: str, sink: Memory, **more: object) -> Puller:
    reference = Reference.parse(f"{network.base}/{name}")
    return Puller(remote.repository(reference), sink, settings=QUICK, **more)


async def test_what_is_pushed_is_pulled(network, remote):
    pushed = await push(remote, network, "a/b:t", LAYER, b"small", b"")
    sink = Memory()
    pulled = await puller(remote, network, "a/b", sink).pull("t", HOST)
    assert pulled.target.digest == pushed.digest
    assert pulled.config == CONFIG
    assert [sink.blobs[layer.digest] for layer in pulled.layers] == [LAYER, b"small", b""]
    assert digest_of(sink.blobs[pushed.digest]) == pushed.digest
    by_digest = await puller(remote, network, "a/b", Memory()).pull(pushed.digest, HOST)
    assert by_digest.manifest.content == pulled.manifest.content


async def test_stages_are_told_in_order(network, remote):
    await push(remote, network, "a", LAYER)
    told: list[tuple[str, int]] = []
    sink = Memory()
    report = lambda layer, stage, done: told.append((stage, done))  # noqa: E731
    await puller(remote, network, "a", sink, report=report).pull("latest", HOST)
    assert told[0] == ("waiting", 0)
    assert told[1] == ("started", 0)
    assert told[-1] == ("complete", len(LAYER))
    amounts = [done for stage, done in told if stage == "bytes"]
    assert amounts == sorted(amounts) and amounts[-1] == len(LAYER)
    told.clear()
    await puller(remote, network, "a", sink, report=report).pull("latest", HOST)
    assert told == [("waiting", 0), ("exists", len(LAYER))]


async def test_blobs_that_are_there_are_not_sent_again(network, remote):
    await push(remote, network, "a:1", LAYER)
    sent = network.count("PATCH")
    await push(remote, network, "a:2", LAYER, annotations={"x": "y"})
    assert network.count("PATCH") == sent


async def test_blobs_are_mounted_from_a_repository_of_the_same_registry(network, remote):
    await push(remote, network, "a:1", LAYER)
    sent = network.count("PATCH")
    memory = Memory(mountable=("nowhere", "a"))
    target = whole_image(memory, LAYER)
    told = []
    client = remote.repository(Reference.parse(f"{network.base}/b"))
    await Pusher(client, memory, lambda blob, stage, done, origin="": told.append(stage), QUICK).push(target, "t")
    assert told.count("mounted") == 2
    assert network.count("PATCH") == sent
    assert network.count("DELETE", "/uploads/") == 2


@pytest.mark.parametrize("tenth", range(1, 10))
async def test_a_download_cut_anywhere_goes_on_from_there(network, remote, tenth):
    await push(remote, network, "a", LAYER)
    cut = len(LAYER) * tenth // 10
    asked: list[str | None] = []

    async def cutting(request: Request) -> Response | None:
        if request.method != "GET" or str(digest_of(LAYER)) not in request.target:
            return None
        asked.append(request.headers.get("range"))
        if len(asked) > 1:
            return None

        async def body() -> AsyncIterator[bytes]:
            yield LAYER[:cut]
            await asyncio.sleep(0.01)
            raise ConnectionError

        return Response(200, {"Content-Length": str(len(LAYER))}, body())

    network.faults.append(cutting)
    sink = Memory()
    await puller(remote, network, "a", sink).pull("latest", HOST)
    assert sink.blobs[digest_of(LAYER)] == LAYER
    assert asked == [None, f"bytes={cut}-"]


async def test_a_registry_without_ranges_is_read_again_from_the_start(network, remote):
    await push(remote, network, "a", LAYER)
    sink = Memory(partial={digest_of(LAYER): LAYER[:40_000]})

    async def whole(request: Request) -> Response | None:
        return Response(200, body=LAYER) if str(digest_of(LAYER)) in request.target else None

    network.faults.append(whole)
    await puller(remote, network, "a", sink).pull("latest", HOST)
    assert sink.blobs[digest_of(LAYER)] == LAYER


async def test_a_later_pull_goes_on_where_a_failed_one_stopped(network, remote):
    await push(remote, network, "a", LAYER)
    sink = Memory()
    broken = True

    async def stopping(request: Request) -> Response | None:
        if not broken or str(digest_of(LAYER)) not in request.target:
            return None
        if request.headers.get("range"):
            return Response(503)

        async def body() -> AsyncIterator[bytes]:
            yield LAYER[:30_000]
            await asyncio.sleep(0.01)
            raise ConnectionError

        return Response(200, {"Content-Length": str(len(LAYER))}, body())

    network.faults.append(stopping)
    with pytest.raises(Upstream):
        await puller(remote, network, "a", sink).pull("latest", HOST)
    assert sink.partial[digest_of(LAYER)] == LAYER[:30_000]
    broken = False
    await puller(remote, network, "a", sink).pull("latest", HOST)
    assert network.requests[-1].headers.get("range") == "bytes=30000-"
    assert sink.blobs[digest_of(LAYER)] == LAYER


@pytest.mark.parametrize(
    ("body", "error"),
    [(LAYER[:-1] + b"x", DataLoss), (LAYER + b"more", Upstream), (b"", Upstream), (LAYER[:50], Upstream)],
    ids=["other", "longer", "empty", "shorter"],
)
async def test_bytes_that_are_not_the_blobs_are_never_kept(network, remote, body, error):
    await push(remote, network, "a", LAYER)

    async def lying(request: Request) -> Response | None:
        if str(digest_of(LAYER)) not in request.target:
            return None
        return Response(200, body=body) if not request.headers.get("range") else Response(416)

    network.faults.append(lying)
    sink = Memory()
    with pytest.raises((error, Upstream)):
        await puller(remote, network, "a", sink).pull("latest", HOST)
    assert digest_of(LAYER) not in sink.blobs


async def test_a_manifest_that_is_not_what_was_asked_for(network, remote):
    pushed = await push(remote, network, "a", LAYER)

    async def lying(request: Request) -> Response | None:
        if "/manifests/" not in request.target:
            return None
        return Response(200, {"Content-Type": mediatypes.OCI_MANIFEST}, b'{"schemaVersion": 2}')

    network.faults.append(lying)
    with pytest.raises(DataLoss):
        await puller(remote, network, "a", Memory()).pull(pushed.digest, HOST)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_passing_failures_are_tried_again(network, remote, status):
    await push(remote, network, "a", LAYER)
    failures: dict[str, int] = {}

    async def failing(request: Request) -> Response | None:
        failures[request.target] = failures.get(request.target, 0) + 1
        if failures[request.target] > 2:
            return None
        return Response(status, {"Retry-After": "0"} if status == 429 else {})

    network.faults.append(failing)
    sink = Memory()
    await puller(remote, network, "a", sink).pull("latest", HOST)
    assert sink.blobs[digest_of(LAYER)] == LAYER


async def test_retry_after_is_waited_for(network, remote, monkeypatch):
    await push(remote, network, "a", LAYER)
    waits: list[float] = []

    async def noted(seconds: float) -> None:
        waits.append(seconds)

    calls = 0

    async def busy(request: Request) -> Response | None:
        nonlocal calls
        calls += "/manifests/" in request.target
        return Response(429, {"Retry-After": "7"}) if "/manifests/" in request.target and calls == 1 else None

    network.faults.append(busy)
    monkeypatch.setattr("sampan.images.remote.connection.asyncio.sleep", noted)
    await puller(remote, network, "a", Memory()).pull("latest", HOST)
    assert waits == [7.0]


async def test_lasting_failures_are_told(network, remote):
    async def failing(request: Request) -> Response | None:
        return Response(500, body=b'{"errors":[{"code":"UNKNOWN","message":"disk on fire"}]}')

    network.faults.append(failing)
    with pytest.raises(Upstream, match="disk on fire"):
        await puller(remote, network, "a", Memory()).pull("latest", HOST)


async def test_nobody_listens(remote):
    sock = bound()
    port = sock.getsockname()[1]
    sock.close()
    with pytest.raises(
        Upstream, match=f'^Get "http://127.0.0.1:{port}/v2/": dial tcp 127.0.0.1:{port}: connect: connection refused$'
    ):
        await remote.repository(Reference.parse(f"127.0.0.1:{port}/a")).tags()


@pytest.mark.parametrize("tenth", range(1, 10))
async def test_an_upload_cut_anywhere_goes_on(network, remote, tenth):
    cut = len(LAYER) * tenth // 10
    cuts = 0

    async def cutting(request: Request) -> Response | None:
        nonlocal cuts
        if request.method != "PATCH" or request.body.length != len(LAYER) or cuts:
            return None
        cuts += 1
        left = cut
        taken: list[bytes] = []
        while left and (piece := await request.body.read(left)):
            taken.append(piece)
            left -= len(piece)

        async def body() -> AsyncIterator[bytes]:
            for piece in taken:
                yield piece

        upload = request.path.rpartition("/")[2]
        await network.app._registry.storage.append(upload, body())
        raise ConnectionError

    network.faults.append(cutting)
    pushed = await push(remote, network, "a", LAYER)
    ranges = [request.headers.get("content-range") for request in network.requests if request.method == "PATCH"]
    assert f"{cut}-{len(LAYER) - 1}" in ranges
    sink = Memory()
    pulled = await puller(remote, network, "a", sink).pull("latest", HOST)
    assert (pulled.target.digest, sink.blobs[digest_of(LAYER)]) == (pushed.digest, LAYER)


async def test_an_upload_that_the_registry_forgot_is_begun_again(network, remote):
    forgotten = 0

    async def forgetting(request: Request) -> Response | None:
        nonlocal forgotten
        if request.method == "PATCH" and request.body.length == len(LAYER) and forgotten == 0:
            forgotten += 1
            return Response(404, body=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}')
        return None

    network.faults.append(forgetting)
    await push(remote, network, "a", LAYER)
    assert forgotten == 1


async def test_chunked_uploads(network):
    async with Remote(replace(QUICK, chunk_size=30_000)) as remote:
        memory = Memory()
        target = whole_image(memory, LAYER)
        client = remote.repository(Reference.parse(f"{network.base}/a"))
        await Pusher(client, memory, settings=remote.settings).push(target, "t")
    ranges = [request.headers.get("content-range") for request in network.requests if request.method == "PATCH"]
    assert {"0-29999", "30000-59999", "60000-89999", "90000-99999"} <= set(ranges)


async def test_as_many_downloads_at_once_as_the_settings_say(network):
    layers = [os.urandom(1000) for _ in range(8)]
    async with Remote(replace(QUICK, downloads=2)) as remote:
        await push(remote, network, "a", *layers)
        running = most = 0

        async def counting(request: Request) -> Response | None:
            nonlocal running, most
            if "/blobs/" in request.target:
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.01)
                running -= 1
            return None

        network.faults.append(counting)
        client = remote.repository(Reference.parse(f"{network.base}/a"))
        await Puller(client, Memory(), settings=remote.settings).pull("latest", HOST)
    assert most == 2


# indexes


async def test_the_platform_is_chosen_and_the_index_kept(network, remote):
    memory = Memory()
    entries = []
    for architecture in ("arm64", "amd64", "386"):
        target = whole_image(memory, architecture.encode(), annotations={"for": architecture})
        entries.append(
            {
                "mediaType": target.media_type,
                "digest": target.digest,
                "size": target.size,
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    index = memory.add(
        json.dumps({"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": entries}).encode()
    )
    described = Descriptor(media_type=mediatypes.OCI_INDEX, digest=digest_of(index), size=len(index))
    client = remote.repository(Reference.parse(f"{network.base}/a"))
    assert await Pusher(client, memory, settings=QUICK).push(described, "multi") == digest_of(index)
    for architecture in ("arm64", "amd64", "386"):
        sink = Memory()
        pulled = await puller(remote, network, "a", sink).pull("multi", Platform.of("linux", architecture))
        assert sink.blobs[pulled.layers[0].digest] == architecture.encode()
        assert [found.digest for found in pulled.above] == [digest_of(index)]
        assert sink.blobs[digest_of(index)] == index
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        await puller(remote, network, "a", Memory()).pull("multi", Platform.of("linux", "s390x"))
    with pytest.raises(NotFound):
        await puller(remote, network, "a", Memory()).pull("multi", Platform.of("linux", "arm", "v7"), exact=True)


async def test_what_is_no_image_is_refused(network, remote):
    document = image(b"{}", artifactType="application/x")
    document["config"]["mediaType"] = "application/x"
    async with served(network.app._registry) as client:
        await client.put_blob("a", b"{}")
        await client.put_manifest("a", "t", document)
    with pytest.raises(InvalidArgument, match="no image"):
        await puller(remote, network, "a", Memory()).pull("t", HOST)


async def test_schema_1_is_refused(network, remote):
    async def old(request: Request) -> Response | None:
        if "/manifests/" not in request.target:
            return None
        kind = {"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"}
        return Response(200, kind, b'{"schemaVersion": 1}')

    network.faults.append(old)
    with pytest.raises(InvalidArgument, match="schema 1"):
        await puller(remote, network, "a", Memory()).pull("t", HOST)


async def test_what_is_not_there_in_dockers_words(network, remote):
    with pytest.raises(NotFound, match=r"manifest for 127.0.0.1:\d+/a:t not found: manifest unknown: "):
        await puller(remote, network, "a", Memory()).pull("t", HOST)


# lists, referrers, copies


async def test_lists_over_pages(network, remote):
    for number in range(5):
        await push(remote, network, f"a:{number}", b"x")
    await push(remote, network, "b/c", b"x")

    async def small(request: Request) -> Response | None:
        if request.target.endswith("/tags/list") or request.target.endswith("_catalog"):
            request.query._pairs.append(("n", "2"))
        return None

    network.faults.append(small)
    client = remote.repository(Reference.parse(f"{network.base}/a"))
    assert await client.tags() == ["0", "1", "2", "3", "4"]
    assert await client.catalog() == ["a", "b/c"]


async def test_referrers(network, remote):
    subject = await push(remote, network, "a", b"x")
    to = {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size}
    one = await push(remote, network, "a:one", b"x", subject=to, artifactType="application/one")
    await push(remote, network, "a:two", b"x", subject=to, artifactType="application/two")
    client = remote.repository(Reference.parse(f"{network.base}/a"))
    assert len(await client.referrers(subject.digest)) == 2
    assert [found.digest for found in await client.referrers(subject.digest, "application/one")] == [one.digest]


async def test_referrers_where_the_registry_has_no_such_api(network, remote):
    async def old(request: Request) -> Response | None:
        if "/referrers/" in request.target:
            return Response(404)
        if request.method == "PUT" and "/manifests/" in request.target:
            reply = await network.app.handle(request)
            reply.headers = {name: value for name, value in reply.headers.items() if name != "OCI-Subject"}
            return reply
        return None

    network.faults.append(old)
    subject = await push(remote, network, "a", b"x")
    to = {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size}
    pushed = [
        await push(remote, network, f"a:{kind}", b"x", subject=to, artifactType=f"application/{kind}")
        for kind in ("one", "two")
    ]
    client = remote.repository(Reference.parse(f"{network.base}/a"))
    found = await client.referrers(subject.digest)
    assert [(entry.digest, entry.artifact_type) for entry in found] == [
        (pushed[0].digest, "application/one"),
        (pushed[1].digest, "application/two"),
    ]


async def test_copies_keep_every_byte(network, remote, tmp_path):
    pushed = await push(remote, network, "a:1", LAYER, b"small")
    other = Registry(FileStorage(tmp_path / "other"))
    async with served(other) as elsewhere:
        source = remote.repository(Reference.parse(f"{network.base}/a"))
        target = remote.repository(Reference.parse(f"{elsewhere.base.removeprefix('http://')}/copied/here"))
        assert await copy(source, "1", target, "2", settings=QUICK) == pushed.digest
        assert (await elsewhere.get(f"/v2/copied/here/blobs/{digest_of(LAYER)}")).body == LAYER
        assert (await elsewhere.get("/v2/copied/here/manifests/2")).headers["Docker-Content-Digest"] == pushed.digest


async def test_copies_within_a_registry_mount(network, remote):
    pushed = await push(remote, network, "a:1", LAYER)
    sent = network.count("PATCH")
    source, target = (remote.repository(Reference.parse(f"{network.base}/{name}")) for name in ("a", "b"))
    assert await copy(source, "1", target, "1", settings=QUICK) == pushed.digest
    assert network.count("PATCH") == sent


async def test_deleting(network, remote):
    pushed = await push(remote, network, "a:1", LAYER)
    client = remote.repository(Reference.parse(f"{network.base}/a"))
    assert (await client.head("1")).digest == pushed.digest
    await client.delete_manifest("1")
    with pytest.raises(NotFound):
        await client.head("1")
    await client.delete_blob(digest_of(LAYER))
    assert await client.blob_size(digest_of(LAYER)) is None


@asynccontextmanager
async def mirror(registry: Registry) -> AsyncIterator[Client]:
    async with served(registry) as made:
        yield made


async def test_mirrors_are_asked_first_and_passed_over_when_they_fail(network, tmp_path, monkeypatch):
    """The hub is our registry, by another name; the first mirror lacks the image, the second has it."""
    monkeypatch.setattr("sampan.images.remote.endpoints.HUB", f"http://{network.base}")
    async with served(Registry(FileStorage(tmp_path / "one"))) as empty:
        settings = replace(QUICK, mirrors=(empty.base, f"http://{network.base}"))
        async with Remote(settings) as remote:
            async with served(network.app._registry) as client:
                digest = await client.put_image("library/busybox", "latest")
                await client.put_blob("library/busybox", CONFIG)
                await client.put_manifest("library/busybox", "latest", image(CONFIG, b"layer"))
            client = remote.repository(Reference.parse("busybox"))
            pulled = await Puller(client, Memory(), settings=settings).pull("latest", HOST)
            assert pulled.layers[0].digest == digest_of(b"layer")
            assert digest != pulled.target.digest
    assert descriptor(b"layer", "x")["digest"] == digest_of(b"layer")
