from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.server.websocket import WebSocketDuplex, frame, unmask


def masked(opcode: int, payload: bytes, mask: bytes = b"\x11\x22\x33\x44") -> bytes:
    """A client's frame."""
    server = bytearray(frame(opcode, payload))
    server[1] |= 0x80
    head = bytes(server[: len(server) - len(payload)])
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class Wire:
    """The connection below: what the client sends, and what it gets."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.written = b""

    async def read(self, limit: int = -1) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def write(self, data: bytes) -> None:
        self.written += data


def over(*pieces: bytes) -> tuple[WebSocketDuplex, Wire]:
    wire = Wire(*pieces)
    return WebSocketDuplex(wire), wire  # type: ignore[arg-type]


async def read_all(socket: WebSocketDuplex) -> bytes:
    pieces = []
    while piece := await socket.read(1000):
        pieces.append(piece)
    return b"".join(pieces)


@given(st.binary(), st.binary(min_size=4, max_size=4))
def test_masking(payload: bytes, mask: bytes):
    assert unmask(payload, mask) == bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
async def test_messages_of_all_sizes(size: int):
    payload = b"x" * size
    data = masked(2, payload)
    socket, _ = over(*[data[at : at + 1000] for at in range(0, len(data), 1000)], masked(1, b"text"))
    assert await read_all(socket) == payload + b"text"


async def test_messages_in_parts_byte_by_byte():
    first = bytearray(masked(2, b"one "))
    first[0] &= 0x7F
    data = bytes(first) + masked(0, b"two")
    socket, _ = over(*[data[at : at + 1] for at in range(len(data))])
    assert await read_all(socket) == b"one two"


async def test_pings_are_answered():
    socket, wire = over(masked(9, b"are you there"), masked(10, b""), masked(2, b"x"))
    assert await socket.read(1) == b"x"
    assert wire.written == frame(10, b"are you there")


async def test_a_close_ends_reading():
    socket, _ = over(masked(8, b""), masked(2, b"late"))
    assert await read_all(socket) == b""


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(2, b"unmasked"), 1002),
        (b"\xc2\x80\0\0\0\0", 1002),
        (masked(9, b"x" * 126), 1009),
        (b"\x82\xff" + struct.pack(">Q", 2**63 - 1) + b"\0" * 4, 1009),
    ],
)
async def test_protocol_errors_close(data: bytes, code: int):
    socket, wire = over(data)
    assert await read_all(socket) == b""
    assert wire.written == frame(8, struct.pack(">H", code))


@pytest.mark.parametrize("end", range(1, 12))
async def test_a_frame_that_ends_early_is_the_end(end: int):
    socket, _ = over(masked(2, b"abcdef")[:end])
    assert await read_all(socket) == b""


async def test_writing():
    socket, wire = over()
    await socket.write(b"")
    await socket.write(b"abc")
    await socket.say_goodbye()
    assert wire.written == b"\x82\x03abc\x88\x02\x03\xe8"
