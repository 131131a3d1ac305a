"""Docker's framing of several streams in one (Engine API, ContainerAttach, "Stream format"). Pure.

| stream | 0 0 0 | length, 4 bytes, big endian | data ... |        stream: 0 stdin, 1 stdout, 2 stderr, 3 error
"""

from __future__ import annotations

from struct import Struct

STDOUT, STDERR, SYSTEM = 1, 2, 3
_HEADER = Struct(">BxxxI")


def frame(stream: int, data: bytes) -> bytes:
    """`data` of one stream as a frame."""
    return _HEADER.pack(stream, len(data)) + data


class Unframer:
    """Takes frames apart, however they are cut."""

    def __init__(self) -> None:
        self._header = b""
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The pieces of streams in `data`, in order; a frame may come in several."""
        found = []
        while data:
            if self._left == 0:
                missing = _HEADER.size - len(self._header)
                self._header, data = self._header + data[:missing], data[missing:]
                if len(self._header) < _HEADER.size:
                    break
                self._stream, self._left = _HEADER.unpack(self._header)
                self._header = b""
                continue
            piece, data = data[: self._left], data[self._left :]
            self._left -= len(piece)
            found.append((self._stream, piece))
        return found
