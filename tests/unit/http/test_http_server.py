from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from sampan.http import HttpServer, Request, Response

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def hello(request: Request) -> Response:
    """Answers hello, and whether the peer is known."""
    return Response(body=b"hello" if request.peer else b"stranger")


async def test_the_socket_has_its_mode_and_is_removed(serve):
    served = await serve(hello)
    mode = served.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660
    await served.server.close()
    assert not served.path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a socket to any group")
async def test_the_socket_has_its_group(tmp_path: Path):
    server = HttpServer(hello)
    await server.listen_unix(tmp_path / "s", 0o600, gid=12345)
    found = (tmp_path / "s").stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 0o600)
    await server.close()


async def test_a_dead_socket_is_replaced_and_a_living_one_is_not(serve, tmp_path: Path):
    dead = tmp_path / "dead"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(dead))
    server = HttpServer(hello)
    await server.listen_unix(dead)
    with pytest.raises(OSError, match="another process serves") as caught:
        await HttpServer(hello).listen_unix(dead)
    assert caught.value.errno == errno.EADDRINUSE
    await server.close()


async def test_something_else_is_never_replaced(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        await HttpServer(hello).listen_unix(path)
    assert path.read_text() == "precious"


async def test_a_socket_that_another_server_took_over_is_left(tmp_path: Path):
    path = tmp_path / "s"
    first, second = HttpServer(hello), HttpServer(hello)
    await first.listen_unix(path)
    path.unlink()
    await second.listen_unix(path)
    await first.close()
    assert path.exists()
    await second.close()


async def test_tcp(serve):
    server = HttpServer(hello)
    sock = socket.create_server(("127.0.0.1", 0))
    await server.serve_socket(sock)
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    writer.write(GET)
    assert (await reader.readuntil(b"stranger")).startswith(b"HTTP/1.1 200 OK\r\n")
    await server.close()
    assert await reader.read() == b""
    writer.close()


async def test_a_tcp_stream_ends_with_its_clients_end(serve):
    ended = asyncio.Event()

    async def forever():
        try:
            yield b"x"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def handler(request: Request) -> Response:
        return Response(200, {}, forever())

    server = HttpServer(handler)
    sock = socket.create_server(("127.0.0.1", 0))
    await server.serve_socket(sock)
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    writer.write(GET)
    await reader.readuntil(b"x\r\n")
    writer.close()
    await ended.wait()
    await server.close()


async def test_closing_waits_for_requests_and_lets_idle_clients_go(serve):
    entered, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        entered.set()
        await go.wait()
        return Response(body=b"done")

    served = await serve(slow)
    idle, busy = await served.connect(), await served.connect()
    await busy.send(GET)
    await entered.wait()
    closing = asyncio.create_task(served.server.close(grace=30))
    assert await idle.at_end()
    go.set()
    reply = await busy.reply()
    assert (reply.body, reply.headers["connection"]) == (b"done", "close")
    await closing
    with pytest.raises(OSError):
        await served.connect()


async def test_closing_cancels_what_does_not_end(serve):
    cancelled = asyncio.Event()

    async def stuck(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Response()

    served = await serve(stuck)
    client = await served.connect()
    await client.send(GET)
    await asyncio.sleep(0.02)
    await served.server.close(grace=0.01)
    assert cancelled.is_set()
    assert await client.at_end()
    assert not served.server.connections


async def test_many_clients_leave_nothing_behind(serve):
    served = await serve(hello)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        clients = [await served.connect() for _ in range(50)]
        assert {(await client.ask(GET)).body for client in clients} == {b"hello"}
        for client in clients:
            await client.close()
    await served.deserted()
    assert len(os.listdir("/proc/self/fd")) <= before
