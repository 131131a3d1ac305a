"""Network namespaces held by a descriptor, without a mount: gone when the descriptor and the last process in it are."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sampan.kernel import syscalls

__all__ = ["inside", "locked", "new_network", "path_of", "socket_in", "write_sysctl"]

T = TypeVar("T")

_OWN = "/proc/thread-self/ns/net"


def new_network() -> int:
    """Make a network namespace and return its descriptor (close-on-exec). Raises OSError.

    It is made in a thread that ends at once, so that no other thread ever leaves its own namespace.
    """

    def make() -> int:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)

    return _in_thread(make)


def _in_thread(work: Callable[[], T]) -> T:
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="namespace")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def path_of(descriptor: int) -> str:
    """A path by which other processes can open the namespace, while this process holds the descriptor."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock that goes with the calling thread's network namespace: one for all processes, without a file."""
    descriptor = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def inside(netns: int) -> Iterator[None]:
    """The calling thread is in the network namespace `netns` for the length of the block, which must not wait."""
    own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(netns, syscalls.CLONE_NEWNET)
        try:
            yield
        finally:
            syscalls.return_to(own, syscalls.CLONE_NEWNET)
    finally:
        os.close(own)


def socket_in(netns: int | None, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """A socket that belongs to the namespace `netns` (None: this thread's)."""
    if netns is None:
        return socket.socket(family, kind, protocol)
    with inside(netns):
        return socket.socket(family, kind, protocol)


def write_sysctl(name: str, value: str, netns: int | None = None) -> None:
    """Set a network sysctl, named by its path below /proc/sys, of the namespace `netns` (None: this thread's)."""
    path = Path("/proc/sys") / name
    if netns is None:
        path.write_text(value)
        return
    with inside(netns):
        path.write_text(value)
