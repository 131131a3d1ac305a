"""Disk space that is held back, so that on a full disk what makes room can still be written down.

    room.bin there      free space is as the file system says
       │ a row that must be written meets a full disk: give_up
       v
    room.bin gone       the row is written; nothing new is begun
       │ there is space for it again: there
       v
    room.bin there

Used by the database's writer thread alone.
"""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

__all__ = ["Room"]

log = logging.getLogger(__name__)

_LARGEST, _SMALLEST, _SHARE = 4 << 20, 256 << 10, 128
"""Bytes; and which part of a small disk it may be."""


class Room:
    """The file at `path`, made at once where there is space for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        disk = os.statvfs(path.parent)
        self._size = max(_SMALLEST, min(_LARGEST, disk.f_blocks * disk.f_frsize // _SHARE))
        self._there = self._is_whole()
        if not self._there:
            path.unlink(missing_ok=True)  # what a crash left half made
        self.there()

    def there(self) -> bool:
        """Whether space is held back; where it is not, it is tried again."""
        if not self._there and self._free() > 2 * self._size:
            self._there = self._make()
        return self._there

    def give_up(self) -> bool:
        """Let the space be used; False when there is none."""
        if not self._is_whole():
            return False
        log.warning("the disk of %s is full: nothing new is made until something is removed", self._path.parent)
        self._path.unlink(missing_ok=True)
        self._there = False
        return True

    def _is_whole(self) -> bool:
        try:
            return self._path.stat().st_blocks * 512 >= self._size
        except OSError:
            return False

    def _free(self) -> int:
        """With what a file system keeps for root, which the daemon mostly is; making the file shows."""
        disk = os.statvfs(self._path.parent)
        return disk.f_bfree * disk.f_frsize

    def _make(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._path.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return False
            log.warning("no space can be held back in %s: %s", self._path, error.strerror)
        return True
