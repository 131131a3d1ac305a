"""The body of a request, read as it comes in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from sampan.http.buffer import ByteBuffer
from sampan.http.errors import BodyTooLarge


def _nothing() -> None:
    """No back-pressure: there is nothing to hold back."""


class BodyReader:
    """Reads a request's body once, with back-pressure. For one reader at a time.

    The first read asks a client that said `Expect: 100-continue` to go on. Reading raises HttpError 400 when the
    client ended before the body did or the body's chunks are malformed, and ClientGone when the connection broke.
    """

    __slots__ = ("_buffer", "_on_first_read", "length")

    def __init__(self, buffer: ByteBuffer, length: int | None, on_first_read: Callable[[], None] | None) -> None:
        self._buffer = buffer
        self._on_first_read = on_first_read
        self.length = length
        """Bytes announced by Content-Length; None when the body comes in chunks."""

    @property
    def complete(self) -> bool:
        """Whether all of it has arrived (or failed to)."""
        return self._buffer.ended

    @property
    def unasked(self) -> bool:
        """Whether the client still waits to be asked for the body."""
        return self._on_first_read is not None and not self._buffer.ended

    async def read(self, limit: int = -1) -> bytes:
        """At most `limit` bytes (whatever is there when negative), at least one unless it is the end: then b""."""
        if self._on_first_read is not None:
            ask, self._on_first_read = self._on_first_read, None
            ask()
        return await self._buffer.read(limit)

    async def read_all(self, limit: int) -> bytes:
        """The whole body. Raises BodyTooLarge when it has more than `limit` bytes."""
        if self.length is not None and self.length > limit:
            raise BodyTooLarge(limit)
        pieces: list[bytes] = []
        room = limit
        while piece := await self.read():
            room -= len(piece)
            if room < 0:
                raise BodyTooLarge(limit)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read():
            yield piece


def empty_body() -> BodyReader:
    """The body of a request that has none."""
    buffer = ByteBuffer(_nothing, _nothing)
    buffer.end()
    return BodyReader(buffer, 0, None)


NO_BODY = empty_body()
"""Shared by all requests without a body: it has no state left to change."""
