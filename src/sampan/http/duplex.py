"""A connection that was taken over: bytes both ways, each way ended on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sampan.http.buffer import ByteBuffer

_TURN = 1 << 20


class Duplex:
    """The raw connection after an `Upgrade`. One task may read while others write.

    The client's half-close reads as b""; writing goes on. When the client has gone altogether, reading gives what
    had arrived and then b"", writing raises `ClientGone`, and `closed()` returns.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        buffer: ByteBuffer,
        drain: Callable[[], Awaitable[None]],
        close: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._buffer = buffer
        self._drain = drain
        self._close = close
        self._gone = asyncio.Event()
        self._turn = 0

    @property
    def transport(self) -> asyncio.Transport:
        """The transport below, for a protocol that takes it over (HTTP/2); `take_early()` has what came already."""
        return self._transport

    async def read(self, limit: int = -1) -> bytes:
        """At most `limit` bytes (whatever is there when negative); b"" once the client has ended its side."""
        return await self._buffer.read(limit)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`, waiting while the client is slow. Raises ClientGone when it is not there any more."""
        await self._drain()
        self._transport.write(data)
        await self._drain()
        self._turn += len(data)
        if self._turn >= _TURN:
            self._turn = 0
            await asyncio.sleep(0)

    def write_eof(self) -> None:
        """End our side; reading goes on."""
        if not self._gone.is_set() and not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close both sides, after what was written has been sent and the client had a moment to take it."""
        self._buffer.end()
        if not self._gone.is_set() and not self._transport.is_closing():
            self._close()

    async def closed(self) -> None:
        """Wait until the connection is gone: closed by us, or by the client altogether (half-close is not that)."""
        await self._gone.wait()

    def take_early(self) -> bytes:
        """What arrived with the request and has not been read."""
        return self._buffer.drain()

    def get_extra_info(self, name: str) -> Any:
        """As of `asyncio.BaseTransport`: "socket", "peername", "ssl_object"."""
        return self._transport.get_extra_info(name)

    def input_ended(self) -> None:
        """Called by the connection: the client ended its side."""
        self._buffer.end()

    def connection_lost(self) -> None:
        """Called by the connection: nobody is there any more."""
        self._buffer.end()
        self._gone.set()
