"""Listens, and makes a Connection of every client."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sampan.http.connection import Connection
from sampan.http.hangup import HangupWatch
from sampan.http.messages import Handler
from sampan.http.tls import TlsLayer

BACKLOG = 4096
HEAD_TIMEOUT = 300.0
"""Seconds a client may take to send a head it has begun."""


class HttpServer:
    """Serves `handler` on any number of sockets. States: open, then closing (no new requests), then closed.

    async def hello(request: Request) -> Response:
        return Response(body=b"hello")

    server = HttpServer(hello)
    await server.listen_unix(Path("/run/x.sock"), 0o660, gid=-1)
    ...
    await server.close(grace=5.0)
    """

    def __init__(self, handler: Handler, *, scheme: str = "http", head_timeout: float = HEAD_TIMEOUT) -> None:
        """Call it where an event loop runs. `scheme` is what requests say they came by."""
        self.handler = handler
        self.scheme = scheme
        self.head_timeout = head_timeout
        self.closing = False
        self.loop = asyncio.get_running_loop()
        self.hangups = HangupWatch(self.loop)
        self.connections: set[Connection] = set()
        self._listeners: list[asyncio.AbstractServer] = []
        self._paths: list[tuple[Path, int]] = []

    async def listen_unix(self, path: Path, mode: int = 0o660, gid: int = -1) -> None:
        """Listen on a unix socket with these permissions and group (-1: unchanged) from its first moment on.

        A socket that nobody serves any more is replaced. Raises OSError: EADDRINUSE when somebody does, EEXIST when
        `path` is something else.
        """
        _clear_stale(path)
        sock = _bound_unix(path, mode, gid)
        self._paths.append((path, path.stat().st_ino))
        await self.serve_socket(sock)

    async def serve_socket(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a bound stream socket; it becomes the server's and is closed with it. `tls` encrypts."""
        sock.setblocking(False)
        made: Callable[[], asyncio.Protocol] = self._connection
        if tls is not None:
            made = partial(TlsLayer, tls, self._connection)
        if sock.family == socket.AF_UNIX:
            server = await self.loop.create_unix_server(made, sock=sock, backlog=BACKLOG)
        else:
            server = await self.loop.create_server(made, sock=sock, backlog=BACKLOG)
        self._listeners.append(server)

    async def close(self, grace: float = 5.0) -> None:
        """Stop listening, give requests in flight `grace` seconds, then cancel what is left of them."""
        self.closing = True
        for listener in self._listeners:
            listener.close()
        for path, inode in self._paths:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == inode:
                    path.unlink()
        tasks = [task for connection in list(self.connections) if (task := connection.shut_down()) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for connection in list(self.connections):
            connection.abort()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        await asyncio.sleep(0)  # lets the transports tell their connections
        self.hangups.close()

    def _connection(self) -> Connection:
        return Connection(self)


def _clear_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "exists and is not a socket", str(path))
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "another process serves this socket", str(path))


def _bound_unix(path: Path, mode: int, gid: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
        os.chown(path, -1, gid)
        path.chmod(mode)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock
