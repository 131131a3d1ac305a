"""Chunks of output as log records. Pure: the same chunk, stream and time always give the same bytes, so that a
successor can find out how much of a chunk is in the log already.

json-file   {"log":"text\\n","stream":"stdout","time":"2026-01-31T12:00:00.000000001Z"}   one line of JSON a line
            docker's format; a record whose text lacks the newline is continued by the next one of its stream. Bytes
            that are not UTF-8 stand as \\udc80 to \\udcff, which decode back to the bytes.
local       header (16 bytes, little endian): length u32, stream u8, flags u8, zero u16, time i64 in ns since 1970;
            then the chunk's bytes as they are; then the length again, for reading backward.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable

STDOUT, STDERR = 1, 2
STREAM_NAMES = {STDOUT: "stdout", STDERR: "stderr"}

# Docker's frame of attach and logs streams: stream, three zeros, length (Engine API, ContainerAttach).
FRAME = struct.Struct(">BxxxI")
LOCAL_HEADER = struct.Struct("<IBBHq")
LOCAL_TRAILER = struct.Struct("<I")

# (chunk, stream, time in ns) to the records, in pieces: they are large, and copying costs more than encoding.
Pieces = list[bytes | memoryview]
Encoder = Callable[[bytes, int, int], Pieces]

_OPEN = b'{"log":"'
_PLAIN = bytes(byte for byte in range(256) if byte == 0x0A or (byte >= 0x20 and byte not in b'"\\'))
_SPECIAL = [b"\\", b'"', *(bytes([byte]) for byte in range(0x20) if byte != 0x0A)]
_ESCAPES = {byte: json.dumps(byte.decode())[1:-1].encode() for byte in _SPECIAL}


def chunk_end(data: bytes) -> int:
    """Where to cut what a pipe holds: after the last newline; without one before a character's first half, if any."""
    return data.rfind(b"\n") + 1 or len(data) - _unfinished(data) or len(data)


def _unfinished(data: bytes) -> int:
    """The length of an incomplete UTF-8 sequence at the end of `data`."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            width = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < width else 0
        if byte < 0x80:
            return 0
    return 0


def json_encoder(attributes: dict[str, str] | None = None) -> Encoder:
    """An encoder of docker's json-file records; `attributes` (chosen labels and variables) go into each record."""
    attrs = b',"attrs":' + json.dumps(attributes, separators=(",", ":")).encode() if attributes else b""

    def encode(data: bytes, stream: int, time_ns: int) -> Pieces:
        end = b'","stream":"%s"%s,"time":"%s"}\n' % (STREAM_NAMES[stream].encode(), attrs, format_time(time_ns))
        lines = escape(data).replace(b"\n", b"\\n" + end + _OPEN)
        if data.endswith(b"\n"):
            return [_OPEN, memoryview(lines)[: -len(_OPEN)]]
        return [_OPEN, lines, end]

    return encode


def local_encode(data: bytes, stream: int, time_ns: int) -> Pieces:
    """An encoder of our local driver's records."""
    return [LOCAL_HEADER.pack(len(data), stream, 0, 0, time_ns), data, LOCAL_TRAILER.pack(len(data))]


def encoder(driver: str, attributes: dict[str, str] | None = None) -> Encoder:
    """The encoder of a log driver's name."""
    return json_encoder(attributes) if driver == "json-file" else local_encode


def escape(data: bytes) -> bytes:
    """The inside of a JSON string that stands for `data`, newlines left as they are."""
    found = data.translate(None, _PLAIN)
    if found:
        for byte in _SPECIAL:
            if byte in found:
                data = data.replace(byte, _ESCAPES[byte])
    return data if data.isascii() else _valid_utf8(data)


def _valid_utf8(data: bytes) -> bytes:
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape").encode("utf-8", "backslashreplace")
    return data


_last_second: tuple[int, bytes] = (-1, b"")


def format_time(time_ns: int) -> bytes:
    """RFC 3339 with nine digits, UTC."""
    global _last_second
    second, nanos = divmod(time_ns, 1_000_000_000)
    if _last_second[0] != second:
        _last_second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode())
    return b"%s.%09dZ" % (_last_second[1], nanos)
