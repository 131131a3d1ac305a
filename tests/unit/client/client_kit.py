"""A transport without a network: streams that answer from a script and remember what was written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class ScriptedStream:
    """Gives `pieces` one by one, then end-of-file; keeps what is written."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = deque(pieces)
        self.written = b""
        self.ended = self.closed = False

    async def read(self, limit: int) -> bytes:
        if not self.pieces:
            return b""
        piece = self.pieces.popleft()
        if len(piece) > limit:
            self.pieces.appendleft(piece[limit:])
        return piece[:limit]

    async def write(self, data: bytes) -> None:
        self.written += data

    async def write_eof(self) -> None:
        self.ended = True

    async def close(self) -> None:
        self.closed = True


class ScriptedTransport:
    """Opens one stream of `scripts` after another."""

    prefix = ""

    def __init__(self, *scripts: Iterable[bytes]) -> None:
        self.scripts = deque(scripts)
        self.streams: list[ScriptedStream] = []

    def __str__(self) -> str:
        return "scripted"

    async def connect(self) -> ScriptedStream:
        self.streams.append(ScriptedStream(self.scripts.popleft()))
        return self.streams[-1]

    @property
    def requests(self) -> list[str]:
        """The request lines of all streams."""
        lines = [line for stream in self.streams for line in stream.written.decode("latin-1").split("\r\n")]
        return [line.removesuffix(" HTTP/1.1") for line in lines if line.endswith(" HTTP/1.1")]


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """Return an answer with its length."""
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
