"""Mounts taken from another process's mount namespace, or from below a folder. A leaf: the monitor uses it between its
fork-free steps.

A path below /proc/PID/root can be read, but not bind-mounted: the kernel refuses sources of other mount namespaces. A
detached copy made inside that namespace can be attached anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sampan.kernel import syscalls

__all__ = ["attach_from", "attach_within", "copy_from", "within"]


def copy_from(pid: int, path: str) -> int:
    """The descriptor of a detached copy of the mount at `path`, as process `pid` sees it. Raises OSError.

    The calling process must have one thread (or the thread file-system state of its own): it steps into the other
    namespace and back, and its working directory becomes the root.
    """
    own = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        theirs = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(theirs, syscalls.CLONE_NEWNS)
        finally:
            os.close(theirs)
        try:
            return syscalls.open_tree(path)
        finally:
            syscalls.return_to(own, syscalls.CLONE_NEWNS)
    finally:
        os.close(own)


def attach_from(pid: int, path: str, target: str) -> None:
    """Mount what process `pid` has mounted at `path` at `target` too, in the caller's mount namespace."""
    copy = copy_from(pid, path)
    try:
        syscalls.move_mount(copy, target)
    finally:
        os.close(copy)


@contextmanager
def within(folder: str, path: str) -> Iterator[str]:
    """A name, for the block, of what is at the relative `path` below `folder`, whatever happens to that meanwhile.

    Raises OSError: with EXDEV when `..` or a link would lead out of the folder.
    """
    base = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rules = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS
        found = syscalls.openat2(base, path, os.O_PATH, 0, rules)
    finally:
        os.close(base)
    try:
        yield f"/proc/self/fd/{found}"
    finally:
        os.close(found)


def attach_within(folder: str, path: str, target: str) -> None:
    """Bind what is at `path` below `folder` to `target`, with all mounted in it. Raises OSError as `within`."""
    with within(folder, path) as source:
        syscalls.mount(source, target, None, syscalls.MS_BIND | syscalls.MS_REC)
