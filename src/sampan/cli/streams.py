"""Our three streams and a container's, joined.

    stdin ──thread──> Duplex ──> main thread ──> stdout, stderr

Signals reach the main thread while it waits for output; their handlers make requests on connections of their own.
"""

from __future__ import annotations

import os

from sampan.cli.terminal import DetachKeys, RawMode, size
from sampan.client.blocking import run
from sampan.client.stdcopy import STDERR, SYSTEM, Demultiplexer
from sampan.errors import Internal, SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from sampan.client.http1 import Duplex

READ_SIZE = 1 << 16


def copy(duplex: Duplex, tty: bool, stdin: bool, keys: bytes = b"", stdout: bool = True, stderr: bool = True) -> bool:
    """Join the streams until the container's output ends; return False when the user detached.

    With `tty` output is raw and `keys` detach; stdin, when it is a terminal, is in raw mode meanwhile.
    """
    detach = DetachKeys(keys if tty else b"")
    if stdin:
        import threading

        threading.Thread(target=_send, args=(duplex, detach), daemon=True).start()
    if tty and stdin and os.isatty(0):
        with RawMode(0):
            _receive(duplex, tty, stdout, stderr)
    else:
        _receive(duplex, tty, stdout, stderr)
    return not detach.pressed


def _send(duplex: Duplex, detach: DetachKeys) -> None:
    try:
        while data := os.read(0, READ_SIZE):
            data = detach.filter(data)
            if data:
                run(duplex.write(data))
            if detach.pressed:
                return run(duplex.close())
        run(duplex.write_eof())
    except OSError:
        pass  # The container is gone; the receiving side says so.


def _receive(duplex: Duplex, tty: bool, stdout: bool, stderr: bool) -> None:
    demultiplexer = Demultiplexer()
    while data := _read(duplex):
        if tty:
            write_all(1, data)
            continue
        for stream, piece in demultiplexer.feed(data):
            show(stream, piece, stdout, stderr)


def show(stream: int, piece: bytes, stdout: bool = True, stderr: bool = True) -> None:
    """Write a demultiplexed piece where it belongs. Raises Internal for the engine's own error stream."""
    if stream == SYSTEM:
        raise Internal(f"error from daemon in stream: {piece.decode('utf-8', 'replace')}")
    if stream == STDERR:
        if stderr:
            write_all(2, piece)
    elif stdout:
        write_all(1, piece)


def _read(duplex: Duplex) -> bytes:
    try:
        return run(duplex.read())
    except OSError:
        return b""


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def follow_size(resize: Callable[[int, int], Coroutine[Any, Any, None]], again: bool = False) -> None:
    """Tell the container the terminal's size, now and whenever it changes.

    `again`: first one larger, which makes a program that already has this size draw itself anew.
    """
    import signal

    def tell(*_: object, more: int = 0) -> None:
        height, width = size(1) if os.isatty(1) else size(0)
        if height and width:
            _quietly(resize(height + more, width + more))

    if again:
        tell(more=1)
    tell()
    signal.signal(signal.SIGWINCH, tell)


def forward_signals(kill: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    """Hand every signal that may be caught on to the container."""
    import signal

    def forward(number: int, _: object) -> None:
        _quietly(kill(str(number)))

    for number in _forwarded(signal.valid_signals()):
        try:
            signal.signal(number, forward)
        except (OSError, ValueError):
            pass  # The C library keeps some for itself.


def _forwarded(signals: Iterable[int]) -> list[int]:
    import signal

    kept = {
        signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH,
        signal.SIGTTIN, signal.SIGTTOU, signal.SIGSEGV, signal.SIGFPE, signal.SIGILL, signal.SIGBUS,
    }  # fmt: skip
    return [number for number in signals if number not in kept]


def _quietly(request: Coroutine[Any, Any, None]) -> None:
    try:
        run(request)
    except (SampanError, OSError):
        pass  # The container may just have ended.
