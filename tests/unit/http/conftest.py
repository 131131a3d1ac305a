"""A server on a unix socket of its own, and raw clients for it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sampan.http import Handler, HttpServer


@dataclass
class Reply:
    """One parsed response."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


@dataclass
class RawClient:
    """A connection to the server under test."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> Reply:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        _, status, reason = lines[0].split(" ", 2)
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        return Reply(int(status), reason, {name.lower(): value for name, value in headers.items()}, b"")

    async def chunk(self) -> bytes:
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size)
        assert await self.reader.readexactly(2) == b"\r\n"
        return data

    async def reply(self, *, to_head: bool = False) -> Reply:
        reply = await self.head()
        if to_head or reply.status in (204, 304):
            return reply
        if reply.headers.get("transfer-encoding") == "chunked":
            reply.body = b"".join([data async for data in self._chunks()])
        elif "content-length" in reply.headers:
            reply.body = await self.reader.readexactly(int(reply.headers["content-length"]))
        else:
            reply.body = await self.reader.read()
        return reply

    async def _chunks(self) -> AsyncIterator[bytes]:
        while data := await self.chunk():
            yield data

    async def ask(self, data: bytes) -> Reply:
        await self.send(data)
        return await self.reply()

    async def at_end(self) -> bool:
        return await self.reader.read(1) == b""

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


@dataclass
class Served:
    """A running server."""

    server: HttpServer
    path: Path
    clients: list[RawClient]

    async def connect(self) -> RawClient:
        client = RawClient(*await asyncio.open_unix_connection(str(self.path), limit=1 << 20))
        self.clients.append(client)
        return client

    async def ask(self, data: bytes) -> Reply:
        return await (await self.connect()).ask(data)

    async def deserted(self) -> None:
        """Wait until the server has no connection left."""
        await self.until(lambda: not self.server.connections)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.005)


Serve = Callable[[Handler], Awaitable[Served]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """`await serve(handler)` gives a running server; it and its clients are closed after the test."""
    started: list[Served] = []
    numbers = itertools.count()

    async def start(handler: Handler, **options: float) -> Served:
        served = Served(HttpServer(handler, **options), tmp_path / f"s{next(numbers)}", [])
        await served.server.listen_unix(served.path)
        started.append(served)
        return served

    yield start
    for served in started:
        await served.server.close(grace=0)
        for client in served.clients:
            client.writer.close()
