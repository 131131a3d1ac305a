from __future__ import annotations

import asyncio

import pytest

from sampan.http import ClientGone, Duplex, Request, Response, Upgrade

UPGRADE = b"POST /attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
HEADERS = {"Connection": "Upgrade", "Upgrade": "tcp"}


def taking_over(run, *, read_body: bool = False, **options):
    async def handler(request: Request) -> Upgrade:
        if read_body:
            assert await request.body.read_all(100) == b"{}"
        return Upgrade(run, headers=HEADERS, **options)

    return handler


async def echo(duplex: Duplex) -> None:
    """Sends back what it gets, and `.` at the client's half-close."""
    while data := await duplex.read(1000):
        await duplex.write(data)
    await duplex.write(b".")


async def test_bytes_both_ways_with_half_close(serve):
    client = await (await serve(taking_over(echo, reason="UPGRADED"))).connect()
    await client.send(UPGRADE + b"\r\n")
    head = await client.head()
    assert (head.status, head.reason, head.headers) == (101, "UPGRADED", {"connection": "Upgrade", "upgrade": "tcp"})
    await client.send(b"hello")
    assert await client.reader.readexactly(5) == b"hello"
    client.writer.write_eof()
    assert await client.reader.read() == b"."


@pytest.mark.parametrize("read_body", [True, False])
@pytest.mark.parametrize("split", [0, 1, 2, 4])
async def test_the_requests_body_is_not_input_and_early_bytes_are(serve, read_body: bool, split: int):
    client = await (await serve(taking_over(echo, read_body=read_body))).connect()
    wire = UPGRADE + b"Content-Length: 2\r\n\r\n{}early"
    at = len(wire) - 7 + split
    await client.send(wire[:at])
    await asyncio.sleep(0.01)
    await client.send(wire[at:])
    await client.head()
    client.writer.write_eof()
    assert await client.reader.read() == b"early."


async def test_a_chunked_body_before_the_bytes(serve):
    client = await (await serve(taking_over(echo, read_body=True))).connect()
    await client.send(UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nearly")
    await client.head()
    client.writer.write_eof()
    assert await client.reader.read() == b"early."


async def test_a_malformed_body_before_the_bytes_is_their_end(serve, caplog):
    client = await (await serve(taking_over(echo))).connect()
    await client.send(UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n2\r\n")
    await client.head()
    await client.send(b"abc\r\n0\r\n\r\nearly")
    assert await client.reader.read() == b"."
    assert not caplog.records


async def test_raw_bytes_after_200_without_an_upgrade_field(serve):
    client = await (await serve(taking_over(echo, status=200))).connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nraw GET / HTTP/1.1\r\n\r\n")
    assert (await client.head()).status == 200
    client.writer.write_eof()
    assert await client.reader.read() == b"raw GET / HTTP/1.1\r\n\r\n."


async def test_an_upgrade_may_be_declined(serve):
    async def decline(request: Request) -> Response:
        return Response(404, {}, b"no")

    client = await (await serve(decline)).connect()
    for _ in range(2):
        assert (await client.ask(UPGRADE + b"Content-Length: 2\r\n\r\n{}")).body == b"no"


async def test_our_half_close_leaves_the_other_way_open(serve):
    received = bytearray()
    done = asyncio.Event()

    async def run(duplex: Duplex) -> None:
        duplex.write_eof()
        while data := await duplex.read():
            received.extend(data)
        done.set()

    client = await (await serve(taking_over(run))).connect()
    await client.send(UPGRADE + b"\r\n")
    await client.head()
    assert await client.at_end()
    await client.send(b"after our end")
    client.writer.write_eof()
    await done.wait()
    assert received == b"after our end"


async def test_a_client_that_goes_ends_reading_writing_and_waiting(serve):
    outcome: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()

    async def run(duplex: Duplex) -> None:
        await duplex.closed()
        seen: list[object] = [await duplex.read(), await duplex.read()]
        with pytest.raises(ClientGone):
            await duplex.write(b"x")
        duplex.write_eof()
        duplex.close()
        outcome.set_result(seen)

    client = await (await serve(taking_over(run))).connect()
    await client.send(UPGRADE + b"\r\nlast words")
    await client.head()
    await client.close()
    assert await outcome == [b"last words", b""]


async def test_a_half_closed_client_is_noticed_when_it_hangs_up(serve):
    half, gone = asyncio.Event(), asyncio.Event()

    async def run(duplex: Duplex) -> None:
        assert await duplex.read() == b""
        half.set()
        await duplex.closed()
        gone.set()

    client = await (await serve(taking_over(run))).connect()
    await client.send(UPGRADE + b"\r\n")
    await client.head()
    client.writer.write_eof()
    await half.wait()
    await asyncio.sleep(0.02)
    assert not gone.is_set()
    client.writer.close()
    await gone.wait()


async def test_a_client_that_half_closed_before_the_upgrade(serve):
    async def slow(request: Request) -> Upgrade:
        await asyncio.sleep(0.02)
        return Upgrade(echo, headers=HEADERS)

    client = await (await serve(slow)).connect()
    await client.send(UPGRADE + b"\r\nall of it")
    client.writer.write_eof()
    await client.head()
    assert await client.reader.read() == b"all of it."


async def test_back_pressure_both_ways(serve):
    total = 30_000_000

    async def run(duplex: Duplex) -> None:
        left = total
        while left:
            data = await duplex.read()
            assert duplex._buffer.size < 1_000_000
            left -= len(data)
            await duplex.write(data)
        duplex.write_eof()

    client = await (await serve(taking_over(run))).connect()
    await client.send(UPGRADE + b"\r\n")
    await client.head()
    payload = bytes(range(256)) * (total // 256) + b"x" * (total % 256)
    sender = asyncio.create_task(client.send(payload))
    assert await client.reader.read(-1) == payload
    await sender


async def test_the_end_is_seen_even_while_the_client_still_sends(serve):
    async def run(duplex: Duplex) -> None:
        await duplex.read(1)
        await duplex.write(b"bye")

    client = await (await serve(taking_over(run))).connect()
    await client.send(UPGRADE + b"\r\n" + b"x" * 100_000)
    await client.head()
    assert await client.reader.read() == b"bye"


async def test_a_failing_session_is_logged_and_closed(serve, caplog):
    async def run(duplex: Duplex) -> None:
        raise ValueError("session broke")

    client = await (await serve(taking_over(run))).connect()
    await client.send(UPGRADE + b"\r\n")
    await client.head()
    assert await client.at_end()
    assert "session broke" in caplog.text


async def test_another_protocol_can_take_the_transport(serve):
    class Shout(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            self.lost = asyncio.Event()

        def data_received(self, data):
            self.transport.write(data.upper())

        def connection_lost(self, exc):
            self.lost.set()

    async def run(duplex: Duplex) -> None:
        shout = Shout()
        early = duplex.take_early()
        duplex.transport.set_protocol(shout)
        shout.connection_made(duplex.transport)
        shout.data_received(early)
        await shout.lost.wait()

    served = await serve(taking_over(run))
    client = await served.connect()
    await client.send(UPGRADE + b"\r\nearly ")
    await client.head()
    await client.send(b"late")
    assert await client.reader.readexactly(10) == b"EARLY LATE"
    await client.close()
    await served.deserted()
