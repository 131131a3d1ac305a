"""Connections that are handed over to a session: docker's attach and exec streams, and WebSockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from sampan.http import ClientGone, Duplex, Upgrade
from sampan.server.call import Call
from sampan.server.replies import MULTIPLEXED_STREAM, RAW_STREAM
from sampan.server.versions import Version
from sampan.server.websocket import WebSocketDuplex
from sampan.wire.stdcopy import Unframer


class Stream(Protocol):
    """A client's connection, as a session sees it."""

    async def read(self, limit: int) -> bytes:
        """Up to `limit` bytes; b"" at the client's half-close."""

    async def write(self, data: bytes) -> None: ...

    def write_eof(self) -> None: ...

    def close(self) -> None: ...

    async def closed(self) -> None:
        """Returns when the client is gone."""


class Session(Protocol):
    """What takes a connection over; with a terminal its output is raw, else in stdcopy frames."""

    @property
    def tty(self) -> bool: ...

    @property
    def run(self) -> Callable[[Stream], Awaitable[None]]: ...


def stream_type(version: Version, tty: bool) -> str:
    """The Content-Type of a container's output."""
    return MULTIPLEXED_STREAM if version >= (1, 42) and not tty else RAW_STREAM


def raw_stream(call: Call, session: Session, fields: Mapping[str, str] | None = None) -> Upgrade:
    """101 UPGRADED for a client that asked for it, 200 for one that takes the raw connection without asking."""
    if not call.request.headers.get("upgrade"):
        return Upgrade(session.run, 200, {"Content-Type": RAW_STREAM, **(fields or {})})
    head = {
        "Content-Type": stream_type(call.version, session.tty),
        "Connection": "Upgrade",
        "Upgrade": "tcp",
        **(fields or {}),
    }
    return Upgrade(session.run, 101, head, reason="UPGRADED")


def websocket_stream(fields: Mapping[str, str], session: Session) -> Upgrade:
    """A session inside a WebSocket whose handshake was accepted with `fields`."""

    async def run(duplex: Duplex) -> None:
        socket = WebSocketDuplex(duplex)
        try:
            await session.run(_Open(socket) if session.tty else _Unframed(socket))
        finally:
            try:
                await socket.say_goodbye()
            except ClientGone:
                pass
            socket.close()

    return Upgrade(run, 101, fields)


class _Open:
    """A WebSocket that a session can't close: the goodbye comes first."""

    def __init__(self, socket: WebSocketDuplex) -> None:
        self._socket = socket
        self.read = socket.read
        self.write_eof = socket.write_eof
        self.closed = socket.closed

    async def write(self, data: bytes) -> None:
        """Send `data`."""
        await self._socket.write(data)

    def close(self) -> None:
        """Nothing yet."""


class _Unframed(_Open):
    """The same, taking stdcopy frames and sending what is in them."""

    def __init__(self, socket: WebSocketDuplex) -> None:
        super().__init__(socket)
        self._unframer = Unframer()

    async def write(self, data: bytes) -> None:
        """Send the contents of the frames in `data`."""
        await self._socket.write(b"".join(piece for _, piece in self._unframer.feed(data)))
