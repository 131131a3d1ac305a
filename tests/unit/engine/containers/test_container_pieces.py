"""Bodies that a thread makes."""

from contextlib import ExitStack, closing

import pytest

from sampan.engine.containers.pieces import Pieces, gathered


def test_chunks_are_gathered_to_a_size():
    chunks = iter([b"a" * 3, b"b" * 3, b"c" * 3])
    assert gathered(chunks, 5) == b"aaabbb"
    assert gathered(chunks, 5) == b"ccc"
    assert gathered(chunks, 5) == b""


class Source:
    def __init__(self, *chunks, failure=None):
        self.given, self.closed = 0, False
        self.chunks, self.failure = chunks, failure

    def generate(self):
        try:
            for chunk in self.chunks:
                self.given += 1
                yield chunk
            if self.failure:
                raise self.failure
        finally:
            self.closed = True

    def pieces(self):
        stack = ExitStack()
        chunks = stack.enter_context(closing(self.generate()))
        stack.callback(lambda: setattr(self, "released", True))
        return Pieces(chunks, stack)


BIG = bytes(1 << 20)


async def test_all_bytes_come_and_everything_is_released():
    source = Source(b"one", b"two", BIG, b"three")
    assert b"".join([piece async for piece in source.pieces()]) == b"onetwo" + BIG + b"three"
    assert source.closed and source.released


async def test_never_more_than_one_piece_ahead():
    source = Source(*[BIG] * 10)
    pieces = source.pieces()
    assert source.given == 0
    await anext(pieces)
    assert source.given <= 2
    await pieces.aclose()
    assert source.closed and source.released


async def test_a_body_that_nobody_reads_is_released():
    source = Source(BIG)
    await source.pieces().aclose()
    assert source.released
    assert source.given == 0


async def test_a_failure_reaches_the_reader():
    source = Source(BIG, failure=OSError("broken"))
    pieces = source.pieces()
    with pytest.raises(OSError, match="broken"):
        async for _ in pieces:
            pass
    await pieces.aclose()
    assert source.released
