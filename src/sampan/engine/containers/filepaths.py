"""Paths within a container's root, as `docker cp` means them.

    /dir/link     the link itself              /dir/link/ and /dir/link/.   the directory that it leads to
    `..` is taken away as text, before any link is followed; links never lead out of the root.

Blocks; nothing here is changed.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sampan.errors import InvalidArgument
from sampan.kernel import syscalls
from sampan.wire.codec import format_time
from sampan.wire.containers import PathStat

_MOST_LINKS = 40
_EPOCH = "1970-01-01T00:00:00Z"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY
# Go's os.FileMode: a bit for each type and for setuid, setgid and sticky, above the permissions.
_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


@dataclass(frozen=True)
class Place:
    """Something in a root: the entry `name` of the directory descriptor `parent` (`.` for that directory itself).

    `path` is the absolute path, `shown` the name it has in archives and answers.
    """

    parent: int
    name: str
    path: str
    shown: str


def absolute(path: str) -> str:
    """The absolute path without `..`; a `/` or `/.` at the end, which says "the directory itself", stays."""
    clean = "/" + posixpath.normpath("/" + path).lstrip("/")
    if posixpath.basename(path) == ".":
        return clean.rstrip("/") + "/."
    return clean + "/" if path.endswith("/") and clean != "/" else clean


@contextmanager
def located(root: int, path: str) -> Iterator[Place]:
    """The place of a path that is there. Raises FileNotFoundError, InvalidArgument."""
    wanted = absolute(path)
    name = posixpath.basename(wanted)
    itself = name in ("", ".")
    parent = open_folder(root, wanted if itself else posixpath.dirname(wanted), wanted)
    shown = name if name else posixpath.basename(wanted.rstrip("/")) or "/"
    try:
        place = Place(parent, "." if itself else name, wanted, shown)
        with _named(wanted):
            os.stat(place.name, dir_fd=parent, follow_symlinks=False)
        yield place
    finally:
        os.close(parent)


def open_folder(root: int, path: str, wanted: str) -> int:
    """A directory within the root, links followed. Raises FileNotFoundError, InvalidArgument that names `wanted`."""
    with _named(wanted):
        return syscalls.openat2(root, path, _FOLDER, 0, syscalls.RESOLVE_IN_ROOT)


@contextmanager
def _named(wanted: str) -> Iterator[None]:
    """What the kernel has against a path is the caller's mistake; that it isn't there is for others to tell."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InvalidArgument(f"lstat {wanted}: {(error.strerror or '').lower()}") from None


def stat_of(root: int, place: Place) -> PathStat:
    """What the header X-Docker-Container-Path-Stat tells. Raises InvalidArgument for links that go in circles."""
    found = os.stat(place.name, dir_fd=place.parent, follow_symlinks=False)
    return PathStat(
        name=place.shown,
        size=found.st_size,
        mode=go_mode(found.st_mode),
        mtime=format_time(found.st_mtime_ns) if found.st_mtime_ns else _EPOCH,
        link_target=follow(root, place.path) if stat.S_ISLNK(found.st_mode) else "",
    )


def go_mode(mode: int) -> int:
    """A mode of stat(2) in Go's bits."""
    bits = sum(go for bit, go in _GO_BITS.items() if mode & bit)
    return (mode & 0o777) | bits | _GO_TYPES.get(stat.S_IFMT(mode), 0)


def follow(root: int, path: str) -> str:
    """Where a path leads when every link is followed, whether or not anything is there."""
    pending, found, links = [part for part in reversed(path.split("/")) if part], "", 0
    while pending:
        part = pending.pop()
        if part in (".", ".."):
            found = posixpath.dirname(found).rstrip("/") if part == ".." else found
            continue
        target = _link(root, f"{found}/{part}")
        if target is None:
            found = f"{found}/{part}"
            continue
        links += 1
        if links > _MOST_LINKS:
            raise InvalidArgument(f"too many links in {path}")
        found = "" if target.startswith("/") else found
        pending += [piece for piece in reversed(target.split("/")) if piece]
    return found or "/"


def _link(root: int, path: str) -> str | None:
    try:
        descriptor = syscalls.openat2(root, path, os.O_PATH | os.O_NOFOLLOW, 0, syscalls.RESOLVE_IN_ROOT)
    except OSError:
        return None
    try:
        if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
            return None
        return os.readlink("", dir_fd=descriptor)
    finally:
        os.close(descriptor)
