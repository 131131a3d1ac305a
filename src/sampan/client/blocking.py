"""The transport of plain commands: blocking sockets behind `async def`, and the runner that needs no event loop.

A coroutine whose awaits all end in these streams never suspends, so one `send(None)` runs it to its end: the same
client serves the command line without importing asyncio (25 ms, 10 MB) and daemons with it. `_socket` is the C module
below `socket`, which spends 5 ms on enums that nothing here uses.
"""

from __future__ import annotations

import _socket

from sampan.client.address import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from typing import Any, TypeVar

    T = TypeVar("T")


class BlockingTransport:
    """Connects to `address` with blocking sockets."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def __str__(self) -> str:
        return str(self._address)

    @property
    def prefix(self) -> str:
        return self._address.prefix

    async def connect(self) -> BlockingStream:
        if self._address.scheme == "unix":
            sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            return BlockingStream(_connected(sock, self._address.path))
        found = _socket.getaddrinfo(self._address.host, self._address.port, 0, _socket.SOCK_STREAM)
        last = OSError(f"no address for {self._address.host}")
        for family, kind, protocol, _, place in found:
            try:
                sock = _connected(_socket.socket(family, kind, protocol), place)
                sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
                return BlockingStream(sock)
            except OSError as error:
                last = error
        raise last


class BlockingStream:
    """A blocking socket as a Stream; one thread may read while another writes."""

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self._closed = False

    def fileno(self) -> int:
        return self._socket.fileno()

    async def read(self, limit: int) -> bytes:
        try:
            return self._socket.recv(limit)
        except OSError:
            if self._closed:
                return b""
            raise

    async def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    async def write_eof(self) -> None:
        self._socket.shutdown(_socket.SHUT_WR)

    async def close(self) -> None:
        """Close both ways; a thread that reads gets b""."""
        self._closed = True
        try:
            self._socket.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that never suspends. Raises RuntimeError if it does."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine over a blocking transport suspended")


def iterate(items: AsyncIterator[T]) -> Iterator[T]:
    """Yield the items of an asynchronous iterator that never suspends."""
    while True:
        try:
            item = run(_next(items))
        except StopAsyncIteration:
            return
        yield item


async def _next(items: AsyncIterator[T]) -> T:
    return await items.__anext__()


def _connected(sock: _socket.socket, place: Any) -> _socket.socket:
    try:
        sock.connect(place)
    except OSError:
        sock.close()
        raise
    return sock
