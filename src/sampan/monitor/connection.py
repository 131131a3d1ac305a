"""The monitor's end of the daemon's connection. The newest connection counts: a new daemon replaces the old one."""

from __future__ import annotations

import os
import socket
from collections import deque
from typing import Protocol

from sampan.monitor import protocol
from sampan.monitor.files import close_all, remove_file
from sampan.monitor.loop import GONE, READ, WRITE, Loop
from sampan.monitor.protocol import Files, Message


class Operator(Protocol):
    """What takes the daemon's requests."""

    def handle(self, message: Message, files: Files) -> None: ...

    def disconnected(self) -> None: ...

    def warn(self, text: str) -> None: ...


class Connection:
    """Listens, and holds at most one connection."""

    def __init__(self, loop: Loop, listener: int, operator: Operator) -> None:
        self.listener = socket.socket(fileno=listener)
        self.listener.setblocking(False)
        self.socket: socket.socket | None = None
        self._loop = loop
        self._operator = operator
        self._outgoing: deque[tuple[Message, Files]] = deque()
        loop.watch(listener, READ, self._accept)

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent."""
        return not self._outgoing

    def _accept(self, _: int) -> None:
        try:
            sock, _address = self.listener.accept()
        except BlockingIOError:
            return
        self._disconnect()
        self.take(sock)

    def take(self, sock: socket.socket) -> None:
        """Make `sock` the connection."""
        sock.setblocking(False)
        self.socket = sock
        self._loop.watch(sock.fileno(), READ, self._converse)

    def _disconnect(self) -> None:
        if self.socket is not None:
            self._loop.unwatch(self.socket.fileno())
            self.socket.close()
            self.socket = None
        for _, files in self._outgoing:
            close_all(files)
        self._outgoing.clear()
        self._operator.disconnected()

    def _converse(self, mask: int) -> None:
        if mask & WRITE:
            self._flush()
        if mask & (READ | GONE):
            self._receive()

    def _receive(self) -> None:
        if self.socket is None:
            return
        try:
            packet = protocol.receive(self.socket)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self._operator.warn(f"the daemon's connection: {error}")
            packet = None
        if packet is None:
            self._disconnect()
        else:
            self._operator.handle(*packet)

    def post(self, message: Message, files: Files | None = None) -> None:
        """Send or queue a packet; the descriptors of a queued one are duplicated. Without a daemon it is dropped."""
        if self.socket is None:
            return
        if not self._outgoing and self._try_send(self.socket, message, files or {}):
            return
        self._outgoing.append((message, {name: os.dup(fd) for name, fd in (files or {}).items()}))
        self._loop.watch(self.socket.fileno(), READ | WRITE, self._converse)

    def _try_send(self, sock: socket.socket, message: Message, files: Files) -> bool:
        """False when the packet must wait. A connection that is gone swallows it: the reader will see the end."""
        try:
            protocol.send(sock, message, files)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def _flush(self) -> None:
        while self.socket is not None and self._outgoing and self._try_send(self.socket, *self._outgoing[0]):
            close_all(self._outgoing.popleft()[1])
        if self.socket is not None and not self._outgoing:
            self._loop.watch(self.socket.fileno(), READ, self._converse)


def listen(path: str) -> int:
    """A listening socket at `path`, for its owner alone."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    remove_file(path)
    mask = os.umask(0o177)
    listener.bind(path)
    os.umask(mask)
    listener.listen(16)
    return listener.detach()
