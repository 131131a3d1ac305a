"""What a container changed in its root, as docker diff tells it.

    not there before                                                      added
    there before, hidden now                                              deleted
    another type, mode, owner, device; for what is no directory also
    another size or time; a directory in which something changed          modified

Only the overlay's upper directory is walked; what was there before is looked up in the merged lower layers.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from sampan.kernel import syscalls

__all__ = ["ADDED", "DELETED", "MODIFIED", "Change", "changes"]

MODIFIED, ADDED, DELETED = 0, 1, 2
_NANO = 10**9
_OPAQUE = "trusted.overlay.opaque"
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Change:
    """An absolute path within the container, and MODIFIED, ADDED or DELETED."""

    path: str
    kind: int


def changes(upper: int, lower: int) -> list[Change]:
    """The changes in the directory `upper` over the merged root `lower` (descriptors), by path. Blocks."""
    return sorted(_Comparison(lower).below(upper, ""), key=lambda change: change.path)


class _Comparison:
    def __init__(self, lower: int) -> None:
        self._lower = lower

    def below(self, folder: int, path: str) -> list[Change]:
        """Changes within an upper directory."""
        found: list[Change] = []
        names = os.listdir(folder)
        for name in names:
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            found += self._entry(folder, name, f"{path}/{name}", info)
        if _is_opaque(folder):
            found += [Change(f"{path}/{name}", DELETED) for name in self._names_before(path) if name not in names]
        return found

    def _entry(self, folder: int, name: str, path: str, info: os.stat_result) -> list[Change]:
        before = self._before(path)
        if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
            return [Change(path, DELETED)] if before else []
        inside = self._inside(folder, name, path) if stat.S_ISDIR(info.st_mode) else []
        if before is None:
            return [Change(path, ADDED), *inside]
        return [Change(path, MODIFIED), *inside] if inside or _differs(before, info) else []

    def _inside(self, folder: int, name: str, path: str) -> list[Change]:
        descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=folder)
        try:
            return self.below(descriptor, path)
        finally:
            os.close(descriptor)

    def _before(self, path: str) -> os.stat_result | None:
        """What the lower layers have at exactly that path, without following a link."""
        descriptor = self._open_before(path, os.O_PATH | os.O_NOFOLLOW)
        if descriptor is None:
            return None
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def _names_before(self, path: str) -> list[str]:
        descriptor = self._open_before(path, _OPEN_DIRECTORY)
        if descriptor is None:
            return []
        try:
            return os.listdir(descriptor)
        finally:
            os.close(descriptor)

    def _open_before(self, path: str, flags: int) -> int | None:
        resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
        try:
            return syscalls.openat2(self._lower, path.lstrip("/") or ".", flags, resolve=resolve)
        except OSError:
            return None


def _differs(before: os.stat_result, now: os.stat_result) -> bool:
    if (before.st_mode, before.st_uid, before.st_gid) != (now.st_mode, now.st_uid, now.st_gid):
        return True
    if stat.S_ISDIR(now.st_mode):
        return False
    return (before.st_rdev, before.st_size) != (now.st_rdev, now.st_size) or not _same_time(before, now)


def _same_time(before: os.stat_result, now: os.stat_result) -> bool:
    """Times from archives have whole seconds: then only those count."""
    one, other = before.st_mtime_ns, now.st_mtime_ns
    if one % _NANO == 0 or other % _NANO == 0:
        return one // _NANO == other // _NANO
    return one == other


def _is_opaque(descriptor: int) -> bool:
    return _OPAQUE in os.listxattr(descriptor)
