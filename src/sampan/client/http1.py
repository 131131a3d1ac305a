"""HTTP/1.1, the client's half: one request at a time on a stream.

Connection.send(request head, body) -> head() -> body read to its end -> send(...) ...
                                          └─ 101, or 200 to an upgrade: Duplex, the stream is no longer HTTP
"""

from __future__ import annotations

from sampan.client.transport import Stream
from sampan.errors import Upstream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

READ_SIZE = 1 << 18
HEAD_LIMIT = 1 << 20


class Head:
    """Status and headers of an answer; names in lower case."""

    __slots__ = ("headers", "reason", "status", "version")

    def __init__(self, version: str, status: int, reason: str, headers: dict[str, str]) -> None:
        self.version, self.status, self.reason, self.headers = version, status, reason, headers

    @property
    def keeps_alive(self) -> bool:
        connection = self.headers.get("connection", "").lower()
        return "close" not in connection and (self.version == "HTTP/1.1" or "keep-alive" in connection)


class Connection:
    """A stream that speaks HTTP; bytes read ahead wait in a buffer."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._buffer = b""
        self.reused = False

    async def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Send a head, and `body` in the same write. Framing headers are the caller's."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        await self.stream.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)

    async def send_chunked(self, chunks: AsyncIterator[bytes]) -> None:
        """Send a body of unknown length; stop early when the other side has answered and gone."""
        try:
            async for chunk in chunks:
                if chunk:
                    await self.stream.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await self.stream.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass

    async def head(self) -> Head | None:
        """Return the next final head, None where the connection ended before one byte of it."""
        while True:
            head = await self._one_head()
            if head is None or head.status == 101 or head.status >= 200:
                return head

    async def _one_head(self) -> Head | None:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            more = await self.stream.read(READ_SIZE)
            if not more:
                if self._buffer:
                    raise Upstream("the connection ended in the middle of an answer's head")
                return None
            self._buffer += more
            if len(self._buffer) > HEAD_LIMIT:
                raise Upstream("the head of the answer is too long")
        raw, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        return parse_head(raw)

    def body(self, head: Head, method: str) -> AsyncIterator[bytes]:
        """Return the body that follows `head`, in pieces as they come."""
        if method == "HEAD" or head.status in (204, 304):
            return self._counted(0)
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            return self._chunked()
        if "content-length" in head.headers:
            return self._counted(int(head.headers["content-length"]))
        return self._rest()

    async def read(self, limit: int) -> bytes:
        """Return what was read ahead, else what comes next; b"" at the end."""
        if not self._buffer:
            return await self.stream.read(limit)
        piece, self._buffer = self._buffer[:limit], self._buffer[limit:]
        return piece

    async def _counted(self, length: int) -> AsyncIterator[bytes]:
        while length:
            piece = await self.read(min(length, READ_SIZE))
            if not piece:
                raise Upstream(f"the connection ended {length} bytes before the end of the answer")
            length -= len(piece)
            yield piece

    async def _rest(self) -> AsyncIterator[bytes]:
        while piece := await self.read(READ_SIZE):
            yield piece

    async def _chunked(self) -> AsyncIterator[bytes]:
        while length := await self._chunk_length():
            async for piece in self._counted(length):
                yield piece
            if await self._line():
                raise Upstream("malformed chunk in the answer")
        while await self._line():
            pass

    async def _chunk_length(self) -> int:
        line = await self._line()
        try:
            return int(line.partition(b";")[0], 16)
        except ValueError:
            raise Upstream("malformed chunk length in the answer") from None

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            more = await self.stream.read(READ_SIZE)
            if not more:
                raise Upstream("the connection ended in the middle of the answer")
            self._buffer += more
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line


class Duplex:
    """A connection taken over after an upgrade: raw bytes both ways, each way closed on its own."""

    def __init__(self, connection: Connection, head: Head) -> None:
        self._connection = connection
        self.head = head

    @property
    def content_type(self) -> str:
        return self.head.headers.get("content-type", "")

    async def read(self, limit: int = READ_SIZE) -> bytes:
        """Return the next bytes, b"" when the other side is done."""
        return await self._connection.read(limit)

    async def write(self, data: bytes) -> None:
        await self._connection.stream.write(data)

    async def write_eof(self) -> None:
        """Close our way; the other side reads end-of-file, and its bytes still come."""
        await self._connection.stream.write_eof()

    async def close(self) -> None:
        await self._connection.stream.close()


def parse_head(raw: bytes) -> Head:
    """Return the head in `raw` (without the empty line). Raises Upstream."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not status.isdigit():
        raise Upstream(f"the answer is not HTTP: {first[:80]!r}")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Head(version, int(status), reason, headers)
