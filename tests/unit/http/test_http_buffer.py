from __future__ import annotations

import asyncio

import pytest

from sampan.http.buffer import FEW, HIGH, MANY, ByteBuffer


class Flow:
    """Counts what a buffer asks of its source."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.buffer = ByteBuffer(lambda: self.calls.append("pause"), lambda: self.calls.append("resume"))


async def test_reads_pieces_in_order_and_splits_them():
    buffer = Flow().buffer
    buffer.feed(b"abc")
    buffer.feed(b"de")
    assert [await buffer.read(2), await buffer.read(2), await buffer.read(), buffer.size] == [b"ab", b"c", b"de", 0]


async def test_reads_what_is_left_before_the_end():
    buffer = Flow().buffer
    buffer.feed(b"a")
    buffer.end()
    buffer.feed(b"too late")
    assert [await buffer.read(), await buffer.read(), await buffer.read()] == [b"a", b"", b""]


async def test_reads_what_is_left_before_the_error():
    buffer = Flow().buffer
    buffer.feed(b"a")
    buffer.end(ValueError("broken"))
    assert await buffer.read() == b"a"
    with pytest.raises(ValueError, match="broken"):
        await buffer.read()


async def test_pauses_its_source_while_it_is_full():
    flow = Flow()
    flow.buffer.feed(b"x" * HIGH)
    assert flow.calls == []
    flow.buffer.feed(b"x")
    flow.buffer.feed(b"x")
    assert flow.calls == ["pause"]
    await flow.buffer.read()
    assert flow.calls == ["pause", "resume"]


async def test_pauses_its_source_for_many_small_pieces():
    flow = Flow()
    for _ in range(MANY + 1):
        flow.buffer.feed(b"x")
    assert flow.calls == ["pause"]
    for _ in range(MANY + 1 - FEW):
        await flow.buffer.read()
    assert flow.calls == ["pause"]
    await flow.buffer.read()
    assert flow.calls == ["pause", "resume"]


async def test_a_waiting_reader_is_woken():
    buffer = Flow().buffer
    reader = asyncio.create_task(buffer.read())
    await asyncio.sleep(0)
    buffer.feed(b"x")
    assert await reader == b"x"


async def test_a_cancelled_reader_takes_nothing():
    buffer = Flow().buffer
    reader = asyncio.create_task(buffer.read())
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    buffer.feed(b"x")
    assert await buffer.read() == b"x"


async def test_two_waiting_readers_are_a_mistake():
    buffer = Flow().buffer
    first = asyncio.create_task(buffer.read())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="two readers"):
        await buffer.read()
    buffer.end()
    assert await first == b""


async def test_drain_takes_all_at_once():
    buffer = Flow().buffer
    buffer.feed(b"abc")
    buffer.feed(b"de")
    await buffer.read(1)
    assert buffer.drain() == b"bcde"
    assert buffer.size == 0
