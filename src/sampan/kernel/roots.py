"""Containers' root file systems by a directory's descriptor, as the container sees them or would see them.

    of_process     the root of a living process, with all that is mounted there
    alone          the same without what is mounted in it
    assembled      a detached mount with other directories bound into it, in a mount namespace that nobody else is in

A path below such a descriptor crosses the mounts of its namespace, whichever namespace the caller is in.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from sampan.kernel import syscalls
from sampan.kernel.mounts import within

__all__ = ["Bind", "alone", "assembled", "of_process"]

T = TypeVar("T")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_AT_RECURSIVE = 0x8000
_MISSING = (errno.ENOENT, errno.EXDEV)


@dataclass(frozen=True)
class Bind:
    """A file or directory of the host at an absolute path within a root; `subpath` of the source, where that is given,
    which no link leads out of."""

    source: str
    target: str
    read_only: bool = False
    subpath: str = ""


@contextmanager
def of_process(pid: int) -> Iterator[int]:
    """What process `pid` has at /. Its mounts stay as long as the block. Raises OSError when the process is gone."""
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        root = os.open(f"/proc/{pid}/root", _DIRECTORY)
        try:
            yield root
        finally:
            os.close(root)
    finally:
        os.close(namespace)


@contextmanager
def alone(pid: int) -> Iterator[int]:
    """The file system that process `pid` has at /, without the mounts in it. Raises OSError."""

    def clone() -> int:
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.unshare(syscalls.CLONE_FS)
            syscalls.setns(namespace, syscalls.CLONE_NEWNS)
            return syscalls.open_tree("/")
        finally:
            os.close(namespace)

    mount = _in_thread(clone)
    try:
        root = os.open(".", _DIRECTORY, dir_fd=mount)
        try:
            yield root
        finally:
            os.close(root)
    finally:
        os.close(mount)


@contextmanager
def assembled(mount: int, binds: Sequence[Bind], place: str) -> Iterator[int]:
    """The detached mount of descriptor `mount` with `binds` in it, attached at `place` where only the block sees it.

    Targets that are missing are made; sources that are missing are left out. Raises OSError.
    """
    namespace, root = _in_thread(lambda: _assemble(mount, binds, place))
    try:
        yield root
    finally:
        os.close(root)
        os.close(namespace)


def _assemble(mount: int, binds: Sequence[Bind], place: str) -> tuple[int, int]:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    # All copies first: `place` may hide a source.
    trees = [(bind, tree) for bind in binds if (tree := _copy(bind)) is not None]
    try:
        syscalls.move_mount(mount, place)
        root = os.open(place, _DIRECTORY)
        for bind, tree in trees:
            _attach(root, bind, tree)
        return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), root
    finally:
        for _, tree in trees:
            os.close(tree)


def _copy(bind: Bind) -> int | None:
    flags = syscalls.OPEN_TREE_CLONE | _AT_RECURSIVE
    try:
        if not bind.subpath:
            return syscalls.open_tree(bind.source, flags)
        with within(bind.source, bind.subpath) as source:
            return syscalls.open_tree(source, flags)
    except OSError as error:
        if error.errno in _MISSING:
            return None
        raise


def _attach(root: int, bind: Bind, tree: int) -> None:
    target = _target(root, bind.target, stat.S_ISDIR(os.fstat(tree).st_mode))
    try:
        syscalls.move_mount_onto(tree, target)
    finally:
        os.close(target)
    if bind.read_only:
        target = _open(root, bind.target)
        try:
            flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY
            syscalls.mount(None, f"/proc/self/fd/{target}", None, flags)
        finally:
            os.close(target)


def _target(root: int, path: str, folder: bool) -> int:
    """A path within the root, made where it is missing."""
    try:
        return _open(root, path)
    except FileNotFoundError:
        pass
    above, _, name = path.rstrip("/").rpartition("/")
    parent = _target(root, above or "/", True)
    try:
        if folder:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o755, dir_fd=parent))
    except FileExistsError:
        # A link that leads nowhere: there is no place for a mount.
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
    finally:
        os.close(parent)
    return _open(root, path)


def _open(root: int, path: str) -> int:
    return syscalls.openat2(root, path, os.O_PATH, 0, syscalls.RESOLVE_IN_ROOT)


def _in_thread(work: Callable[[], T]) -> T:
    """In a thread that ends with the work, so that no other one ever leaves its mount namespace."""
    with ThreadPoolExecutor(1, "root") as thread:
        return thread.submit(work).result()
