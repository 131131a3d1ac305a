"""TLS with half-close: a blocking client with Python's own ssl module on the other side."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator

import pytest

from rig.certificates import self_signed
from sampan.http import Duplex, FileBody, HttpServer, Request, Response, Upgrade

LARGE = os.urandom(3_000_000)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1: (certificate, key)."""
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "x.crt", folder / "x.key"
    self_signed(*paths)
    return paths


class Client:
    """A TLS client in blocking style, run in a thread; it can end its own way alone."""

    def __init__(self, port: int, certificate) -> None:
        context = ssl.create_default_context(cafile=certificate[0])
        self.raw = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.address = self.raw.getpeername()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="127.0.0.1")
        self._until_done(self._tls.do_handshake)
        self._flush()

    def _flush(self) -> None:
        self.raw.sendall(self._out.read())

    def _until_done(self, work):
        while True:
            try:
                return work()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.raw.recv(65536)
                self._in.write(data) if data else self._in.write_eof()

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def end(self) -> None:
        """Send our close_notify."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    def receive(self) -> bytes:
        """What comes next, empty at the peer's close_notify. Raises SSLEOFError when it ends without one."""
        try:
            return self._until_done(lambda: self._tls.read(65536))
        except ssl.SSLZeroReturnError:
            return b""

    def until(self, mark: bytes) -> bytes:
        data = b""
        while mark not in data:
            piece = self.receive()
            assert piece, data
            data += piece
        return data

    def exactly(self, count: int, begun: bytes = b"") -> bytes:
        data = bytearray(begun)
        while len(data) < count:
            piece = self.receive()
            assert piece
            data += piece
        return bytes(data)

    def rest(self) -> bytes:
        data = bytearray()
        while piece := self.receive():
            data += piece
        return bytes(data)

    def close(self) -> None:
        self.end()
        self.raw.close()


@pytest.fixture
async def connect(certificate) -> AsyncIterator:
    servers = []

    async def start(handler) -> Client:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server = HttpServer(handler)
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        await server.serve_socket(sock, context)
        servers.append(server)
        return await asyncio.to_thread(Client, port, certificate)

    yield start
    for server in servers:
        await server.close(0)


async def test_requests_one_after_the_other(connect):
    async def hello(request: Request) -> Response:
        assert request.scheme == "https"
        return Response(body=request.path.encode())

    client = await connect(hello)

    def talk() -> list[bytes]:
        answers = []
        for path in ("/a", "/b"):
            client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answers.append(client.until(path.encode()))
        return answers

    assert [answer[:15] for answer in await asyncio.to_thread(talk)] == [b"HTTP/1.1 200 OK"] * 2


async def test_a_large_body_up_and_a_file_down(connect, tmp_path):
    (tmp_path / "file").write_bytes(LARGE)

    async def handler(request: Request) -> Response:
        assert await request.body.read_all(len(LARGE)) == LARGE
        return Response(body=FileBody((tmp_path / "file").open("rb"), 10, len(LARGE) - 20))

    client = await connect(handler)

    def talk() -> bytes:
        client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(LARGE)}\r\n\r\n".encode() + LARGE)
        head, _, begun = client.until(b"\r\n\r\n").partition(b"\r\n\r\n")
        assert f"Content-Length: {len(LARGE) - 20}".encode() in head
        return client.exactly(len(LARGE) - 20, begun)

    assert await asyncio.to_thread(talk) == LARGE[10:-10]


async def test_each_way_ends_on_its_own(connect):
    """What `docker exec -i c cat` needs: the client ends its way, and still gets all of a slow answer."""

    async def slow_echo(duplex: Duplex) -> None:
        taken = b""
        while data := await duplex.read():
            taken += data
        await asyncio.sleep(0.05)
        for start in range(0, len(taken), 100_000):
            await duplex.write(taken[start : start + 100_000])
        await duplex.write(b"end")

    async def handler(request: Request) -> Upgrade:
        return Upgrade(slow_echo)

    client = await connect(handler)

    def talk() -> bytes:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        client.until(b"\r\n\r\n")
        client.send(LARGE)
        client.end()
        return client.rest()

    assert await asyncio.to_thread(talk) == LARGE + b"end"


async def test_our_way_may_end_first(connect):
    got = asyncio.get_running_loop().create_future()

    async def reader(duplex: Duplex) -> None:
        await duplex.write(b"all there is")
        duplex.write_eof()
        taken = b""
        while data := await duplex.read():
            taken += data
        got.set_result(taken)

    async def handler(request: Request) -> Upgrade:
        return Upgrade(reader)

    client = await connect(handler)

    def talk() -> bytes:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        client.until(b"\r\n\r\n")
        answer = client.rest()
        client.send(LARGE)
        client.close()
        return answer

    assert await asyncio.to_thread(talk) == b"all there is"
    assert await got == LARGE


async def test_a_slow_reader_of_a_duplex_holds_its_client_back(connect):
    release = asyncio.Event()
    taken = bytearray()

    async def reader(duplex: Duplex) -> None:
        await release.wait()
        while data := await duplex.read():
            taken.extend(data)

    async def handler(request: Request) -> Upgrade:
        return Upgrade(reader)

    client = await connect(handler)
    sent = 0

    def talk() -> None:
        nonlocal sent
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        client.until(b"\r\n\r\n")
        for _ in range(40):
            client.send(LARGE[:1_000_000])
            sent += 1_000_000
        client.close()

    talking = asyncio.create_task(asyncio.to_thread(talk))
    before = -1
    while sent != before or sent == 0:
        before = sent
        await asyncio.sleep(0.2)
    assert sent < 40_000_000
    release.set()
    await talking
    while len(taken) < 40_000_000:  # noqa: ASYNC110  # there is no event to wait for
        await asyncio.sleep(0.01)
    assert bytes(taken) == LARGE[:1_000_000] * 40


async def test_what_is_no_tls_is_dropped(connect):
    async def handler(request: Request) -> Response:
        return Response()

    client = await connect(handler)
    reader, writer = await asyncio.open_connection(*client.address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"HTTP" not in await reader.read()
    writer.close()


async def test_a_client_that_vanishes_leaves_nothing_behind(connect):
    gone = asyncio.Event()

    async def endless(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 1000
                    await asyncio.sleep(0.001)
            finally:
                gone.set()

        return Response(body=body())

    client = await connect(endless)

    def talk() -> None:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.until(b"\r\n\r\n")
        client.raw.close()

    await asyncio.to_thread(talk)
    await asyncio.wait_for(gone.wait(), 10)
