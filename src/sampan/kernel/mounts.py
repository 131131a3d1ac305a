"""Mounts taken from another process's mount namespace. A leaf: the monitor uses it between its fork-free steps.

A path below /proc/PID/root can be read, but not bind-mounted: the kernel refuses sources of other mount namespaces. A
detached copy made inside that namespace can be attached anywhere.
"""

from __future__ import annotations

import os

from sampan.kernel import syscalls

__all__ = ["attach_from", "copy_from"]


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
            _return_to(own)
    finally:
        os.close(own)


def _return_to(own: int) -> None:
    """Better no process than one that mounts in somebody else's namespace from then on."""
    try:
        syscalls.setns(own, syscalls.CLONE_NEWNS)
    except OSError:
        os.abort()


def attach_from(pid: int, path: str, target: str) -> None:
    """Mount what process `pid` has mounted at `path` at `target` too, in the caller's mount namespace."""
    copy = copy_from(pid, path)
    try:
        syscalls.move_mount(copy, target)
    finally:
        os.close(copy)
