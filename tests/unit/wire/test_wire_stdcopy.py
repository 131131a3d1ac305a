from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sampan.wire.stdcopy import STDERR, STDOUT, Unframer, frame


def test_a_frame():
    assert frame(STDERR, b"abc") == b"\x02\0\0\0\0\0\0\x03abc"
    assert frame(STDOUT, b"") == b"\x01\0\0\0\0\0\0\0"


@given(st.lists(st.tuples(st.integers(0, 3), st.binary())), st.integers(1, 20))
def test_frames_come_apart_however_they_are_cut(frames: list[tuple[int, bytes]], size: int):
    wire = b"".join(frame(stream, data) for stream, data in frames)
    unframer = Unframer()
    pieces = [piece for at in range(0, len(wire), size) for piece in unframer.feed(wire[at : at + size])]
    for stream in range(4):
        whole = b"".join(data for number, data in frames if number == stream)
        assert b"".join(data for number, data in pieces if number == stream) == whole
