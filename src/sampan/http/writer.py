"""Writes replies to a connection: whole, as a stream, or from a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from sampan.http.flow import WriteFlow
from sampan.http.head import Head
from sampan.http.messages import FileBody, Response, Upgrade
from sampan.http.render import http_date, render_head

_TURN = 1 << 20
"""Bytes that a stream may write before others get a turn."""
_LARGE = 128 * 1024
"""From this size on copying an item costs more than two more system calls."""
_BLOCK = 256 * 1024
_BODILESS = frozenset((204, 304))


class ReplyWriter:
    """Writes one reply after the other; `streaming` is true while a stream may be cancelled."""

    __slots__ = ("_flow", "_transport", "streaming")

    def __init__(self, transport: asyncio.Transport, flow: WriteFlow) -> None:
        self._transport = transport
        self._flow = flow
        self.streaming = False

    async def write(self, head: Head, reply: Response, keep_alive: bool) -> bool:
        """Write the reply to a request; returns whether the connection can be kept.

        Raises ClientGone when nobody takes it, and whatever the body raises: then the reply is not whole.
        """
        body = reply.body
        if isinstance(body, bytes):
            await self._flow.drain()
            self._write_whole(head, reply, body, keep_alive)
            return keep_alive
        if isinstance(body, FileBody):
            await self._write_file(head, reply, body, keep_alive)
            return keep_alive
        return await self._write_stream(head, reply, body, keep_alive)

    def write_upgrade(self, upgrade: Upgrade) -> None:
        """Write the head after which the connection is somebody else's."""
        self._transport.write(render_head("1.1", upgrade.status, upgrade.headers, "", upgrade.reason))

    def _write_head(self, head: Head, reply: Response, keep_alive: bool, framing: str, body: bytes = b"") -> None:
        extra = f"Date: {http_date()}\r\n{_connection_field(head, keep_alive)}{framing}"
        self._transport.write(render_head(head.version, reply.status, reply.headers, extra) + body)

    def _write_whole(self, head: Head, reply: Response, body: bytes, keep_alive: bool) -> None:
        if reply.status in _BODILESS:
            self._write_head(head, reply, keep_alive, "")
            return
        framing = "" if _length(reply) is not None else f"Content-Length: {len(body)}\r\n"
        self._write_head(head, reply, keep_alive, framing, b"" if head.method == "HEAD" else body)

    async def _write_file(self, head: Head, reply: Response, body: FileBody, keep_alive: bool) -> None:
        with contextlib.closing(body.file):
            count = body.size()
            self._write_head(head, reply, keep_alive, f"Content-Length: {count}\r\n")
            if head.method == "HEAD" or count == 0:
                return
            if self._transport.get_extra_info("ssl_object") is not None:
                await self._write_blocks(body, count)
                return
            await self._flow.drain()
            loop = asyncio.get_running_loop()
            if await loop.sendfile(self._transport, body.file, body.offset, count) != count:
                raise ValueError("the file became shorter while it was sent")

    async def _write_blocks(self, body: FileBody, count: int) -> None:
        """A file through the transport's write: the kernel can't encrypt it."""
        loop = asyncio.get_running_loop()
        position, end = body.offset, body.offset + count
        while position < end:
            wanted = min(_BLOCK, end - position)
            block = await loop.run_in_executor(None, os.pread, body.file.fileno(), wanted, position)
            if not block:
                raise ValueError("the file became shorter while it was sent")
            self._transport.write(block)
            await self._flow.drain()
            position += len(block)

    async def _write_stream(self, head: Head, reply: Response, body: AsyncIterator[bytes], keep_alive: bool) -> bool:
        try:
            length = _length(reply)
            chunked = length is None and head.version == "1.1"
            keep_alive = keep_alive and (chunked or length is not None)
            self._write_head(head, reply, keep_alive, "Transfer-Encoding: chunked\r\n" if chunked else "")
            if head.method == "HEAD" or reply.status in _BODILESS:
                return keep_alive
            self.streaming = True
            sent = await self._write_items(body, chunked)
            if length is not None and sent != length:
                raise ValueError(f"a stream of {length} bytes had {sent}")
        finally:
            self.streaming = False
            await release(body)
        return keep_alive

    def _write_chunk(self, item: bytes) -> None:
        if len(item) < _LARGE:
            self._transport.write(b"%x\r\n%b\r\n" % (len(item), item))
            return
        self._transport.write(b"%x\r\n" % len(item))
        self._transport.write(memoryview(item))  # what does not fit the socket is a view then, not a copy
        self._transport.write(b"\r\n")

    async def _write_items(self, body: AsyncIterator[bytes], chunked: bool) -> int:
        sent, turn = 0, _TURN
        async for item in body:
            if not item:
                continue
            if chunked:
                self._write_chunk(item)
            else:
                self._transport.write(memoryview(item))
            await self._flow.drain()
            sent += len(item)
            if sent >= turn:
                turn = sent + _TURN
                await asyncio.sleep(0)
        if chunked:
            self._transport.write(b"0\r\n\r\n")
        return sent


def _connection_field(head: Head, keep_alive: bool) -> str:
    if head.version == "1.0":
        return "Connection: keep-alive\r\n" if keep_alive else ""
    return "" if keep_alive else "Connection: close\r\n"


def _length(reply: Response) -> int | None:
    for name, value in reply.headers.items():
        if name.lower() == "content-length":
            return int(value)
    return None


async def release(body: bytes | AsyncIterator[bytes] | FileBody) -> None:
    """Let a body's resources go, whether or not it was sent."""
    if isinstance(body, FileBody):
        body.file.close()
    elif hasattr(body, "aclose"):
        await body.aclose()
