"""The monitor's event loop: level-triggered epoll, timers, children.

A handler gets the ready mask and may be called without need (a descriptor's number can be reused within one round), so
each must bear BlockingIOError. A descriptor is unwatched before it is closed: the daemon holds duplicates, and epoll
forgets a file only when its last duplicate is gone.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
GONE = select.EPOLLHUP | select.EPOLLERR

Handler = Callable[[int], None]


class Timer:
    """A call to come; `cancel()` forgets it."""

    __slots__ = ("at", "call")

    def __init__(self, at: float, call: Callable[[], None] | None) -> None:
        self.at = at
        self.call = call

    def __lt__(self, other: Timer) -> bool:
        return self.at < other.at

    def cancel(self) -> None:
        self.call = None


class Loop:
    """Watches descriptors, runs timers and reaps children until `stop()`."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[Timer] = []
        self._running = True
        self._children: dict[int, Callable[[int], None]] = {}
        self._strays: dict[int, int] = {}
        self.expecting = 0

    def watch(self, descriptor: int, events: int, handler: Handler) -> None:
        """Call `handler(mask)` while `descriptor` is ready for `events`; hang-ups are always told."""
        if descriptor in self._handlers:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def unwatch(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(time.monotonic() + seconds, call)
        heapq.heappush(self._timers, timer)
        return timer

    def on_child(self, pid: int, handler: Callable[[int], None]) -> None:
        """Call `handler(wait_status)` when the child `pid` has ended, at once if it was reaped already."""
        if pid in self._strays:
            handler(self._strays.pop(pid))
        else:
            self._children[pid] = handler

    def catch_children(self) -> None:
        """Be told of ended children by SIGCHLD."""
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self.watch(reader, READ, lambda _: self._reap(reader))
        os.write(writer, b"\0")  # some may have ended before

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        while self._running:
            for descriptor, mask in self._epoll.poll(self._until_timer()):
                handler = self._handlers.get(descriptor)
                if handler is not None:
                    handler(mask)
            self._run_timers()

    def _until_timer(self) -> float:
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].at - time.monotonic()) if self._timers else -1

    def _run_timers(self) -> None:
        while self._timers and self._timers[0].at <= time.monotonic():
            timer = heapq.heappop(self._timers)
            if timer.call is not None:
                timer.call()

    def _reap(self, reader: int) -> None:
        try:
            os.read(reader, 512)
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._reaped(pid, status)

    def _reaped(self, pid: int, status: int) -> None:
        """Tell who waits for it. A container that ended before its runtime did is kept until that is asked for."""
        handler = self._children.pop(pid, None)
        if handler is not None:
            handler(status)
        elif self.expecting:
            self._strays[pid] = status

    def expect(self, change: int) -> None:
        """Count the runtimes under way: only while there are any can a stray child be one that matters."""
        self.expecting += change
        if not self.expecting:
            self._strays.clear()
