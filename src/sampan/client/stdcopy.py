"""Docker's framing of two output streams in one: how a container without a terminal is heard.

    frame = stream (1 byte: 0 stdin, 1 stdout, 2 stderr, 3 the engine's own error), 3 zero bytes,
            length (4 bytes, big endian), that many bytes

Engine API, ContainerAttach, "Stream format".
"""

from __future__ import annotations

from sampan.errors import Upstream

STDIN, STDOUT, STDERR, SYSTEM = range(4)
HEADER = 8


class Demultiplexer:
    """Takes the bytes as they come, in pieces of any size, and gives back what belongs to which stream."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return (stream, bytes) for the whole frames so far, neighbours of one stream joined. Raises Upstream."""
        if self._rest:
            data = self._rest + data
        found: list[tuple[int, list[bytes]]] = []
        start, size = 0, len(data)
        while size - start >= HEADER:
            stream = data[start]
            if stream > SYSTEM:
                raise Upstream(f"unknown stream {stream} in the engine's output: is the container's terminal on?")
            end = start + HEADER + int.from_bytes(data[start + 4 : start + HEADER], "big")
            if end > size:
                break
            if found and found[-1][0] == stream:
                found[-1][1].append(data[start + HEADER : end])
            else:
                found.append((stream, [data[start + HEADER : end]]))
            start = end
        self._rest = data[start:]
        return [(stream, b"".join(pieces)) for stream, pieces in found]

    @property
    def incomplete(self) -> bool:
        """Whether the bytes so far end in the middle of a frame."""
        return bool(self._rest)
