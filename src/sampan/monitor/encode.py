"""Chunks of output as log records. Pure: the same chunk, stream and time always give the same bytes, so that a
successor can find out how much of a chunk is in the log already.

json-file   {"log":"text\\n","stream":"stdout","time":"2026-01-31T12:00:00.000000001Z"}   one line of JSON a line
            docker's bytes, its escapes and its pieces of 16 KiB among them; a record whose text lacks the newline is
            continued by the next one of its stream. Bytes that are not UTF-8, which docker damages, stand as \\udc80
            to \\udcff and decode back to the bytes.
local       header (16 bytes, little endian): length u32, stream u8, flags u8, zero u16, time i64 in ns since 1970;
            then the chunk's bytes as they are; then the length again, for reading backward.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator

STDOUT, STDERR = 1, 2
STREAM_NAMES = {STDOUT: "stdout", STDERR: "stderr"}

# Docker's frame of attach and logs streams: stream, three zeros, length (Engine API, ContainerAttach).
FRAME = struct.Struct(">BxxxI")
LOCAL_HEADER = struct.Struct("<IBBHq")
LOCAL_TRAILER = struct.Struct("<I")

# (chunk, stream, time in ns) to the records, in pieces: they are large, and copying costs more than encoding.
Pieces = list[bytes | memoryview]
Encoder = Callable[[bytes, int, int], Pieces]

LONGEST_PIECE = 16384
"""Bytes of a line that go into one json-file record, at most; its newline counts."""

_OPEN = b'{"log":"'
_PLAIN = bytes(byte for byte in range(256) if byte == 0x0A or (byte >= 0x20 and byte not in b'"\\<>&'))
_SPECIAL = [b"\\", b'"', b"<", b">", b"&", *(bytes([byte]) for byte in range(0x20) if byte != 0x0A)]
_ESCAPES = {byte: b"\\u%04x" % ord(byte) for byte in _SPECIAL} | {b"\\": b"\\\\", b'"': b'\\"', b"\r": b"\\r"}
_SEPARATORS = {"\u2028".encode(): b"\\u2028", "\u2029".encode(): b"\\u2029"}
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


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
    attrs = b',"attrs":' + _object(attributes) if attributes else b""

    def encode(data: bytes, stream: int, time_ns: int) -> Pieces:
        end = b'","stream":"%s"%s,"time":"%s"}\n' % (STREAM_NAMES[stream].encode(), attrs, short_time(time_ns))
        if has_long_line(data):
            return [b"".join(_record(piece, end) for piece in pieces_of_lines(data))]
        lines = escape(data).replace(b"\n", b"\\n" + end + _OPEN)
        if data.endswith(b"\n"):
            return [_OPEN, memoryview(lines)[: -len(_OPEN)]]
        return [_OPEN, lines, end]

    return encode


def _object(attributes: dict[str, str]) -> bytes:
    """As Go writes a map."""
    text = json.dumps(attributes, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.translate(_HTML).encode("utf-8", "replace")


def _record(text: bytes, end: bytes) -> bytes:
    return _OPEN + escape(text).replace(b"\n", b"\\n") + end


def has_long_line(data: bytes) -> bool:
    """Whether a line of `data` needs several records."""
    position = 0
    while len(data) - position > LONGEST_PIECE:
        newline = data.rfind(b"\n", position, position + LONGEST_PIECE)
        if newline < 0:
            return True
        position = newline + 1
    return False


def pieces_of_lines(data: bytes) -> Iterator[bytes]:
    """The lines of `data`, those that are too long in pieces; no piece ends within a character."""
    position = 0
    while position < len(data):
        piece = data[position : position + LONGEST_PIECE]
        newline = piece.find(b"\n") + 1
        if newline:
            piece = piece[:newline]
        elif position + len(piece) < len(data):
            piece = piece[: len(piece) - _unfinished(piece)]
        yield piece
        position += len(piece)


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
    return data if data.isascii() else _separators_escaped(_valid_utf8(data))


def _separators_escaped(data: bytes) -> bytes:
    for separator, escaped in _SEPARATORS.items():
        if separator in data:
            data = data.replace(separator, escaped)
    return data


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


def short_time(time_ns: int) -> bytes:
    """The same as docker's json-file log has it: without the zeros at the end."""
    return format_time(time_ns)[:-1].rstrip(b"0").removesuffix(b".") + b"Z"
