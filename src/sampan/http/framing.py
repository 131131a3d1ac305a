"""Where the body of a message ends (RFC 9112, 6): by its length, or by its chunks.

feed(data, sink) hands the body's bytes to `sink` and returns None while the body goes on,
else the bytes that came after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from sampan.http.errors import HttpError

Sink = Callable[[bytes], None]

_LINE_LIMIT = 4096
_TRAILER_LIMIT = 64 * 1024
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(;.*)?")


class Framing(Protocol):
    """Finds the end of a body in a stream of bytes."""

    def feed(self, data: bytes, sink: Sink) -> bytes | None:
        """Pass on the body's part of `data`; the rest once the body is whole. Raises HttpError 400 if malformed."""


class LengthFraming:
    """A body of `length` bytes (Content-Length)."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    def feed(self, data: bytes, sink: Sink) -> bytes | None:
        """See Framing."""
        if len(data) < self._left:
            self._left -= len(data)
            sink(data)
            return None
        end, self._left = self._left, 0
        if end:
            sink(data[:end])
        return data[end:]


class ChunkedFraming:
    """A body in chunks (RFC 9112, 7.1). Extensions and trailers are read and dropped.

    size line ─▶ data ─▶ line end ─▶ size line ... ─▶ size 0 ─▶ trailer lines ─▶ empty line
    """

    __slots__ = ("_left", "_line", "_state", "_trailer")

    def __init__(self) -> None:
        self._line = b""
        self._left = 0
        self._trailer = 0
        self._state = self._size_line

    def feed(self, data: bytes, sink: Sink) -> bytes | None:
        """See Framing."""
        position = 0
        while position < len(data):
            if self._left:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                sink(piece)
                continue
            newline = data.find(b"\n", position)
            if newline < 0:
                self._keep(data[position:])
                return None
            self._keep(data[position:newline])
            position = newline + 1
            line, self._line = self._line.removesuffix(b"\r"), b""
            if self._state(line):
                return data[position:]
        return None

    def _keep(self, part: bytes) -> None:
        self._line += part
        if len(self._line) > _LINE_LIMIT:
            raise HttpError(400, "malformed chunked encoding: line too long")

    def _size_line(self, line: bytes) -> bool:
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise HttpError(400, "malformed chunked encoding: invalid chunk size")
        self._left = int(match[1], 16)
        self._state = self._data_end if self._left else self._trailer_line
        return False

    def _data_end(self, line: bytes) -> bool:
        if line:
            raise HttpError(400, "malformed chunked encoding: chunk is longer than its size")
        self._state = self._size_line
        return False

    def _trailer_line(self, line: bytes) -> bool:
        self._trailer += len(line)
        if self._trailer > _TRAILER_LIMIT:
            raise HttpError(400, "malformed chunked encoding: trailer too long")
        return not line
