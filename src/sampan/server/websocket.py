"""A Duplex over a WebSocket (RFC 6455), for attach/ws: the server's side, binary messages, no extensions."""

from __future__ import annotations

import base64
import hashlib
from struct import pack, unpack

from sampan.errors import InvalidArgument
from sampan.http import Duplex, Request

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_FRAME_LIMIT = 16 << 20
_CLOSE_NORMAL, _CLOSE_PROTOCOL_ERROR, _CLOSE_TOO_BIG = 1000, 1002, 1009


def handshake(request: Request) -> dict[str, str]:
    """The fields that accept an opening handshake. Raises InvalidArgument when it isn't one (RFC 6455, 4.2.1)."""
    fields = request.headers
    if "websocket" not in fields.tokens("upgrade") or "upgrade" not in fields.tokens("connection"):
        raise InvalidArgument("not websocket protocol: use Connection: Upgrade and Upgrade: websocket")
    if fields.get("sec-websocket-version") != "13":
        raise InvalidArgument("this WebSocket version is not supported: use 13")
    key = fields.get("sec-websocket-key", "") or ""
    if not key:
        raise InvalidArgument("the Sec-WebSocket-Key of the handshake is missing")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    return {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole message in one unmasked frame, as servers send them (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        head = pack(">BB", 0x80 | opcode, size)
    elif size < 1 << 16:
        head = pack(">BBH", 0x80 | opcode, 126, size)
    else:
        head = pack(">BBQ", 0x80 | opcode, 127, size)
    return head + payload


def unmask(payload: bytes, mask: bytes) -> bytes:
    """The payload of a client's frame (RFC 6455, 5.3)."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


class WebSocketDuplex:
    """What messages carry, as bytes both ways. Text and binary messages are the same; pings are answered.

    There is no half-close in the protocol: the client's end is its Close frame, ours closes.
    """

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._pending = b""
        self._taken = b""
        self._ended = False

    async def read(self, limit: int = -1) -> bytes:
        """At most `limit` bytes of what messages carry; b"" once the client has closed."""
        while not self._taken and not self._ended:
            await self._next_frame()
        data = self._taken if limit < 0 else self._taken[:limit]
        self._taken = self._taken[len(data) :]
        return data

    async def write(self, data: bytes) -> None:
        """Send `data` as one binary message. Raises ClientGone."""
        if data:
            await self._duplex.write(frame(_BINARY, data))

    def write_eof(self) -> None:
        """Nothing: a WebSocket ends both ways at once, by `close`."""

    def close(self) -> None:
        """Close both ways."""
        self._duplex.close()

    async def closed(self) -> None:
        """Wait until the connection is gone."""
        await self._duplex.closed()

    async def say_goodbye(self) -> None:
        """Send our Close frame. Raises ClientGone."""
        await self._duplex.write(frame(_CLOSE, pack(">H", _CLOSE_NORMAL)))

    async def _next_frame(self) -> None:
        head = await self._exactly(2)
        if len(head) < 2:
            self._ended = True
            return
        opcode, size, masked = head[0] & 0x0F, head[1] & 0x7F, head[1] & 0x80
        if size == 126:
            (size,) = unpack(">H", (await self._exactly(2)).rjust(2, b"\0"))
        elif size == 127:
            (size,) = unpack(">Q", (await self._exactly(8)).rjust(8, b"\0"))
        if not masked or head[0] & 0x70:
            await self._refuse(_CLOSE_PROTOCOL_ERROR)
            return
        if size > _FRAME_LIMIT or (opcode >= _CLOSE and size > 125):
            await self._refuse(_CLOSE_TOO_BIG)
            return
        mask = await self._exactly(4)
        payload = await self._exactly(size)
        if len(mask) < 4 or len(payload) < size:
            self._ended = True
            return
        await self._take(opcode, unmask(payload, mask))

    async def _take(self, opcode: int, payload: bytes) -> None:
        if opcode < _CLOSE:
            self._taken += payload
        elif opcode == _PING:
            await self._duplex.write(frame(_PONG, payload))
        elif opcode == _CLOSE:
            self._ended = True

    async def _refuse(self, code: int) -> None:
        self._ended = True
        await self._duplex.write(frame(_CLOSE, pack(">H", code)))

    async def _exactly(self, count: int) -> bytes:
        """`count` bytes, fewer when the client ends before."""
        pieces = [self._pending] if self._pending else []
        have = len(self._pending)
        while have < count:
            piece = await self._duplex.read()
            if not piece:
                break
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self._pending = data[count:]
        return data[:count]
