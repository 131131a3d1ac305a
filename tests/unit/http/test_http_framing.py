from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.http import HttpError
from sampan.http.framing import ChunkedFraming, Framing, LengthFraming


def run(framing: Framing, pieces: list[bytes]) -> tuple[bytes, bytes | None]:
    """Feed all pieces; the body, and what came after it (None when it never ended)."""
    body: list[bytes] = []
    rest: bytes | None = None
    for piece in pieces:
        if rest is None:
            rest = framing.feed(piece, body.append)
        else:
            rest += piece
    return b"".join(body), rest


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(index % (len(data) + 1) for index in at)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(st.binary(min_size=1)), st.binary(), st.lists(st.integers(min_value=0)))
def test_chunks_are_the_same_however_they_are_cut(chunks: list[bytes], after: bytes, at: list[int]):
    wire = b"".join(b"%X;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nTrailer: x\r\n\r\n"
    assert run(ChunkedFraming(), cut(wire + after, at)) == (b"".join(chunks), after)


@given(st.binary(), st.binary(), st.lists(st.integers(min_value=0)))
def test_length_is_the_same_however_it_is_cut(body: bytes, after: bytes, at: list[int]):
    pieces = cut(body + after, at) or [b""]
    assert run(LengthFraming(len(body)), pieces) == (body, after)


def test_an_unfinished_body_has_no_rest():
    assert run(LengthFraming(3), [b"ab"]) == (b"ab", None)
    assert run(ChunkedFraming(), [b"2\r\nab"]) == (b"ab", None)
    assert run(ChunkedFraming(), [b"2\r\nab\r\n0\r\n"]) == (b"ab", None)


@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\n",
        b"\r\n",
        b"-1\r\n",
        b"0x2\r\nab\r\n",
        b" 2\r\nab\r\n",
        b"2\r\nabc\r\n",
        b"1" * 16 + b"\r\n",
        b"1" * 5000,
        b"2;" + b"e" * 5000 + b"\r\n",
        b"0\r\n" + b"T: x\r\n" * 20000,
    ],
)
def test_malformed_chunks_are_refused(wire: bytes):
    with pytest.raises(HttpError, match="malformed chunked encoding") as caught:
        run(ChunkedFraming(), [wire])
    assert caught.value.status == 400
