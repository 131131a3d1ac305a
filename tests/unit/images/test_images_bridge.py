"""From the event loop to a thread and back."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import pytest

from sampan.errors import InvalidArgument, Unavailable
from sampan.images.bridge import Inlet, lines_of, pumping


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def body(pieces, wait=0.0):
    left = list(pieces)

    async def read(limit):
        await asyncio.sleep(wait)
        return left.pop(0) if left else b""

    return read


def drain(inlet):
    return b"".join(iter(inlet.more, b""))


async def test_every_byte_comes_through_in_order(threads):
    pieces = [str(number).encode() * 1000 for number in range(2000)]
    inlet = Inlet(body(pieces))
    async with pumping(inlet):
        got = await asyncio.get_running_loop().run_in_executor(threads, drain, inlet)
    assert got == b"".join(pieces)


async def test_the_body_is_not_read_far_ahead(threads):
    taken = 0

    async def read(limit):
        nonlocal taken
        taken += 1
        return bytes(1 << 20)

    inlet = Inlet(read)
    async with pumping(inlet):
        for _ in range(200):
            await asyncio.sleep(0)
        assert taken <= 18
        for _ in range(16):
            await asyncio.get_running_loop().run_in_executor(threads, inlet.more)
        for _ in range(200):
            await asyncio.sleep(0.001)
        assert 18 < taken <= 36


async def test_errors_of_the_body_reach_the_thread(threads):
    loop = asyncio.get_running_loop()
    for failure, kind in ((InvalidArgument("bad chunk"), InvalidArgument), (ConnectionResetError(), Unavailable)):

        async def read(limit, failure=failure):
            raise failure

        inlet = Inlet(read)
        async with pumping(inlet):
            with pytest.raises(kind):
                await loop.run_in_executor(threads, drain, inlet)


async def test_lines_come_as_they_are_reported(threads):
    def work(report):
        for number in range(5):
            report(str(number).encode())

    assert [line async for line in lines_of(threads, work, lambda error: b"")] == [b"0", b"1", b"2", b"3", b"4"]


async def test_our_errors_are_the_last_line_and_others_are_raised(threads):
    def ours(report):
        report(b"one")
        raise InvalidArgument("wrong")

    def bug(report):
        raise RuntimeError("bug")

    assert [line async for line in lines_of(threads, ours, lambda error: str(error).encode())] == [b"one", b"wrong"]
    with pytest.raises(RuntimeError):
        _ = [line async for line in lines_of(threads, bug, lambda error: b"")]


async def test_when_the_reader_goes_the_work_ends_first(threads, recwarn):
    ended = []

    def work(report):
        report(b"begun")
        try:
            drain(inlet)
        finally:
            ended.append(True)

    inlet = Inlet(body([b"x"] * 10, wait=3600))
    async with aclosing(lines_of(threads, work, lambda error: b"", inlet)) as lines:
        assert await anext(lines) == b"begun"
    assert ended == [True]
    gc.collect()
    assert not [warning for warning in recwarn if "never retrieved" in str(warning.message)]
