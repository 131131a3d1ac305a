"""By other ways than the straight one: through a proxy, with a client's certificate, to an index that searches."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rig.certificates import self_signed
from rig.registry import bound
from sampan.errors import InvalidArgument, NotFound, Upstream
from sampan.http import HttpServer, Request, Response
from sampan.images.remote import Proxies, Remote, RemoteSettings
from sampan.oci.reference import Reference
from sampan.registry.app import RegistryApp
from sampan.registry.auth import Everyone
from sampan.registry.repositories import Registry
from sampan.registry.storage.filesystem import FileStorage

QUICK = RemoteSettings(backoff=0.001, attempts=2)


async def test_through_a_proxy():
    """The registry's name means nothing here: only the proxy can know it."""
    lines = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines.append(head.splitlines()[0])
        body = b'{"tags":["1"]}'
        status = "200 OK" if head.startswith("GET http://registry.example.com/") else "403 Forbidden"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    proxies = Proxies.of({"HTTP_PROXY": address, "HTTPS_PROXY": address, "NO_PROXY": "inside.example.com"})
    settings = RemoteSettings(backoff=0.001, attempts=2, insecure=("registry.example.com",), proxies=proxies)
    async with Remote(settings) as remote:
        assert await remote.repository(Reference.parse("registry.example.com/a")).tags() == ["1"]
    assert lines == [
        "CONNECT registry.example.com:443 HTTP/1.1",
        "GET http://registry.example.com/v2/ HTTP/1.1",
        "GET http://registry.example.com/v2/a/tags/list HTTP/1.1",
    ]
    server.close()


@pytest.mark.parametrize("shown", [True, False])
async def test_a_registry_that_wants_a_clients_certificate(tmp_path, monkeypatch, shown):
    monkeypatch.setattr(RemoteSettings, "is_insecure", lambda *_: False)
    self_signed(tmp_path / "ca.crt", tmp_path / "key.pem")
    self_signed(tmp_path / "client.cert", tmp_path / "client.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "key.pem")
    context.load_verify_locations(tmp_path / "client.cert")
    context.verify_mode = ssl.CERT_REQUIRED
    storage = FileStorage(tmp_path / "root")
    server = HttpServer(RegistryApp(Registry(storage), Everyone()).handle)
    sock = bound()
    await server.serve_socket(sock, context)
    address = f"127.0.0.1:{sock.getsockname()[1]}"
    folder = tmp_path / "certs.d" / address
    folder.mkdir(parents=True)
    for name in ("ca.crt", "client.cert", "client.key") if shown else ("ca.crt",):
        (folder / name).write_bytes((tmp_path / name).read_bytes())
    settings = RemoteSettings(backoff=0.001, attempts=2, certificates=(tmp_path / "certs.d",))
    async with Remote(settings) as remote:
        client = remote.repository(Reference.parse(f"{address}/a"))
        if shown:
            assert await client.catalog() == []
        else:
            with pytest.raises(Upstream):
                await client.catalog()
    await server.close(1)
    await storage.close()


@asynccontextmanager
async def searched(status: int, body: bytes) -> AsyncIterator[tuple[str, list[str]]]:
    """A host with docker's v1 search, which answers so: its address, and what it was asked for."""
    asked: list[str] = []

    async def handle(request: Request) -> Response:
        if request.path != "/v1/search":
            return Response(200)
        asked.append(request.target)
        return Response(status, {"Content-Type": "application/json"}, body)

    server, sock = HttpServer(handle), bound()
    await server.serve_socket(sock)
    yield f"127.0.0.1:{sock.getsockname()[1]}", asked
    await server.close(1)


async def test_a_search():
    found = [{"name": "a/b", "description": "words", "star_count": 5, "is_official": True, "is_automated": False}]
    answer = json.dumps({"num_results": 1, "results": found}).encode()
    async with searched(200, answer) as (address, asked), Remote(QUICK) as remote:
        results = await remote.search(f"{address}/some thing", 7)
        assert [(each.name, each.star_count, each.is_official) for each in results] == [("a/b", 5, True)]
        assert asked == ["/v1/search?q=some%20thing&n=7"]
        with pytest.raises(InvalidArgument, match="what to search for"):
            await remote.search("", 7)


@pytest.mark.parametrize(
    ("status", "body", "error"), [(404, b"", NotFound), (200, b"<html>", Upstream), (200, b"[" * 50_000, Upstream)]
)
async def test_a_host_without_a_search(status, body, error):
    async with searched(status, body) as (address, _), Remote(QUICK) as remote:
        with pytest.raises(error, match="search"):
            await remote.search(f"{address}/x", 7)
