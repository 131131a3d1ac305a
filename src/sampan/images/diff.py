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

from sampan.store.trees import Descent

__all__ = ["ADDED", "DELETED", "MODIFIED", "Change", "changes"]

MODIFIED, ADDED, DELETED = 0, 1, 2
_NANO = 10**9
_OPAQUE = "trusted.overlay.opaque"


@dataclass(frozen=True)
class Change:
    """An absolute path within the container, and MODIFIED, ADDED or DELETED."""

    path: str
    kind: int


def changes(upper: int, lower: int) -> list[Change]:
    """The changes in the directory `upper` over the merged root `lower` (descriptors), by path. Blocks."""
    with Descent(upper) as now, Descent(lower) as before:
        return sorted(_Comparison(now, before).run(), key=lambda change: change.path)


@dataclass
class _Folder:
    """A folder on the way, its names still to be looked at, and the change that it is itself."""

    path: str
    names: list[str]
    change: Change | None = None
    changed: bool = False


class _Comparison:
    """Walks the upper directory, and the lower one beside it as far as that goes."""

    def __init__(self, now: Descent, before: Descent) -> None:
        self._now = now
        self._before = before
        self._missing = 0
        """So many folders the upper walk is below the last one that was there before."""
        self._found: list[Change] = []

    def run(self) -> list[Change]:
        way = [self._look("", None)]
        while way:
            folder = way[-1]
            if folder.names:
                self._entry(way, folder.names.pop())
                continue
            way.pop()
            if folder.change and (folder.changed or folder.change.kind == ADDED):
                self._add(way, folder.change)
            if way:
                self._leave()
        return self._found

    def _look(self, path: str, change: Change | None) -> _Folder:
        folder = _Folder(path, os.listdir(self._now.descriptor), change)
        if not self._missing and _is_opaque(self._now.descriptor):
            gone = set(os.listdir(self._before.descriptor)) - set(folder.names)
            self._found += [Change(f"{path}/{name}", DELETED) for name in gone]
            folder.changed = bool(gone)
        return folder

    def _entry(self, way: list[_Folder], name: str) -> None:
        path = f"{way[-1].path}/{name}"
        info = os.stat(name, dir_fd=self._now.descriptor, follow_symlinks=False)
        before = self._stat_before(name)
        if stat.S_ISDIR(info.st_mode):
            self._enter(name, before)
            way.append(self._look(path, Change(path, ADDED if before is None else MODIFIED)))
            way[-1].changed |= before is not None and _differs(before, info)
        elif stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
            if before:
                self._add(way, Change(path, DELETED))
        elif before is None:
            self._add(way, Change(path, ADDED))
        elif _differs(before, info):
            self._add(way, Change(path, MODIFIED))

    def _add(self, way: list[_Folder], change: Change) -> None:
        self._found.append(change)
        if way:
            way[-1].changed = True

    def _stat_before(self, name: str) -> os.stat_result | None:
        """What the lower layers have at that place, without following a link."""
        if self._missing:
            return None
        try:
            return os.stat(name, dir_fd=self._before.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _enter(self, name: str, before: os.stat_result | None) -> None:
        self._now.enter(name)
        if before is not None and stat.S_ISDIR(before.st_mode):
            self._before.enter(name)
        else:
            self._missing += 1

    def _leave(self) -> None:
        self._now.leave()
        if self._missing:
            self._missing -= 1
        else:
            self._before.leave()


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
