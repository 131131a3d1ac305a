"""Back-pressure of what a connection writes."""

from __future__ import annotations

import asyncio

from sampan.http.errors import ClientGone


class WriteFlow:
    """Whether the client takes what is written. States: open, paused (its buffer is full), then lost."""

    __slots__ = ("_lost", "_writable")

    def __init__(self) -> None:
        self._writable: asyncio.Event | None = None
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether nobody is there any more."""
        return self._lost

    def pause(self) -> None:
        """The transport's buffer is full."""
        if self._writable is None:
            self._writable = asyncio.Event()
        self._writable.clear()

    def resume(self) -> None:
        """The transport's buffer has room again."""
        if self._writable is not None:
            self._writable.set()

    def end(self) -> None:
        """The connection is gone: whoever waits is told."""
        self._lost = True
        self.resume()

    async def drain(self) -> None:
        """Wait while the client is slow. Raises ClientGone when it is not there any more."""
        if self._writable is not None and not self._writable.is_set():
            await self._writable.wait()
        if self._lost:
            raise ClientGone("the client closed the connection")
