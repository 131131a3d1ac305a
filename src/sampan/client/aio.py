"""The transport for programs with an event loop: asyncio's streams."""

from __future__ import annotations

import asyncio

from sampan.client.address import Address


class AsyncioTransport:
    """Connects to `address` on the running event loop."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def __str__(self) -> str:
        return str(self._address)

    @property
    def prefix(self) -> str:
        return self._address.prefix

    async def connect(self) -> AsyncioStream:
        if self._address.scheme == "unix":
            return AsyncioStream(*await asyncio.open_unix_connection(self._address.path))
        return AsyncioStream(*await asyncio.open_connection(self._address.host, self._address.port))


class AsyncioStream:
    """An asyncio reader and writer as a Stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self, limit: int) -> bytes:
        return await self._reader.read(limit)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def write_eof(self) -> None:
        await self._writer.drain()
        self._writer.write_eof()

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass
