"""What a container changed in its root: docker diff, from the overlay's upper directory.

    whiteout, or an opaque directory where there was one    deleted
    there is something of that name below                   modified (a directory only if it differs itself)
    else                                                    added

A directory is named as modified when something in it was added or deleted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from sampan.kernel import syscalls

__all__ = ["ADDED", "DELETED", "MODIFIED", "Change", "changes"]

MODIFIED, ADDED, DELETED = 0, 1, 2
_OPAQUE = "trusted.overlay.opaque"
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Change:
    """An absolute path within the container, and MODIFIED, ADDED or DELETED."""

    path: str
    kind: int


def changes(upper: int, lower: int) -> list[Change]:
    """The changes in the directory `upper` (descriptors) over the merged root `lower`, by path. Blocks."""
    found: list[Change] = []
    told: set[str] = set()
    for path, parent, info in _walk(upper, ""):
        change = _change(path, parent, info, lower)
        if change is None:
            continue
        folder = path.rpartition("/")[0]
        if change.kind != MODIFIED and folder and folder not in told:
            told.add(folder)
            found.append(Change(folder, MODIFIED))
        if stat.S_ISDIR(info.st_mode):
            told.add(path)
        found.append(change)
    return sorted(found, key=lambda change: change.path)


def _walk(folder: int, path: str) -> Iterator[tuple[str, int, os.stat_result]]:
    for name in sorted(os.listdir(folder), key=os.fsencode):
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        yield f"{path}/{name}", folder, info
        if stat.S_ISDIR(info.st_mode):
            below = os.open(name, _OPEN_DIRECTORY, dir_fd=folder)
            try:
                yield from _walk(below, f"{path}/{name}")
            finally:
                os.close(below)


def _change(path: str, parent: int, info: os.stat_result, lower: int) -> Change | None:
    if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
        return Change(path, DELETED)
    before = _stat_below(lower, path)
    if before is None:
        return Change(path, ADDED)
    if stat.S_ISDIR(info.st_mode) and stat.S_ISDIR(before.st_mode):
        if _is_opaque(parent, path.rpartition("/")[2]):
            return Change(path, DELETED)
        if (info.st_mode, info.st_mtime_ns) == (before.st_mode, before.st_mtime_ns):
            return None
    return Change(path, MODIFIED)


def _stat_below(lower: int, path: str) -> os.stat_result | None:
    """What the lower layers have at exactly that path, without following a link."""
    try:
        flags = os.O_PATH | os.O_NOFOLLOW
        found = syscalls.openat2(lower, path.lstrip("/"), flags, resolve=syscalls.RESOLVE_BENEATH)
    except OSError:
        return None
    try:
        return os.fstat(found)
    finally:
        os.close(found)


def _is_opaque(parent: int, name: str) -> bool:
    descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
    try:
        return _OPAQUE in os.listxattr(descriptor)
    finally:
        os.close(descriptor)
