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
from contextlib import suppress

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
        self._expecting = 0
        self._waker: int | None = None

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
        """Call `handler(wait_status)` when the child `pid` has ended, at once if it has already.

        It is reaped only after the handler: if this process dies before that, its parent still learns the status.
        """
        self._children[pid] = handler
        self._look_at(pid)

    def expect(self, change: int) -> None:
        """Count the runtimes under way: while there are any, an unknown child may become one that matters."""
        self._expecting += change
        if not self._expecting:
            self._wake()

    def catch_children(self) -> None:
        """Be told of ended children by SIGCHLD."""
        reader, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self.watch(reader, READ, lambda _: self._children_ended(reader))
        self._wake()  # some may have ended before

    def _wake(self) -> None:
        if self._waker is not None:
            with suppress(BlockingIOError):
                os.write(self._waker, b"\0")

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

    def _children_ended(self, reader: int) -> None:
        with suppress(BlockingIOError):
            os.read(reader, 512)
        while (pid := _ended_child()) is not None:
            if pid in self._children:
                self._look_at(pid)
            elif self._expecting:
                for known in list(self._children):
                    self._look_at(known)
                return
            else:
                os.waitpid(pid, os.WNOHANG)

    def _look_at(self, pid: int) -> None:
        try:
            info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return  # not our child yet: its runtime is on its way out, and a signal will come
        if info is None:
            return
        handler = self._children.pop(pid, None)
        if handler is not None:
            handler(_wait_status(info))
        os.waitpid(pid, os.WNOHANG)


def _ended_child() -> int | None:
    """The pid of some ended child, which stays to be reaped; None when there is none."""
    with suppress(ChildProcessError):
        info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return info.si_pid if info else None
    return None


def _wait_status(info: os.waitid_result) -> int:
    """What waitpid would give."""
    if info.si_code == os.CLD_EXITED:
        return info.si_status << 8
    return info.si_status | (0x80 if info.si_code == os.CLD_DUMPED else 0)
