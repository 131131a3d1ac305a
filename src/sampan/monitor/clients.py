"""Attached clients: the far ends of sockets that the daemon made.

Output goes out in docker's frames (stream, three zeros, length, bytes), or bare where the process has a terminal. The
socket's buffer is made large, and a process is read only while each of its clients has much room left: a chunk then
always fits whole, and hardly a byte waits in the monitor, where it would die with it. What a client sends is spliced
to the process's stdin as far as that takes it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
from typing import Protocol

from sampan.kernel import syscalls
from sampan.monitor.encode import FRAME
from sampan.monitor.loop import GONE, READ, WRITE, Loop
from sampan.monitor.protocol import Message

_BUFFER = 2 * 1024 * 1024
_STDIN_CHUNK = 64 * 1024


class Owner(Protocol):
    """The process that a client is attached to."""

    loop: Loop
    tty: bool

    def client_has_room(self) -> None: ...

    def client_ended_stdin(self, client: Client) -> None: ...

    def client_gone(self, client: Client) -> None: ...

    def stdin_full(self) -> None: ...

    @property
    def stdin(self) -> int | None: ...


class Client:
    """One attached client."""

    def __init__(self, owner: Owner, descriptor: int, channel: int, wants: dict[str, bool], pending: str) -> None:
        self.channel = channel
        self.socket = socket.socket(fileno=descriptor)
        self.socket.setblocking(False)
        self.wants = wants
        self.stalled = bool(pending)
        self._owner = owner
        self._pending = bytearray(pending.encode("latin-1"))
        self._reading = False
        self._closing = False
        self._enlarge_buffer()

    def _enlarge_buffer(self) -> None:
        so_sndbufforce = 32
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, so_sndbufforce, _BUFFER)
        except OSError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._room_limit = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 4

    def freeze(self) -> Message:
        """What makes it again after an upgrade."""
        pending = self._pending.decode("latin-1")
        return {"descriptor": self.socket.fileno(), "channel": self.channel, "pending": pending, **self.wants}

    def begin(self) -> None:
        """Start to carry stdin and to watch for the client's end."""
        self._reading = self.wants["stdin"] and self._owner.stdin is not None
        self.watch()

    def watch(self) -> None:
        events = (READ if self._reading else 0) | (WRITE if self.stalled else 0)
        self._owner.loop.watch(self.socket.fileno(), events, self._ready)

    def pause_stdin(self, paused: bool) -> None:
        if self.wants["stdin"]:
            self._reading = not paused
            self.watch()

    def deliver(self, stream: int, data: bytes) -> None:
        """Send a chunk of output; `stalled` says afterwards whether the client is out of room."""
        if not self.wants["stdout" if stream == 1 else "stderr"]:
            return
        parts = [data] if self._owner.tty else [FRAME.pack(stream, len(data)), data]
        if self._pending:
            self._pending += b"".join(parts)
        else:
            self._send(parts)
        self._look_for_room()

    def _send(self, parts: list[bytes]) -> None:
        try:
            sent = self.socket.sendmsg(parts, (), socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # gone: the hang-up is told by the loop
        whole = b"".join(parts) if sent < sum(map(len, parts)) else b""
        self._pending += whole[sent:]

    def _look_for_room(self) -> None:
        waiting = struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        if (self._pending or waiting >= self._room_limit) and not self.stalled:
            self.stalled = True
            self.watch()

    def _ready(self, mask: int) -> None:
        if mask & GONE:
            self._owner.client_gone(self)
            return
        if mask & WRITE and self.stalled:
            self._flush()
        if mask & READ and self._reading:
            self._carry_stdin()

    def _flush(self) -> None:
        pending, self._pending = bytes(self._pending), bytearray()
        if pending:
            self._send([pending])
        if self._pending:
            return
        self.stalled = False
        if self._closing:
            self.close()
        else:
            self.watch()
            self._owner.client_has_room()

    def _carry_stdin(self) -> None:
        stdin = self._owner.stdin
        try:
            count = self._discard() if stdin is None else self._splice(stdin)
        except BrokenPipeError:
            count = self._discard()
        if count == 0:
            self._reading = False
            self.watch()
            self._owner.client_ended_stdin(self)

    def _splice(self, stdin: int) -> int:
        try:
            if self._owner.tty:
                return self._type(stdin)
            return os.splice(self.socket.fileno(), stdin, _STDIN_CHUNK, flags=syscalls.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            self._owner.stdin_full()
            return -1

    def _type(self, terminal: int) -> int:
        """A terminal takes no splice: look, write, and take what was written."""
        data = self.socket.recv(4096, socket.MSG_PEEK)
        count = os.write(terminal, data) if data else 0
        self.socket.recv(count)
        return count

    def _discard(self) -> int:
        """The process no longer reads: what the client still sends goes nowhere."""
        try:
            return len(self.socket.recv(_STDIN_CHUNK))
        except BlockingIOError:
            return -1

    def close(self) -> None:
        """End the client's stream, for the daemon's duplicate of this socket too, once it has got all."""
        self._reading = False
        if self._pending:
            self._closing = True
            self.watch()
            return
        self._owner.loop.unwatch(self.socket.fileno())
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
            while self._discard() > 0:  # what is left unread would turn the peer's end of file into an error
                pass
        except OSError:
            pass
        self.socket.close()

    def drop(self) -> None:
        """Close a client that is gone."""
        self._pending.clear()
        self.close()
