"""Both transports on real sockets: the same coroutine, with a loop and without."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from sampan.client.address import Address, parse
from sampan.client.aio import AsyncioTransport
from sampan.client.blocking import BlockingTransport, iterate, run
from sampan.client.engine import Engine
from sampan.errors import Unavailable


class EchoEngine(threading.Thread):
    """Upgrades every connection and sends back what it gets, in upper case, once the client has half-closed."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(daemon=True)
        self.listener = listener

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        data = data.partition(b"\r\n\r\n")[2]
        while more := connection.recv(65536):
            data += more
        try:
            connection.sendall(data.upper())
        except BrokenPipeError:
            pass


@pytest.fixture(params=["unix", "tcp"])
def address(request, tmp_path: Path):
    if request.param == "unix":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "sock"))
        found = Address("unix", path=str(tmp_path / "sock"))
    else:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        found = Address("tcp", host="127.0.0.1", port=listener.getsockname()[1])
    listener.listen()
    EchoEngine(listener).start()
    yield found
    listener.close()


async def converse(engine: Engine) -> bytes:
    duplex = await engine.containers.attach("x", stdin=True)
    for _ in range(100):
        await duplex.write(b"abc" * 1000)
    await duplex.write_eof()
    got = b""
    while piece := await duplex.read():
        got += piece
    await duplex.close()
    return got


def test_half_close_without_a_loop(address):
    assert run(converse(Engine(BlockingTransport(address), "1.51"))) == b"ABC" * 100_000


def test_half_close_with_a_loop(address):
    assert asyncio.run(converse(Engine(AsyncioTransport(address), "1.51"))) == b"ABC" * 100_000


def test_closing_wakes_the_reader(address):
    async def attach():
        return await Engine(BlockingTransport(address), "1.51").containers.attach("x", stdin=True)

    duplex = run(attach())
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(run(duplex.read())))
    reader.start()
    run(duplex.close())
    reader.join(10)
    assert got == [b""]


def test_nobody_there(tmp_path):
    engine = Engine(BlockingTransport(parse(f"unix://{tmp_path}/none")))
    with pytest.raises(Unavailable, match=r"none.*Is the daemon running"):
        run(engine.system.ping())


def test_a_coroutine_that_suspends_is_refused():
    class Waits:
        def __await__(self):
            yield

    async def waits():
        await Waits()

    with pytest.raises(RuntimeError, match="suspended"):
        run(waits())


def test_iterate_yields_all():
    async def numbers():
        yield 1
        yield 2

    assert list(iterate(numbers())) == [1, 2]


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_a_name_that_nobody_can_be_asked_for(host):
    place = Address("tcp", host=host, port=1)
    with pytest.raises(Unavailable, match="no such host"):
        run(Engine(BlockingTransport(place), "1.51").system.ping())
    with pytest.raises(Unavailable, match="no such host"):
        asyncio.run(Engine(AsyncioTransport(place), "1.51").system.ping())
