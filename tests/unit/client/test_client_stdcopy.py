"""Frames of two streams in one, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.client.stdcopy import Demultiplexer
from sampan.errors import Upstream


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def joined(pieces):
    whole: dict[int, bytes] = {}
    for stream, data in pieces:
        whole[stream] = whole.get(stream, b"") + data
    return whole


@given(
    st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=20)), max_size=8),
    st.lists(st.integers(1, 9), min_size=1, max_size=40),
)
def test_pieces_of_any_size_give_the_same_streams(frames, sizes):
    data = b"".join(frame(stream, body) for stream, body in frames)
    demultiplexer = Demultiplexer()
    found, position = [], 0
    for size in sizes:
        found += demultiplexer.feed(data[position : position + size])
        position += size
    found += demultiplexer.feed(data[position:])
    expected = joined(frames)
    assert {stream: body for stream, body in joined(found).items() if body} == {s: b for s, b in expected.items() if b}
    assert not demultiplexer.incomplete


def test_neighbours_of_one_stream_come_as_one():
    data = frame(1, b"a") + frame(1, b"b") + frame(2, b"c") + frame(1, b"d")
    assert Demultiplexer().feed(data) == [(1, b"ab"), (2, b"c"), (1, b"d")]


def test_a_half_frame_waits():
    demultiplexer = Demultiplexer()
    assert demultiplexer.feed(frame(1, b"abc")[:-1]) == []
    assert demultiplexer.incomplete
    assert demultiplexer.feed(b"c") == [(1, b"abc")]


def test_raw_output_is_not_taken_for_frames():
    with pytest.raises(Upstream, match="terminal"):
        Demultiplexer().feed(b"hello, world")
