"""Registries that mean ill, or are broken in ways that look so: each gives a clear error, nothing hangs, and what is
secret stays with whom it is for."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from rig.registry import descriptor, image
from sampan.errors import DataLoss, InvalidArgument, NotFound, SampanError, Unauthenticated, Upstream
from sampan.images.remote import Credentials, Puller, Pusher, Remote, RemoteSettings
from sampan.images.remote.auth import parse_challenges
from sampan.images.remote.wire import pieces_of
from sampan.oci import mediatypes
from sampan.oci.digest import Digest, digest_of
from sampan.oci.documents import Descriptor
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference

SETTINGS = RemoteSettings(backoff=0.001, attempts=2, read_timeout=30, document_timeout=30)
IMPATIENT = replace(SETTINGS, attempts=1, read_timeout=0.3, document_timeout=0.3)
PASSWORD = Credentials("user", "secret")
IDENTITY = Credentials("user", identity_token="refresh-secret")
HOST = Platform.of("linux", "amd64")
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
LAYER = bytes(range(256)) * 40


@dataclass
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


Talk = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Stranger:
    """A server that says whatever it is told to, byte for byte. `routes` are by the beginning of the target; the
    longest counts, and what has none is not found."""

    routes: dict[str, Talk] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    host: str = ""

    @property
    def base(self) -> str:
        return f"http://{self.host}"

    def on(self, target: str, talk: Talk | bytes) -> None:
        self.routes[target] = saying(talk) if isinstance(talk, bytes) else talk

    def secrets(self) -> list[str]:
        """Everything secret that was sent here."""
        told = [" ".join((asked.target, str(asked.headers), asked.body.decode("latin-1"))) for asked in self.asked]
        return [text for text in told if "authorization" in text.lower() or "secret" in text]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                self.asked.append(request)
                fitting = [target for target in self.routes if request.target.startswith(target)]
                await self.routes.get(max(fitting, key=len, default=""), saying(answer(404)))(request, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    first = await reader.read(1)
    if first in (b"", b"\x16"):  # Nothing more, or TLS, which is tried first where it is not needed.
        return None
    line = first + await reader.readline()
    method, target, _ = line.decode("latin-1").split(" ")
    headers = {}
    while (line := await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, body)


def answer(status: int, body: bytes = b"", /, **headers: str) -> bytes:
    fields = {"Content_Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def saying(data: bytes) -> Talk:
    async def talk(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return talk


def trickling(data: bytes, piece: bytes, pause: float = 0.05) -> Talk:
    """`data`, then `piece` again and again, for ever."""

    async def talk(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return talk


def challenge(realm: str) -> bytes:
    return answer(401, WWW_Authenticate=f'Bearer realm="{realm}",service="s"')


def needing_a_token(asked: bytes, realm: str) -> Talk:
    """401 with a challenge, unless a token is there."""

    async def talk(request: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(asked if request.headers.get("authorization") == "Bearer token" else challenge(realm))

    return talk


TOKEN = answer(200, b'{"token":"token"}')


@pytest.fixture
async def strangers() -> AsyncIterator[tuple[Stranger, Stranger]]:
    """The registry, and another host (another port is one as well)."""
    made = Stranger(), Stranger()
    async with AsyncExitStack() as stack:
        for stranger in made:
            server = await asyncio.start_server(stranger.serve, "127.0.0.1", 0)
            stack.callback(server.close)
            stranger.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            stranger.on("/v2/", answer(404))
        yield made


@pytest.fixture
def registry(strangers) -> Stranger:
    return strangers[0]


@pytest.fixture
def elsewhere(strangers) -> Stranger:
    return strangers[1]


@dataclass
class Kept:
    """A sink that keeps what it gets, and a source."""

    blobs: dict[str, bytes] = field(default_factory=dict)

    async def has(self, layer: Descriptor) -> bool:
        return layer.digest in self.blobs

    async def begin(self, layer: Descriptor) -> Kept:
        self.data, self.layer = bytearray(), layer
        return self

    @property
    def offset(self) -> int:
        return len(self.data)

    async def write(self, data: bytes) -> None:
        self.data += data

    async def commit(self) -> None:
        if digest_of(bytes(self.data)) != self.layer.digest:
            raise DataLoss("unexpected digest")
        self.blobs[self.layer.digest] = bytes(self.data)

    async def abort(self) -> None:
        pass

    async def put(self, descriptor: Descriptor, content: bytes) -> None:
        self.blobs[descriptor.digest] = content

    async def document(self, digest: Digest) -> bytes:
        return self.blobs[digest]

    async def read(self, blob: Descriptor, offset: int) -> AsyncIterator[bytes]:
        yield self.blobs[blob.digest][offset:]

    def origins(self, digest: Digest) -> tuple[str, ...]:
        return ()


async def pull(stranger: Stranger, credentials: Credentials | None = None, settings: RemoteSettings = SETTINGS) -> Kept:
    sink = Kept()
    async with Remote(settings) as remote:
        client = remote.repository(Reference.parse(f"{stranger.host}/a"), credentials)
        await Puller(client, sink, settings=settings).pull("t", HOST)
    return sink


async def push(stranger: Stranger, credentials: Credentials | None = None) -> None:
    source = Kept({digest_of(content): content for content in (CONFIG, LAYER)})
    manifest = json.dumps(image(CONFIG, LAYER)).encode()
    source.blobs[digest_of(manifest)] = manifest
    async with Remote(SETTINGS) as remote:
        client = remote.repository(Reference.parse(f"{stranger.host}/a"), credentials)
        target = Descriptor(media_type=mediatypes.OCI_MANIFEST, digest=digest_of(manifest), size=len(manifest))
        await Pusher(client, source, settings=SETTINGS).push(target, "t")


async def tags(stranger: Stranger, settings: RemoteSettings = SETTINGS) -> list[str]:
    async with Remote(settings) as remote:
        return await remote.repository(Reference.parse(f"{stranger.host}/a")).tags()


def give_image(stranger: Stranger, document: Any = None, content_type: str = mediatypes.OCI_MANIFEST) -> None:
    """A whole image at a:t."""
    manifest = json.dumps(document or image(CONFIG, LAYER)).encode()
    stranger.on("/v2/a/manifests/", answer(200, manifest, Content_Type=content_type))
    for content in (CONFIG, LAYER):
        stranger.on(f"/v2/a/blobs/{digest_of(content)}", answer(200, content))


# Where secrets go


async def test_a_blob_that_is_elsewhere_is_fetched_without_credentials(registry, elsewhere):
    give_image(registry)
    blob = f"/v2/a/blobs/{digest_of(LAYER)}"
    registry.on("/v2/", needing_a_token(answer(200), f"{registry.base}/token"))
    registry.on("/token", TOKEN)
    registry.on(blob, needing_a_token(answer(307, Location=f"{elsewhere.base}/store"), f"{registry.base}/token"))
    elsewhere.on("/store", answer(200, LAYER))
    sink = await pull(registry, PASSWORD)
    assert sink.blobs[digest_of(LAYER)] == LAYER
    assert [asked.target for asked in elsewhere.asked] == ["/store"] and elsewhere.secrets() == []


async def test_what_another_host_asks_for_is_not_given(registry, elsewhere):
    """A store that asks for a token at a realm of its own choice gets none."""
    give_image(registry)
    registry.on(f"/v2/a/blobs/{digest_of(LAYER)}", answer(302, Location=f"{elsewhere.base}/store"))
    elsewhere.on("/store", challenge(f"{elsewhere.base}/token"))
    elsewhere.on("/token", TOKEN)
    with pytest.raises(Unauthenticated):
        await pull(registry, PASSWORD)
    assert {asked.target for asked in elsewhere.asked} == {"/store"} and elsewhere.secrets() == []


async def test_uploads_that_go_elsewhere_take_no_credentials_along(registry, elsewhere):
    registry.on("/v2/", needing_a_token(answer(404), f"{registry.base}/token"))
    registry.on("/token", TOKEN)
    place = answer(202, Location=f"{elsewhere.base}/upload?state=1")
    registry.on("/v2/a/blobs/uploads/", needing_a_token(place, f"{registry.base}/token"))
    elsewhere.on("/upload", answer(401, WWW_Authenticate=f'Basic realm="{elsewhere.base}"'))
    with pytest.raises(SampanError, match=r"unauthorized|denied|401"):
        await push(registry, PASSWORD)
    assert "/upload?state=1" in {asked.target for asked in elsewhere.asked}
    assert elsewhere.secrets() == []


async def test_a_list_that_goes_on_elsewhere_takes_no_credentials_along(registry, elsewhere):
    page = answer(200, b'{"tags":["1"]}', Link=f'<{elsewhere.base}/more>; rel="next"')
    registry.on("/v2/", needing_a_token(page, f"{registry.base}/token"))
    registry.on("/token", TOKEN)
    elsewhere.on("/more", answer(200, b'{"tags":["2"]}'))
    async with Remote(SETTINGS) as remote:
        client = remote.repository(Reference.parse(f"{registry.host}/a"), PASSWORD)
        assert await client.tags() == ["1", "2"]
    assert elsewhere.secrets() == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_token_service_that_redirects_gives_no_password_away(registry, elsewhere, status):
    give_image(registry)
    registry.on("/v2/a/manifests/", challenge(f"{registry.base}/token"))
    registry.on("/token", answer(status, Location=f"{elsewhere.base}/token"))
    elsewhere.on("/token", answer(401))
    with pytest.raises(SampanError):
        await pull(registry, PASSWORD)
    with pytest.raises(Upstream):
        await pull(registry, IDENTITY)
    assert elsewhere.secrets() == []
    assert any(asked.headers.get("authorization", "").startswith("Basic ") for asked in registry.asked)
    assert any(b"refresh-secret" in asked.body for asked in registry.asked)


async def test_a_token_service_elsewhere_is_what_tokens_are_made_for(registry, elsewhere):
    give_image(registry)
    manifest = json.dumps(image(CONFIG, LAYER)).encode()
    ready = answer(200, manifest, Content_Type=mediatypes.OCI_MANIFEST)
    registry.on("/v2/a/manifests/", needing_a_token(ready, f"{elsewhere.base}/token?kept=1"))
    elsewhere.on("/token", TOKEN)
    await pull(registry, PASSWORD)
    (asked,) = elsewhere.asked
    assert asked.target == "/token?kept=1&service=s&account=user&scope=repository:a:pull"
    assert asked.headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    "realm",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "nonsense", "//host/x", "http://", "http://[zz/", "http://h:99999/",
     "http://a:b@127.0.0.1/", "gopher://x"],
)  # fmt: skip
@pytest.mark.parametrize("credentials", [None, PASSWORD, IDENTITY])
async def test_realms_that_are_no_token_services(registry, realm, credentials):
    registry.on("/v2/a/", challenge(realm))
    with pytest.raises(Upstream, match="no address"):
        await pull(registry, credentials)


async def test_a_registry_with_tls_wants_the_password_in_clear(registry, monkeypatch):
    """The realm must be spoken to by TLS when the registry is; loopback and what is listed as insecure excepted."""
    from yarl import URL

    from sampan.images.remote.endpoints import Endpoint
    from sampan.images.remote.wire import Wire

    settings = replace(SETTINGS, insecure=("listed.example.com",))
    wire = Wire(None, settings, Endpoint("https://registry.example.com", "registry.example.com"))  # type: ignore[arg-type]
    plain = Wire(None, settings, Endpoint("http://registry.example.com", "registry.example.com"))  # type: ignore[arg-type]
    for realm, safe in (
        ("https://auth.example.com/token", True),
        ("http://auth.example.com/token", False),
        ("http://registry.example.com/token", False),
        ("http://listed.example.com/token", True),
        ("http://127.0.0.1:5001/token", True),
    ):
        assert wire.is_safe(URL(realm)) is safe
        assert plain.is_safe(URL(realm))
    assert wire.is_own(URL("https://registry.example.com:443/v2/"))
    assert not wire.is_own(URL("http://registry.example.com/v2/"))
    assert not wire.is_own(URL("https://registry.example.com:444/v2/"))
    assert plain.is_own(URL("https://registry.example.com/v2/"))


# What token services answer


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b""),
        answer(200, b"<html>"),
        answer(200, b"{}"),
        answer(200, b'{"token":""}'),
        answer(200, b'{"token":"a\\r\\nX-Evil: 1"}'),
        answer(200, b'{"token":"two words"}'),
        answer(200, b'{"token":"\\u20ac"}'),
        answer(200, b'{"token":5}'),
        answer(200, b'{"token":"t","more":' + b"[" * 30_000),
        answer(200, b'{"token":"' + b"x" * 300_000 + b'"}'),
        answer(204),
        answer(404, b"nothing here"),
    ],
    ids=["empty", "html", "none", "blank", "lines", "words", "unicode", "number", "deep", "huge", "204", "404"],
)
async def test_answers_that_are_no_tokens(registry, reply):
    registry.on("/v2/a/", challenge(f"{registry.base}/token"))
    registry.on("/token", reply)
    with pytest.raises((Upstream, NotFound)):
        await pull(registry)
    assert not any("x-evil" in asked.headers for asked in registry.asked)


@pytest.mark.parametrize(
    "talk",
    [
        trickling(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
        trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b" "),
        trickling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        trickling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b""),
        trickling(b"", b""),
    ],
    ids=["head", "body", "chunks", "continue", "silent-body", "silent"],
)
@pytest.mark.parametrize("place", ["/token", "/v2/a/manifests/", "/v2/a/tags/"])
async def test_answers_that_never_end(registry, talk, place):
    registry.on("/v2/a/", challenge(f"{registry.base}/token"))
    registry.on("/token", TOKEN)
    registry.on(place, talk)
    with pytest.raises(Upstream):
        await (tags(registry, IMPATIENT) if "tags" in place else pull(registry, None, IMPATIENT))


async def test_a_token_service_that_is_busy_is_asked_again(registry):
    calls = 0

    async def busy(_: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.write(answer(429, Retry_After="0") if calls == 1 else TOKEN)

    give_image(registry)
    manifest = json.dumps(image(CONFIG, LAYER)).encode()
    ready = answer(200, manifest, Content_Type=mediatypes.OCI_MANIFEST)
    registry.on("/v2/a/manifests/", needing_a_token(ready, f"{registry.base}/token"))
    registry.on("/token", busy)
    await pull(registry)
    assert calls == 2


# What registries answer


@pytest.mark.parametrize(
    "location", ["/v2/a/manifests/t", "/v2/a/manifests/u", "", "file:///etc/passwd", "http://[zz/"]
)
async def test_redirects_that_lead_nowhere(registry, location):
    registry.on("/v2/a/manifests/t", answer(302, Location=location))
    registry.on("/v2/a/manifests/u", answer(302, Location="/v2/a/manifests/t"))
    with pytest.raises(Upstream, match=r"redirects|no address"):
        await pull(registry)
    assert len(registry.asked) < 50


async def test_uploads_are_redirected_with_their_bytes_or_not_at_all(registry, elsewhere):
    registry.on("/v2/", answer(404))
    registry.on("/v2/a/blobs/uploads/", answer(202, Location="/upload"))
    registry.on("/upload", answer(307, Location=f"{elsewhere.base}/store"))
    elsewhere.on("/store", answer(202, Location="/store"))
    with suppress(SampanError):
        await push(registry)
    assert LAYER in [asked.body for asked in elsewhere.asked if asked.method == "PATCH"]
    registry.on("/upload", answer(303, Location=f"{elsewhere.base}/store"))
    with pytest.raises(Upstream, match="redirects a PATCH"):
        await push(registry)


@pytest.mark.parametrize("location", ["", "http://[zz/", "file:///x", "ftp://x/"])
async def test_uploads_without_a_place_to_go(registry, location):
    registry.on("/v2/a/blobs/", answer(404))
    registry.on("/v2/a/blobs/uploads/", answer(202, **({"Location": location} if location else {})))
    with pytest.raises(Upstream, match=r"upload|address"):
        await push(registry)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(200, b"{}"), InvalidArgument),
        (answer(200, b"<html></html>", Content_Type="text/html"), InvalidArgument),
        (answer(200, b"\xff\xfe\x00"), InvalidArgument),
        (answer(200, b'{"a":' * 50_000), InvalidArgument),
        (answer(200, gzip.compress(json.dumps(image(CONFIG)).encode()), Content_Encoding="gzip"), InvalidArgument),
        (answer(200, json.dumps(image(CONFIG)).encode(), Docker_Content_Digest="nonsense"), Upstream),
        (answer(200, json.dumps(image(CONFIG)).encode(), Docker_Content_Digest=f"sha256:{'0' * 64}"), DataLoss),
        (answer(200, json.dumps(image(CONFIG)).encode(), Docker_Content_Digest="md5:0"), Upstream),
        (answer(204), Upstream),
        (answer(206, b"{}"), Upstream),
        (answer(418, b"\x1b[31mred\x07"), Upstream),
    ],
    ids=["empty", "html", "binary", "deep", "encoded", "digest", "other-digest", "md5", "204", "206", "418"],
)
async def test_answers_that_are_no_manifests(registry, reply, error):
    registry.on("/v2/a/manifests/", reply)
    with pytest.raises(error) as caught:
        await pull(registry)
    assert str(caught.value).isprintable()


async def test_a_manifest_of_any_length(registry):
    registry.on("/v2/a/manifests/", trickling(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" " * (1 << 20), 0))
    with pytest.raises(Upstream, match="more than"):
        await pull(registry)


async def test_a_manifest_by_another_name_is_still_one(registry):
    """The Content-Type may be wrong where the document says what it is."""
    give_image(registry, content_type="text/plain")
    assert LAYER in (await pull(registry)).blobs.values()


@pytest.mark.parametrize(
    "entry",
    [
        {"digest": "../../../etc/passwd", "size": 1},
        {"digest": f"sha256:{'G' * 64}", "size": 1},
        {"digest": f"md5:{'0' * 32}", "size": 1},
        {"digest": digest_of(LAYER), "size": -1},
        {"digest": digest_of(LAYER), "size": "many"},
        {"digest": digest_of(LAYER), "size": 1e300},
    ],
    ids=["path", "letters", "md5", "negative", "text", "float"],
)
@pytest.mark.parametrize("part", ["config", "layers"])
async def test_manifests_that_refer_to_what_can_not_be(registry, entry, part):
    described = {"mediaType": mediatypes.OCI_CONFIG if part == "config" else mediatypes.OCI_LAYER_GZIP, **entry}
    document = image(CONFIG, LAYER)
    document[part] = described if part == "config" else [described]
    give_image(registry, document)
    with pytest.raises(InvalidArgument):
        await pull(registry)
    assert not any("/blobs/" in asked.target for asked in registry.asked)


@pytest.mark.parametrize("size", [len(LAYER) + 1, 1 << 62])
async def test_a_blob_that_is_shorter_than_its_manifest_says(registry, size):
    document = image(CONFIG, LAYER)
    document["layers"][0]["size"] = size
    give_image(registry, document)
    with pytest.raises(Upstream, match=f"of {size} bytes"):
        await pull(registry)


async def test_indexes_without_an_end(registry):
    """Each index leads to another one."""
    found = json.dumps(image(CONFIG, LAYER)).encode()
    kind = mediatypes.OCI_MANIFEST
    for _ in range(40):
        registry.on(f"/v2/a/manifests/{digest_of(found)}", answer(200, found, Content_Type=kind))
        entry = {**descriptor(found, kind), "platform": {"os": "linux", "architecture": "amd64"}}
        kind = mediatypes.OCI_INDEX
        found = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}).encode()
    for reference in ("t", digest_of(found)):
        registry.on(f"/v2/a/manifests/{reference}", answer(200, found, Content_Type=kind))
    with pytest.raises(InvalidArgument, match="nests too deeply"):
        await pull(registry)
    async with Remote(SETTINGS) as remote:
        from sampan.images.remote.copy import copy

        source, target = (remote.repository(Reference.parse(f"{registry.host}/{name}")) for name in "ab")
        with pytest.raises(InvalidArgument, match="nests too deeply"):
            await copy(source, "t", target, "t", settings=SETTINGS)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\nConnection: close\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nmuch more than three bytes",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}abc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nnonsense",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: y\r\n" % number for number in range(10_000)) + b"\r\n",
        b"no HTTP at all\r\n\r\n",
        b"\x00" * 1000,
    ],
    ids=["shorter", "longer", "words", "negative", "two", "chunks", "field", "fields", "text", "zeros"],
)
async def test_answers_that_break_the_rules_of_http(registry, reply):
    async def talk(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()
        writer.close()

    registry.on("/v2/a/", talk)
    with pytest.raises((Upstream, InvalidArgument)):
        await pull(registry)
    with pytest.raises((Upstream, InvalidArgument)):
        await tags(registry)


async def test_a_blob_that_trickles(registry, monkeypatch):
    """A byte now and then keeps a connection open for ever, and brings no image."""
    monkeypatch.setattr("sampan.images.remote.connection.pieces_of", lambda reply, _: pieces_of(reply, 0.2))
    give_image(registry)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(LAYER)}\r\n\r\n".encode()
    registry.on(f"/v2/a/blobs/{digest_of(LAYER)}", trickling(head, b"\x00"))
    with pytest.raises(Upstream, match="stalls"):
        await pull(registry, None, replace(SETTINGS, attempts=1))


def ranged(first: int, status: int = 206, told: str = "bytes {first}-{last}/{size}") -> Talk:
    """The layer's first half; then, to whoever asks for the rest, bytes from `first` on."""

    async def talk(request: Asked, writer: asyncio.StreamWriter) -> None:
        if "range" not in request.headers:
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(LAYER)}\r\n\r\n".encode() + LAYER[:5000])
            await writer.drain()
            writer.close()
            return
        where = told.format(first=first, last=len(LAYER) - 1, size=len(LAYER))
        writer.write(answer(status, LAYER[first:], Content_Range=where))

    return talk


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (ranged(5000), None),
        (ranged(0, 200), None),
        (ranged(4000), Upstream),
        (ranged(6000), Upstream),
        (ranged(5000, told="bytes */{size}"), Upstream),
        (ranged(5000, told="nonsense"), Upstream),
        (ranged(4000, told="bytes 5000-9999/*"), (DataLoss, Upstream)),
        (ranged(0, 416), Upstream),
    ],
    ids=["right", "whole", "earlier", "later", "unknown", "nonsense", "lie", "416"],
)
async def test_ranges(registry, talk, error):
    give_image(registry)
    registry.on(f"/v2/a/blobs/{digest_of(LAYER)}", talk)
    if error is None:
        assert (await pull(registry)).blobs[digest_of(LAYER)] == LAYER
    else:
        with pytest.raises(error):
            await pull(registry)


@pytest.mark.parametrize(
    "link",
    [
        '</v2/a/tags/list>; rel="next"',
        '</v2/a/tags/list?n=1>; rel="next"',
        '<?n=1>; rel="next"',
        '<http://[zz/>; rel="next"',
        '<file:///etc/passwd>; rel="next"',
    ],
)
async def test_lists_that_lead_in_circles_or_nowhere(registry, link):
    registry.on("/v2/a/tags/list", answer(200, b'{"tags":["1"]}', Link=link))
    with pytest.raises(Upstream, match=r"does not end|no address"):
        await tags(registry)
    assert len(registry.asked) < 10


async def test_a_list_with_always_one_more_page(registry, monkeypatch):
    monkeypatch.setattr("sampan.images.remote.client._MOST_PAGES", 20)
    pages = 0

    async def more(_: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal pages
        pages += 1
        writer.write(answer(200, b'{"tags":["1"]}', Link=f'</v2/a/tags/list?last={pages}>; rel="next"'))

    registry.on("/v2/a/tags/list", more)
    with pytest.raises(Upstream, match="does not end"):
        await tags(registry)
    assert pages < 40


@pytest.mark.parametrize("link", ["", "nonsense", "<>", '<x>; rel="prev"', ";;;", "<x", 'rel="next"'])
async def test_links_that_lead_to_no_next_page(registry, link):
    registry.on("/v2/a/tags/list", answer(200, b'{"tags":["1"]}', Link=link))
    assert await tags(registry) == ["1"]


@pytest.mark.parametrize(
    "field",
    ["", "Bearer", "Bearer realm", 'Bearer realm="', "Basic", "Digest realm=x", "a" * 8000, "a=" * 4000, '"' * 8000,
     'Bearer ' + 'a="b",' * 1000, 'Bearer realm="' + "\\" * 7000, "Negotiate, NTLM", ",,,, ,"],
    ids=range(13),
)  # fmt: skip
async def test_odd_challenges(registry, field):
    parse_challenges([field])
    registry.on("/v2/a/", answer(401, WWW_Authenticate=field))
    with pytest.raises((Unauthenticated, NotFound, Upstream)):
        await pull(registry, PASSWORD)


async def test_a_challenge_without_end(registry):
    """Whatever token is shown, another one is asked for."""
    registry.on("/v2/a/", challenge(f"{registry.base}/token"))
    registry.on("/token", TOKEN)
    with pytest.raises((Unauthenticated, NotFound)):
        await pull(registry, PASSWORD)
    assert len(registry.asked) < 12


async def test_errors_are_shown_without_control_characters_and_not_at_any_length(registry):
    told = json.dumps({"errors": [{"code": "DENIED", "message": "\x1b[2J" + "x" * 50_000 + "\n"}]}).encode()
    registry.on("/v2/a/", answer(418, told))
    with pytest.raises(Upstream) as caught:
        await pull(registry)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 3000


async def test_a_config_of_any_length(registry):
    give_image(registry)
    endless = trickling(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" " * (1 << 20), 0)
    registry.on(f"/v2/a/blobs/{digest_of(CONFIG)}", endless)
    with pytest.raises(Upstream, match="more than"):
        await pull(registry)
