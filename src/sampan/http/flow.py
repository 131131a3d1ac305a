"""Back-pressure of what a connection writes."""

from __future__ import annotations

import asyncio

from sampan.http.errors import ClientGone


class WriteFlow:
    """Whether the client takes what is written. States: open, paused (its buffer is full), then lost."""

    __slots__ = ("_transport", "_writable", "lost")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._writable: asyncio.Event | None = None
        self.lost = False
        """Whether nobody is there any more."""

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
        self.lost = True
        self.resume()

    async def drain(self) -> None:
        """Wait while the client is slow. Raises ClientGone when it is not there any more."""
        if self._writable is not None and not self._writable.is_set():
            await self._writable.wait()
        if self.lost or self._transport.is_closing():
            raise ClientGone("the client closed the connection")
