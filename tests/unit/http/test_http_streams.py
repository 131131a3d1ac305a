from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sampan.http import FileBody, Request, Response

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def streaming(items: AsyncIterator[bytes], **headers: str):
    async def handler(request: Request) -> Response:
        return Response(200, headers, items)

    return handler


async def of(*items: bytes) -> AsyncIterator[bytes]:
    for item in items:
        yield item


class Probe:
    """A stream that is fed by the test and tells how it ended."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.waiting = asyncio.Event()

    async def stream(self) -> AsyncIterator[bytes]:
        try:
            self.waiting.set()
            while (item := await self.items.get()) is not None:
                yield item
        finally:
            self.ended.set()

    def handler(self):
        async def handler(request: Request) -> Response:
            return Response(200, {}, self.stream())

        return handler


async def test_a_stream_is_chunked_and_the_connection_kept(serve):
    client = await (await serve(lambda request: streaming(of(b"ab", b"", b"c"))(request))).connect()
    for _ in range(2):
        await client.send(GET)
        head = await client.head()
        assert head.headers["transfer-encoding"] == "chunked"
        assert [await client.chunk() for _ in range(3)] == [b"ab", b"c", b""]


@pytest.mark.parametrize("size", [1, 65_536, 131_071, 131_072, 1_000_000])
async def test_items_of_all_sizes(serve, size: int):
    reply = await (await serve(streaming(of(b"a" * size, b"b" * size)))).ask(GET)
    assert reply.body == b"a" * size + b"b" * size


async def test_the_head_and_each_item_leave_at_once(serve):
    probe = Probe()
    client = await (await serve(probe.handler())).connect()
    await client.send(GET)
    assert (await client.head()).status == 200
    for item in (b"one", b"two"):
        probe.items.put_nowait(item)
        assert await client.chunk() == item
    probe.items.put_nowait(None)
    assert await client.chunk() == b""


async def test_a_stream_of_known_length_is_not_chunked(serve):
    client = await (await serve(streaming(of(b"ab", b"c"), **{"Content-Length": "3"}))).connect()
    reply = await client.ask(GET)
    assert (reply.body, "transfer-encoding" in reply.headers) == (b"abc", False)


@pytest.mark.parametrize("length", ["2", "4"])
async def test_a_stream_of_another_length_than_promised_ends_the_connection(serve, caplog, length: str):
    client = await (await serve(streaming(of(b"ab", b"c"), **{"Content-Length": length}))).connect()
    await client.send(GET + GET)
    await client.head()
    assert await client.reader.read() == b"abc"
    assert f"a stream of {length} bytes had 3" in caplog.text


async def test_a_stream_to_http_1_0_ends_with_the_connection(serve):
    client = await (await serve(streaming(of(b"ab", b"c")))).connect()
    reply = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert reply.body == b"abc"


async def test_head_of_a_stream_closes_it_unread(serve):
    probe = Probe()
    client = await (await serve(probe.handler())).connect()
    await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.reply(to_head=True)).status == 200
    assert not probe.waiting.is_set()
    assert (await client.ask(b"GARBAGE\r\n\r\n")).status == 400


@pytest.mark.parametrize("before", [True, False], ids=["before the first item", "between items"])
async def test_a_stream_that_waits_is_ended_when_the_client_goes(serve, before: bool):
    probe = Probe()
    client = await (await serve(probe.handler())).connect()
    await client.send(GET)
    await probe.waiting.wait()
    await client.head()
    if not before:
        probe.items.put_nowait(b"x")
        await client.chunk()
    await client.close()
    await probe.ended.wait()


async def test_a_stream_blocked_by_a_slow_client_holds_its_source_and_ends_when_the_client_goes(serve):
    produced = 0
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal produced
        try:
            while True:
                produced += 1
                yield b"x" * 10_000
        finally:
            ended.set()

    client = await (await serve(streaming(endless()))).connect()
    client.writer.transport.pause_reading()
    await client.send(GET)
    seen = -1
    while seen != produced:
        seen = produced
        await asyncio.sleep(0.05)
    assert produced < 200
    client.writer.transport.abort()
    await ended.wait()


async def test_a_stream_that_never_waits_ends_when_the_client_goes(serve, caplog):
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def hasty() -> AsyncIterator[bytes]:
        produced = 0
        try:
            for _ in range(500_000):
                produced += 1
                yield b"x"
        finally:
            ended.set_result(produced)

    client = await (await serve(streaming(hasty()))).connect()
    await client.send(GET)
    client.writer.transport.abort()
    assert await ended < 500_000
    assert not caplog.records


async def test_a_stream_to_a_half_closed_client_goes_on_until_it_hangs_up(serve):
    probe = Probe()
    client = await (await serve(probe.handler())).connect()
    await client.send(GET)
    await client.head()
    client.writer.write_eof()
    await asyncio.sleep(0.02)
    probe.items.put_nowait(b"still here")
    assert await client.chunk() == b"still here"
    client.writer.close()
    await probe.ended.wait()


async def test_a_broken_stream_does_not_look_whole(serve, caplog):
    async def breaking() -> AsyncIterator[bytes]:
        yield b"ab"
        raise ValueError("disk on fire")

    client = await (await serve(streaming(breaking()))).connect()
    await client.send(GET)
    await client.head()
    assert await client.chunk() == b"ab"
    assert await client.at_end()
    assert "disk on fire" in caplog.text


async def test_a_stream_shares_the_loop(serve):
    async def fast() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b"x" * 100_000

    async def handler(request: Request) -> Response:
        return Response(200, {}, fast()) if request.path == "/big" else Response(body=b"small")

    served = await serve(handler)
    big = asyncio.create_task(served.ask(GET.replace(b"/", b"/big", 1)))
    assert (await served.ask(GET)).body == b"small"
    assert len((await big).body) == 40_000_000


@pytest.mark.parametrize(("offset", "count", "expected"), [(0, None, 3_000_000), (2_999_990, 100, 10), (5, 7, 7)])
async def test_a_file_is_sent_in_part_or_whole(serve, tmp_path: Path, offset: int, count: int | None, expected: int):
    path = tmp_path / "file"
    content = bytes(range(250)) * 12_000
    path.write_bytes(content)
    files = []

    async def handler(request: Request) -> Response:
        files.append(path.open("rb"))
        return Response(200, {}, FileBody(files[-1], offset, count))

    client = await (await serve(handler)).connect()
    for _ in range(2):
        reply = await client.ask(GET)
        assert reply.headers["content-length"] == str(expected)
        assert reply.body == content[offset:][:expected]
    await client.send(GET.replace(b"GET", b"HEAD"))
    assert (await client.reply(to_head=True)).headers["content-length"] == str(expected)
    await client.ask(GET)
    assert all(file.closed for file in files[:3])


async def test_a_file_is_closed_when_the_client_goes(serve, tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5_000_000)
    file = path.open("rb")

    async def handler(request: Request) -> Response:
        return Response(200, {}, FileBody(file))

    served = await serve(handler)
    client = await served.connect()
    client.writer.transport.pause_reading()
    await client.send(GET)
    await asyncio.sleep(0.05)
    assert not file.closed
    client.writer.transport.abort()
    await served.until(lambda: file.closed)


async def test_a_file_for_a_client_that_has_gone_is_no_failure(serve, tmp_path: Path, caplog):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5_000_000)
    file = path.open("rb")
    entered = asyncio.Event()

    async def handler(request: Request) -> Response:
        entered.set()
        await asyncio.sleep(0.02)
        (connection,) = served.server.connections
        connection._transport.close()
        return Response(200, {}, FileBody(file))

    served = await serve(handler)
    client = await served.connect()
    await client.send(GET)
    await entered.wait()
    await served.until(lambda: file.closed)
    assert not caplog.records
