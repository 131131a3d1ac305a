"""Thin ctypes doors to the system calls that Python lacks. Each raises OSError with errno, returns what the call does.

Imported by the monitor too, so this module imports nothing but ctypes and os.
"""

from __future__ import annotations

import ctypes
import errno
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
CLONE_FS = 0x00000200

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36

SPLICE_F_MOVE = 1
SPLICE_F_NONBLOCK = 2

FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
MOVE_MOUNT_F_EMPTY_PATH = 4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
OPEN_TREE_CLONE = 1

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

# Numbers of the calls that glibc has no function for; the new ones are the same on every architecture.
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT, _SYS_OPENAT2 = 428, 429, 430, 431, 432, 437

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.tee.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)
_libc.tee.restype = ctypes.c_ssize_t
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


_KERNELS_OWN = frozenset(
    (
        *(0x9FA0, 0x62656572, 0x27E0EB, 0x63677270),  # proc, sysfs, cgroup, cgroup2
        *(0x1CD1, 0x19800202, 0x64626720, 0x73636673),  # devpts, mqueue, debugfs, securityfs
        *(0x74726163, 0xCAFE4A11, 0x62656570),  # tracefs, bpf, configfs
    )
)
"""Types of file systems that hold no data of anybody's: what the kernel says of itself."""
_M_ARENA_MAX = -8


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _check(result: int, *names: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), *names[:1])
    return result


def mount(source: str | None, target: str, fstype: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    raw = [None if text is None else os.fsencode(text) for text in (source, target, fstype, data)]
    _check(_libc.mount(raw[0], raw[1], raw[2], flags, raw[3]), target)


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _check(_libc.umount2(os.fsencode(target), flags), target)


def unshare(flags: int) -> None:
    """unshare(2), for the calling thread."""
    _check(_libc.unshare(flags))


def setns(descriptor: int, nstype: int = 0) -> None:
    """setns(2), for the calling thread."""
    _check(_libc.setns(descriptor, nstype))


def return_to(descriptor: int, nstype: int) -> None:
    """setns(2) back to one's own namespace, or the end of the process: in a foreign one all it does would go wrong."""
    try:
        setns(descriptor, nstype)
    except OSError:
        os.abort()


def prctl(option: int, argument: int | bytes) -> None:
    """prctl(2) with one argument."""
    _check(_libc.prctl(option, argument, 0, 0, 0))


def tee(source: int, target: int, length: int, flags: int = 0) -> int:
    """tee(2): copy up to `length` bytes between pipes without consuming them; returns the number copied."""
    while (copied := _libc.tee(source, target, length, flags)) < 0 and ctypes.get_errno() == errno.EINTR:
        pass
    return _check(copied)


def fsopen(fstype: str) -> int:
    """fsopen(2): a file system context's descriptor (close-on-exec)."""
    return _check(_libc.syscall(_SYS_FSOPEN, os.fsencode(fstype), FSOPEN_CLOEXEC), fstype)


def fsconfig(context: int, command: int, key: str | None = None, value: str | None = None) -> None:
    """fsconfig(2) with a string, a flag or a command."""
    raw_key = None if key is None else os.fsencode(key)
    raw_value = None if value is None else os.fsencode(value)
    _check(_libc.syscall(_SYS_FSCONFIG, context, command, raw_key, raw_value, 0), key or "")


def fsmount(context: int, attributes: int = 0) -> int:
    """fsmount(2): the descriptor of a detached mount, which lives as long as the descriptor."""
    return _check(_libc.syscall(_SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, attributes))


def open_tree(path: str, flags: int = OPEN_TREE_CLONE) -> int:
    """open_tree(2): the descriptor (close-on-exec) of a detached copy of the mount at `path`."""
    at_cwd = -100
    return _check(_libc.syscall(_SYS_OPEN_TREE, at_cwd, os.fsencode(path), flags | os.O_CLOEXEC), path)


def move_mount(mount_descriptor: int, target: str) -> None:
    """move_mount(2): attach a detached mount at the path `target`."""
    at_cwd = -100
    _check(
        _libc.syscall(_SYS_MOVE_MOUNT, mount_descriptor, b"", at_cwd, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH),
        target,
    )


def move_mount_onto(mount_descriptor: int, target_descriptor: int) -> None:
    """move_mount(2): attach a detached mount at the file or directory of a descriptor."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    _check(_libc.syscall(_SYS_MOVE_MOUNT, mount_descriptor, b"", target_descriptor, b"", flags))


def openat2(directory: int, path: str, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2): open with `resolve` rules (RESOLVE_IN_ROOT makes `directory` the root for links and `..`)."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    return _check(
        _libc.syscall(_SYS_OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)), path
    )


def syncfs(descriptor: int) -> None:
    """syncfs(2): write everything of the descriptor's file system to its disk."""
    _check(_libc.syncfs(descriptor))


def keep_freed_memory(size: int) -> None:
    """mallopt(3): serve blocks up to `size` bytes from the heap and keep as much when freed, where libc can.

    Without it glibc returns each large buffer to the kernel, and zeroing the next one costs more than its use.
    """
    mmap_threshold, trim_threshold = -3, -1
    try:
        _libc.mallopt(mmap_threshold, size)
        _libc.mallopt(trim_threshold, size)
    except AttributeError:
        pass


def is_kernels_own(descriptor: int) -> bool:
    """Whether a file or folder is in a file system in which the kernel speaks of itself, such as proc."""
    found = (ctypes.c_long * 32)()
    _check(_libc.fstatfs(descriptor, ctypes.byref(found)))
    return found[0] in _KERNELS_OWN


def share_one_heap() -> None:
    """All threads take memory from one heap, where the C library has one for each: their gaps are never filled."""
    if hasattr(_libc, "mallopt"):  # musl has no such thing
        _libc.mallopt(_M_ARENA_MAX, 1)
