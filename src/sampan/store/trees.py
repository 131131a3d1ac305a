"""Trees of any depth: walked, measured and removed by descriptors, never by paths.

A container can nest folders until no path names the innermost any more (PATH_MAX), no recursion reaches it and no
process may hold a descriptor of each. So a walk goes by descriptors, and up from great depths by `..`.

Worked use:

    with Descent(top) as place:             `top` is a descriptor and stays the caller's
        place.enter("etc")
        os.listdir(place.descriptor)
        place.leave()

    measure(path).size                      bytes of the files
    remove_tree(path)                       may be gone already, or in part
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Descent", "TreeSize", "measure", "measure_below", "remove_below", "remove_tree", "sweep_tree"]

log = logging.getLogger(__name__)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 512
_MOST_HELD = 64


class Descent:
    """The present folder of a walk, beginning at the folder `top`. Of the uppermost folders descriptors are kept."""

    def __init__(self, top: int) -> None:
        self.descriptor = os.open(".", _FOLDER, dir_fd=top)
        self._held: list[int] = []
        self._deeper: list[tuple[int, int]] = []

    def enter(self, name: str) -> None:
        """Go into a folder of the present one. Raises OSError for what is none; then nothing has changed."""
        below = os.open(name, _FOLDER, dir_fd=self.descriptor)
        if len(self._held) < _MOST_HELD:
            self._held.append(self.descriptor)
        else:
            self._deeper.append(_identity(self.descriptor))
            os.close(self.descriptor)
        self.descriptor = below

    def leave(self) -> None:
        """Go back to the folder above. Raises OSError when a deep one was moved elsewhere meanwhile."""
        if not self._deeper:
            os.close(self.descriptor)
            self.descriptor = self._held.pop()
            return
        above = os.open("..", _FOLDER, dir_fd=self.descriptor)
        os.close(self.descriptor)
        self.descriptor = above
        if _identity(above) != self._deeper.pop():
            raise OSError(errno.ESTALE, "a folder was moved while it was read")

    def close(self) -> None:
        for descriptor in (self.descriptor, *self._held):
            os.close(descriptor)

    def __enter__(self) -> Descent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class TreeSize:
    """Of what lies below a folder: bytes of the files (a hard-linked one once), inodes, and bytes on the disk."""

    size: int = 0
    inodes: int = 0
    allocated: int = 0


def measure(path: Path) -> TreeSize:
    """The size of a tree; what is not there, or vanishes meanwhile, does not count. Blocks."""
    return measure_below(None, str(path))


def measure_below(parent: int | None, name: str) -> TreeSize:
    """The same of the entry `name` of the folder `parent`."""
    measuring = _Measuring()
    with suppress(OSError):
        top = os.open(name, _FOLDER, dir_fd=parent)
        try:
            _walk(top, measuring.look, lambda _descriptor, _name: None)
        finally:
            os.close(top)
    return TreeSize(measuring.size, measuring.inodes, measuring.allocated)


def remove_tree(path: Path) -> None:
    """Remove a tree, or whatever is there. Raises OSError for what can't be removed. Blocks."""
    with suppress(FileNotFoundError, NotADirectoryError):
        parent = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_below(parent, path.name)
        finally:
            os.close(parent)


def sweep_tree(path: Path) -> None:
    """The same for garbage: what can't be removed is logged, and left to the next start."""
    try:
        remove_tree(path)
    except OSError as error:
        log.warning("%s could not be removed: %s", path, error.strerror)


def remove_below(parent: int, name: str) -> None:
    """The same of the entry `name` of the folder `parent`."""
    try:
        top = os.open(name, _FOLDER, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        _unlink(parent, name)
        return
    try:
        _walk(top, _clear, _remove_empty)
    finally:
        os.close(top)
    _remove_empty(parent, name)


def _walk(top: int, look: Callable[[int], Iterable[str]], done: Callable[[int, str], None]) -> None:
    """Go through a tree: `look` does its work in a folder and names those to enter, `done` follows each of them."""
    with Descent(top) as place:
        pending = [(".", list(look(place.descriptor)))]
        while pending:
            name, folders = pending[-1]
            if folders:
                below = folders.pop()
                with suppress(FileNotFoundError):
                    place.enter(below)
                    pending.append((below, []))
                    pending[-1][1].extend(look(place.descriptor))
                continue
            pending.pop()
            if pending:
                place.leave()
                done(place.descriptor, name)


class _Measuring:
    def __init__(self) -> None:
        self.size = self.inodes = self.allocated = 0
        self._seen: set[tuple[int, int]] = set()

    def look(self, folder: int) -> Iterable[str]:
        self.allocated += os.fstat(folder).st_blocks * _BLOCK
        for name in os.listdir(folder):
            with suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    self.inodes += 1
                    yield name
                else:
                    self._count(found)

    def _count(self, found: os.stat_result) -> None:
        if found.st_nlink > 1:
            inode = (found.st_dev, found.st_ino)
            if inode in self._seen:
                return
            self._seen.add(inode)
        self.inodes += 1
        self.size += found.st_size
        self.allocated += found.st_blocks * _BLOCK


def _clear(folder: int) -> Iterable[str]:
    """Remove what is no folder; the folders."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if is_folder:
            yield name
        else:
            _unlink(folder, name)


def _unlink(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _remove_empty(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=folder)


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
