"""The daemon's connection to the monitor: requests out, answers and events in."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sampan.errors import Unavailable
from sampan.monitor import protocol
from sampan.monitor.files import close_all
from sampan.monitor.protocol import Files, Message

Arrived = Callable[[Message, Files], None]

_PACKETS_A_TURN = 64


def connect(path: Path) -> socket.socket | None:
    """A connection to the monitor that listens at `path`; None when none does."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    sock.setblocking(False)
    return sock


class Link:
    """One connection. `on_lost` is called once when the monitor's end is gone, after all that it had sent."""

    def __init__(self, sock: socket.socket, on_event: Callable[[Message], None], on_lost: Callable[[], None]) -> None:
        self._socket = sock
        self._on_event = on_event
        self._on_lost = on_lost
        self._sequence = 0
        self._answers: dict[int, tuple[asyncio.Future[Message], Arrived]] = {}
        self._outgoing: deque[tuple[Message, Files]] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._receive)

    @property
    def peer(self) -> int:
        """The monitor's pid."""
        pid: int = struct.unpack("3i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid

    def request(
        self, operation: str, files: Files | None = None, arrived: Arrived | None = None, /, **fields: Any
    ) -> asyncio.Future[Message]:
        """Send a request at once; its descriptors stay the caller's. `arrived` takes each answer as it comes: the
        next packet may be news of what the answer was about."""
        self._sequence += 1
        future: asyncio.Future[Message] = self._loop.create_future()
        self._answers[self._sequence] = (future, arrived or drop)
        self._post({"op": operation, "seq": self._sequence, **fields}, files or {})
        return future

    def _post(self, message: Message, files: Files) -> None:
        if not self._outgoing:
            try:
                protocol.send(self._socket, message, files)
                return
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
            except OSError:
                return  # the reader will see the end
        self._outgoing.append((message, {name: os.dup(fd) for name, fd in files.items()}))

    def _flush(self) -> None:
        while self._outgoing:
            try:
                protocol.send(self._socket, *self._outgoing[0])
            except BlockingIOError:
                return
            except OSError:
                break
            close_all(self._outgoing.popleft()[1])
        self._loop.remove_writer(self._socket)

    def _receive(self) -> None:
        for _ in range(_PACKETS_A_TURN):
            try:
                packet = protocol.receive(self._socket)
            except BlockingIOError:
                return
            except (OSError, ValueError):
                packet = None
            if packet is None:
                self.close()
                self._on_lost()
                return
            self._take(*packet)

    def _take(self, message: Message, files: Files) -> None:
        if "event" in message:
            self._on_event(message)
            return
        future, arrived = self._answers.get(message["seq"], (None, drop))
        arrived(message, files)
        if not message.get("more"):
            self._answers.pop(message["seq"], None)
            if future is not None and not future.done():
                future.set_result(message)

    def close(self) -> None:
        """Hang up; what is not answered yet fails with Unavailable."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        for future, _ in self._answers.values():
            if not future.done():
                future.set_exception(Unavailable("the container monitor went away; try again"))
                future.exception()  # it need not be awaited
        for _, files in self._outgoing:
            close_all(files)


def drop(_: Message, files: Files) -> None:
    """What is done with descriptors that nobody asked for."""
    close_all(files)
