"""Attaching: a client's connection on one side, a channel to the monitor on the other.

A channel is a socket pair. Its far end goes to the monitor with the start of a container (what is attached
before the start gets the first byte) or at once; the daemon's end is pumped from and to the client here. The monitor
ends a channel after the last byte of output; the client's half close becomes the channel's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from sampan.engine.containers.detachkeys import DetachScanner
from sampan.monitor.client import Channel

_CHUNK = 256 * 1024
_HEAD_START = 0.005
"""Seconds by which the reply's head is ahead of output that was there before the request.

Clients that read the head through a buffer (docker-py) lose what comes together with it.
"""


class Duplex(Protocol):
    """A client's connection that was taken over from HTTP."""

    async def read(self, limit: int) -> bytes:
        """Up to `limit` bytes; b"" at the client's half close."""

    async def write(self, data: bytes) -> None: ...

    def write_eof(self) -> None: ...

    def close(self) -> None: ...

    async def closed(self) -> None:
        """Returns when the client is gone."""


@dataclass
class AttachSession:
    """What an upgraded attach or exec request runs.

    `open` is called first and gives the channel (None: nothing to attach to, all was said in `before`); `before` is
    output from elsewhere (the log) that goes first; `keys` are detach keys, for a terminal; `after` is awaited when the
    output has ended, before the connection is closed. `reframe` makes what the client takes of what the channel gives.
    """

    tty: bool
    open: Callable[[], Awaitable[Channel | None]]
    stdin: bool = False
    keys: bytes = b""
    before: AsyncGenerator[bytes, None] | None = None
    after: Callable[[], Awaitable[None]] | None = None
    detached: Callable[[], None] | None = None
    reframe: Callable[[bytes], bytes] | None = None

    async def run(self, duplex: Duplex) -> None:
        """Pump until the process or the client ends, or the client detaches."""
        gone = asyncio.ensure_future(duplex.closed())
        work = asyncio.ensure_future(self._session(duplex))
        try:
            await asyncio.wait((gone, work), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for task in (gone, work):
                task.cancel()
            await asyncio.gather(gone, work, return_exceptions=True)
            duplex.close()

    async def _session(self, duplex: Duplex) -> None:
        channel = await self._opened()
        try:
            await self._pump(duplex, channel)
        except ConnectionError:
            return
        finally:
            if channel is not None:
                channel.close()
        duplex.write_eof()

    async def _opened(self) -> Channel | None:
        """The channel. A client that goes away meanwhile does not stop half-way what was begun: it is closed after."""
        opening = asyncio.ensure_future(self.open())
        _opening.add(opening)
        opening.add_done_callback(_opening.discard)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_late)
            raise

    async def _pump(self, duplex: Duplex, channel: Channel | None) -> None:
        typing = None
        if channel is not None and self.stdin:
            typing = asyncio.ensure_future(self._input(duplex, channel))
        output = asyncio.ensure_future(self._output(duplex, channel))
        try:
            pending = {task for task in (typing, output) if task}
            while output in pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                if typing in done and typing is not None and typing.result():
                    if self.detached is not None:
                        self.detached()
                    return
            output.result()
            if self.after is not None:
                await self.after()
        finally:
            for task in (typing, output):
                if task is not None:
                    task.cancel()
            await asyncio.gather(*(t for t in (typing, output) if t), return_exceptions=True)

    async def _output(self, duplex: Duplex, channel: Channel | None) -> None:
        if self.before is not None:
            async with aclosing(self.before) as before:
                await self._replay(duplex, before)
        if channel is None:
            return
        loop = asyncio.get_running_loop()
        while data := await _receive(loop, channel.socket):
            await duplex.write(self.reframe(data) if self.reframe else data)

    async def _replay(self, duplex: Duplex, before: AsyncGenerator[bytes, None]) -> None:
        pause = _HEAD_START
        async for data in before:
            await asyncio.sleep(pause)
            await duplex.write(data)
            pause = 0

    async def _input(self, duplex: Duplex, channel: Channel) -> bool:
        """Pass on what the client sends; True when it typed the detach keys."""
        loop = asyncio.get_running_loop()
        scanner = DetachScanner(self.keys) if self.keys else None
        try:
            while data := await duplex.read(_CHUNK):
                leave = False
                if scanner is not None:
                    data, leave = scanner.feed(data)
                if data:
                    await loop.sock_sendall(channel.socket, data)
                if leave:
                    return True
            if scanner is not None and (rest := scanner.rest()):
                await loop.sock_sendall(channel.socket, rest)
            channel.socket.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass
        return False


_opening: set[asyncio.Future[Channel | None]] = set()


def _close_late(opening: asyncio.Future[Channel | None]) -> None:
    if not opening.cancelled() and opening.exception() is None and (channel := opening.result()) is not None:
        channel.close()


async def _receive(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bytes:
    try:
        return await loop.sock_recv(sock, _CHUNK)
    except ConnectionResetError:
        return b""
