"""inotify(7): news of changes to files, as a descriptor to poll. A leaf used by the log readers too."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["CLOSE_WRITE", "CREATE", "DELETE_SELF", "MODIFY", "MOVED_TO", "MOVE_SELF", "Event", "Inotify"]

MODIFY = 0x2
CLOSE_WRITE = 0x8
MOVED_TO = 0x80
CREATE = 0x100
DELETE_SELF = 0x400
MOVE_SELF = 0x800

_HEADER = struct.Struct("=iIII")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Event:
    """What happened to a watch; `name` is the entry's in a watched folder, else ""."""

    watch: int
    mask: int
    name: str


class Inotify:
    """A set of watches. `fileno()` is readable when there are events; reading never blocks."""

    def __init__(self) -> None:
        self._descriptor = _check(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")

    def fileno(self) -> int:
        return self._descriptor

    def watch(self, path: str | os.PathLike[str], mask: int) -> int:
        """Watch `path` for the events of `mask`; returns the watch's number. Raises OSError."""
        return _check(_libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask), os.fspath(path))

    def unwatch(self, watch: int) -> None:
        """Stop a watch; one that ended by itself (its file is gone) is fine."""
        _libc.inotify_rm_watch(self._descriptor, watch)

    def read(self) -> Iterator[Event]:
        """The events that are there."""
        try:
            data = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(data):
            watch, mask, _, length = _HEADER.unpack_from(data, offset)
            offset += _HEADER.size
            yield Event(watch, mask, os.fsdecode(data[offset : offset + length].rstrip(b"\0")))
            offset += length

    def close(self) -> None:
        os.close(self._descriptor)


def _check(result: int, path: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return result
