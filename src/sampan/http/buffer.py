"""Bytes on their way from a connection to whoever reads them, with back-pressure.

feed(bytes) ──▶ [ piece | piece | ... ] ──▶ await read(n)
                 more than HIGH: pause()
                 less than LOW: resume()
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

HIGH = 256 * 1024
LOW = 64 * 1024
MANY = 4096
"""Pieces that are as good as HIGH: a small one weighs more than its bytes."""
FEW = 256


class ByteBuffer:
    """A bounded queue of bytes with one reader. States: open, then ended or failed; what came before is read first."""

    __slots__ = ("_ended", "_error", "_offset", "_paused", "_pieces", "_waiter", "pause", "resume", "size")

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self.pause = pause
        self.resume = resume
        self.size = 0
        self._pieces: deque[bytes] = deque()
        self._offset = 0
        self._paused = False
        self._ended = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will be fed."""
        return self._ended

    def feed(self, data: bytes) -> None:
        """Append `data`; what comes after the end is dropped."""
        if not data or self._ended:
            return
        self._pieces.append(data)
        self.size += len(data)
        if (self.size > HIGH or len(self._pieces) > MANY) and not self._paused:
            self._paused = True
            self.pause()
        self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more comes: readers get what is left, then b"" or `error`."""
        if self._ended:
            return
        self._ended = True
        self._error = error
        self._wake()

    def drain(self) -> bytes:
        """All that is buffered, at once."""
        data = b"".join(self._pieces)[self._offset :]
        self._pieces.clear()
        self._offset = 0
        self._took(len(data))
        return data

    async def read(self, limit: int = -1) -> bytes:
        """At most `limit` bytes (any number when negative), at least one unless it is the end: then b""."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended or limit == 0:
                return b""
            await self._wait()
        return self._take(limit)

    def _take(self, limit: int) -> bytes:
        piece = self._pieces[0]
        rest = len(piece) - self._offset
        if 0 <= limit < rest:
            data = piece[self._offset : self._offset + limit]
            self._offset += limit
        else:
            data = piece[self._offset :] if self._offset else piece
            self._pieces.popleft()
            self._offset = 0
        self._took(len(data))
        return data

    def _took(self, count: int) -> None:
        self.size -= count
        if self._paused and self.size < LOW and len(self._pieces) < FEW:
            self._paused = False
            self.resume()

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("two readers wait for the same bytes")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
