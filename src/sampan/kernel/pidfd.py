"""What the kernel tells of a process that need not be a child of ours. A leaf, used by the monitor too."""

from __future__ import annotations

import fcntl
import os
import struct

_PIDFD_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, struct pidfd_info of 64 bytes), Linux 6.13; exit since 6.15
_INFO_EXIT = 1 << 3
_EXIT_CODE_OFFSET = 60


def exit_status(pidfd: int) -> int | None:
    """The wait status of an ended process once its parent has reaped it; None before, and where the kernel is old."""
    info = bytearray(struct.pack("<Q", _INFO_EXIT).ljust(64, b"\0"))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    mask, code = struct.unpack_from("<Q", info)[0], struct.unpack_from("<i", info, _EXIT_CODE_OFFSET)[0]
    return int(code) if mask & _INFO_EXIT else None


def start_time(pid: int) -> int:
    """A process's start in clock ticks since boot: with its pid it names the process for good. Raises OSError."""
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(descriptor, 4096).rpartition(b")")[2].split()[19])
    finally:
        os.close(descriptor)
