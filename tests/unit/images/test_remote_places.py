"""Where registries are and how they are spoken to: settings, proxies, endpoints, certificates."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rig.certificates import self_signed
from rig.registry import bound, image
from sampan.errors import DataLoss, InvalidArgument, Upstream
from sampan.http import HttpServer
from sampan.images.remote import Proxies, Puller, Pusher, Remote, RemoteSettings
from sampan.images.remote.contents import ContentSink, ContentSource
from sampan.images.remote.endpoints import Endpoint, endpoints_of, tls_context
from sampan.images.remote.failures import Broken, of_answer
from sampan.oci import mediatypes
from sampan.oci.digest import digest_of
from sampan.oci.documents import Descriptor
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference
from sampan.registry.app import RegistryApp
from sampan.registry.auth import Everyone
from sampan.registry.repositories import Registry
from sampan.registry.storage.filesystem import FileStorage
from sampan.store.content import ContentStore
from sampan.store.db import Database
from sampan.store.leases import Leases

QUICK = RemoteSettings(backoff=0.001, attempts=2)


@pytest.mark.parametrize(
    ("domain", "insecure"),
    [
        ("127.0.0.1:5000", True),
        ("127.1.2.3", True),
        ("localhost:5000", True),
        ("[::1]:5000", True),
        ("registry.example.com", False),
        ("listed.example.com:5000", True),
        ("bare.example.com:5000", True),
        ("10.1.2.3:5000", True),
        ("11.1.2.3:5000", False),
    ],
)
def test_which_registries_may_be_insecure(domain, insecure):
    settings = RemoteSettings(insecure=("listed.example.com:5000", "bare.example.com", "10.0.0.0/8"))
    assert settings.is_insecure(domain) is insecure


def test_the_places_of_a_registry():
    settings = RemoteSettings(mirrors=("https://one.example.com/", "http://127.0.0.1:5000", "two.example.com"))
    assert [endpoint.base for endpoint in endpoints_of("docker.io", settings)] == [
        "https://one.example.com",
        "http://127.0.0.1:5000",
        "https://two.example.com",
        "https://registry-1.docker.io",
    ]
    assert [endpoint.mirror for endpoint in endpoints_of("docker.io", settings)] == [True, True, True, False]
    assert endpoints_of("x.example.com", settings) == [Endpoint("https://x.example.com", "x.example.com")]
    assert [(e.base, e.verified) for e in endpoints_of("localhost:5000", settings)] == [
        ("https://localhost:5000", False),
        ("http://localhost:5000", True),
    ]
    with pytest.raises(InvalidArgument, match="mirror"):
        endpoints_of("docker.io", RemoteSettings(mirrors=("ftp://x",)))


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://registry.example.com/v2/", "http://secure:1"),
        ("http://registry.example.com/v2/", "http://plain:1"),
        ("https://127.0.0.1:5000/", None),
        ("https://localhost/", None),
        ("https://inside.example.org/", None),
        ("https://deep.inside.example.org/", None),
        ("https://notinside.example.org/", "http://secure:1"),
        ("https://dotted.net/", "http://secure:1"),
        ("https://x.dotted.net/", None),
        ("https://10.1.2.3/", None),
        ("https://port.example.org:5000/", None),
        ("https://port.example.org/", "http://secure:1"),
    ],
)
def test_proxies(url, proxy):
    proxies = Proxies.of(
        {
            "HTTP_PROXY": "http://plain:1",
            "https_proxy": "secure:1",
            "NO_PROXY": "inside.example.org, .dotted.net,10.0.0.0/8,port.example.org:5000",
        }
    )
    assert proxies.choose(url) == proxy


def test_no_proxies_for_anybody():
    assert Proxies("http://x", "http://x", "*").choose("https://example.com/") is None
    assert Proxies().choose("https://example.com/") is None


def test_folders_of_certificates(tmp_path):
    endpoint = Endpoint("https://x:1", "x:1")
    folder = tmp_path / "x:1"
    folder.mkdir()
    self_signed(folder / "client.cert", folder / "client.key")
    self_signed(folder / "ca.crt", tmp_path / "unused")
    context = tls_context(endpoint, [tmp_path, tmp_path / "nothing"])
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert any(("commonName", "sampan test") in part for ca in context.get_ca_certs() for part in ca["subject"])
    (folder / "client.key").unlink()
    with pytest.raises(InvalidArgument, match=r"client\.key"):
        tls_context(endpoint, [tmp_path])
    (folder / "client.cert").unlink()
    (folder / "ca.crt").write_text("nonsense")
    with pytest.raises(InvalidArgument, match=r"ca\.crt"):
        tls_context(endpoint, [tmp_path])


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such"}]}', "x: manifest unknown: no such"),
        (404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}', "x: name unknown"),
        (403, b"plain words", "x: plain words"),
        (400, b"<html>", "x: the registry answered with status 400"),
        (400, b"\xff\xfe", "x: \ufffd\ufffd"),
        (400, b'{"errors": 5}', 'x: {"errors": 5}'),
        (400, b"", "x: the registry answered with status 400"),
    ],
)
def test_the_words_of_errors(status, body, words):
    assert str(of_answer("x", status, body)) == words


def test_what_may_be_tried_again():
    assert all(isinstance(of_answer("x", status, b""), Broken) for status in (408, 500, 502, 503))
    assert not any(isinstance(of_answer("x", status, b""), Broken) for status in (400, 401, 404, 418))


# TLS against our own server


@pytest.fixture
async def secure(tmp_path) -> AsyncIterator[tuple[str, Path]]:
    """A registry with TLS: its address, and its certificate."""
    self_signed(tmp_path / "ca.crt", tmp_path / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "key.pem")
    storage = FileStorage(tmp_path / "root")
    server = HttpServer(RegistryApp(Registry(storage), Everyone()).handle)
    sock = bound()
    await server.serve_socket(sock, context)
    yield f"127.0.0.1:{sock.getsockname()[1]}", tmp_path / "ca.crt"
    await server.close(1)
    await storage.close()


async def test_a_certificate_that_nobody_knows(secure, monkeypatch):
    address, _ = secure
    monkeypatch.setattr(RemoteSettings, "is_insecure", lambda *_: False)
    async with Remote(QUICK) as remote:
        with pytest.raises(Upstream, match=r"(?i)certificate"):
            await remote.repository(Reference.parse(f"{address}/a")).catalog()


async def test_a_certificate_in_certs_d(secure, tmp_path, monkeypatch):
    address, certificate = secure
    monkeypatch.setattr(RemoteSettings, "is_insecure", lambda *_: False)
    folder = tmp_path / "certs.d" / address
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(certificate.read_bytes())
    async with Remote(RemoteSettings(certificates=(tmp_path / "certs.d",))) as remote:
        assert await remote.repository(Reference.parse(f"{address}/a")).catalog() == []


async def test_an_insecure_registry_with_tls(secure):
    address, _ = secure
    async with Remote(QUICK) as remote:
        assert await remote.repository(Reference.parse(f"{address}/a")).catalog() == []


# the engine's content store at both ends


async def test_from_content_store_to_content_store(secure, tmp_path):
    address, _ = secure
    stores = []
    for name in ("one", "two"):
        database = Database(tmp_path / f"{name}.db")
        stores.append((database, ContentStore(database, tmp_path / name, tmp_path / f"{name}-ingest")))
    (_, source), (database, target) = stores
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    layers = [bytes([number]) * 300_000 for number in range(3)]
    import json

    manifest = json.dumps(image(config, *layers)).encode()
    for content in (config, manifest, *layers):
        source.put(content)
    described = Descriptor(media_type=mediatypes.OCI_MANIFEST, digest=digest_of(manifest), size=len(manifest))
    followed: dict[str, bytes] = {}

    with ThreadPoolExecutor(8) as threads, Leases(database).hold() as lease:

        def started(layer: Descriptor, ingest) -> None:
            follower = ingest.follow()

            def follow() -> None:
                followed[layer.digest] = b"".join(follower)
                follower.close()

            threads.submit(follow)

        async with Remote(QUICK) as remote:
            client = remote.repository(Reference.parse(f"{address}/a"))
            await Pusher(client, ContentSource(source, threads), settings=QUICK).push(described, "t")
            sink = ContentSink(target, lease, threads, started)
            pulled = await Puller(client, sink, settings=QUICK).pull("t", Platform.of("linux", "amd64"))
    assert target.read(digest_of(manifest)) == manifest == pulled.manifest.content
    assert target.read(digest_of(config)) == config
    for layer in layers:
        assert target.read(digest_of(layer)) == layer
        assert followed[digest_of(layer)] == layer


async def test_a_stopped_ingest_is_resumed(tmp_path):
    content = b"0123456789" * 1000
    database = Database(tmp_path / "db")
    store = ContentStore(database, tmp_path / "blobs", tmp_path / "ingest")
    layer = Descriptor(digest=digest_of(content), size=len(content))
    with ThreadPoolExecutor(2) as threads, Leases(database).hold() as lease:
        sink = ContentSink(store, lease, threads)
        writer = await sink.begin(layer)
        await writer.write(content[:4000])
        await writer.abort()
        writer = await sink.begin(layer)
        assert writer.offset == 4000
        await writer.write(content[4000:])
        await writer.commit()
        assert store.read(digest_of(content)) == content
        wrong = Descriptor(digest=digest_of(b"other"), size=len(content))
        writer = await sink.begin(wrong)
        await writer.write(content)
        with pytest.raises(DataLoss):
            await writer.commit()
        assert (await sink.begin(wrong)).offset == 0
