"""A body that a thread makes, piece by piece, one piece ahead of the client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

SIZE = 1 << 20
"""Bytes that are worth a hop between threads."""


class Pieces:
    """The chunks of a blocking iterator, gathered; `resources` are released at the end, however it comes.

    Nothing is read before the first piece is asked for, and never more than one piece ahead of what was taken.
    """

    def __init__(self, chunks: Iterator[bytes], resources: ExitStack) -> None:
        self._chunks = chunks
        self._resources = resources
        self._ahead: asyncio.Future[bytes] | None = None

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        fetch = self._ahead or self._fetch()
        self._ahead = fetch
        piece = await asyncio.shield(fetch)
        if not piece:
            await self.aclose()
            raise StopAsyncIteration
        self._ahead = self._fetch()
        return piece

    def _fetch(self) -> asyncio.Future[bytes]:
        return asyncio.get_running_loop().run_in_executor(None, gathered, self._chunks)

    async def aclose(self) -> None:
        """Wait for the thread and release everything. More than once is fine."""
        if self._ahead is not None:
            await asyncio.gather(self._ahead, return_exceptions=True)
        await asyncio.to_thread(self._resources.close)


def gathered(chunks: Iterator[bytes], size: int = SIZE) -> bytes:
    """The next chunks, together at least `size` bytes; fewer only at the end. Blocks."""
    parts: list[bytes] = []
    total = 0
    while total < size and (chunk := next(chunks, None)) is not None:
        parts.append(chunk)
        total += len(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)
