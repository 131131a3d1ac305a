"""Packing a directory tree as tar: a container's changes as a layer, or a whole root file system.

    overlay=True     overlay's whiteouts and opaque marks become .wh. entries (OCI image-spec layer.md)
    overlay=False    everything as it is

In the order of names, without an entry for the root itself. Sockets are left out, and what the kernel's own file
systems (proc, sysfs, ...) show where they are mounted. A file that shrinks meanwhile is
filled up with zeros, one that grows is cut: the archive stays right.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import suppress

from sampan.kernel import syscalls
from sampan.oci import tarwrite
from sampan.oci.tar import Entry, Kind
from sampan.store.trees import Descent

__all__ = ["pack", "pack_one"]

_CHUNK = 1 << 20
_OPAQUE = "trusted.overlay.opaque"
_OPAQUE_NAME, _WHITEOUT = ".wh..wh..opq", ".wh."
_KEPT_XATTRS = ("security.capability", "user.")
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def pack(root: int, overlay: bool) -> Generator[bytes, None, None]:
    """The tree below the directory descriptor `root`. Blocks while it reads."""
    yield from _Packer(overlay).tree(root, "")
    yield tarwrite.END


def pack_one(parent: int, name: str, shown: str) -> Generator[bytes, None, None]:
    """The entry `name` of the directory descriptor `parent`, called `shown` there, and all below. Blocks."""
    yield from _Packer(overlay=False).entry(parent, name, shown)
    yield tarwrite.END


class _Packer:
    def __init__(self, overlay: bool) -> None:
        self._overlay = overlay
        self._links: dict[tuple[int, int], str] = {}

    def tree(self, root: int, path: str) -> Iterator[bytes]:
        """Everything below the folder `root`, which is called `path` in the archive."""
        if syscalls.is_kernels_own(root):
            return
        device = os.fstat(root).st_dev
        with Descent(root) as place:
            pending = [(path, _names(place.descriptor))]
            while pending:
                folder, names = pending[-1]
                if not names:
                    pending.pop()
                    if pending:
                        place.leave()
                    continue
                name = names.pop()
                path = f"{folder.rstrip('/')}/{name}" if folder else name
                with suppress(FileNotFoundError):  # it went between the listing and the look
                    info = os.stat(name, dir_fd=place.descriptor, follow_symlinks=False)
                    if not stat.S_ISDIR(info.st_mode):
                        yield from self._other(place.descriptor, name, path, info)
                        continue
                    place.enter(name)
                    pending.append((path, []))
                    yield from self._folder(place.descriptor, path, info)
                    if info.st_dev == device or not syscalls.is_kernels_own(place.descriptor):
                        pending[-1][1].extend(_names(place.descriptor))

    def entry(self, parent: int, name: str, path: str) -> Iterator[bytes]:
        """The entry `name` of the folder `parent`, and everything below."""
        info = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(info.st_mode):
            yield from self._other(parent, name, path, info)
            return
        descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
        try:
            yield from self._folder(descriptor, path, info)
            yield from self.tree(descriptor, path)
        finally:
            os.close(descriptor)

    def _folder(self, descriptor: int, path: str, info: os.stat_result) -> Iterator[bytes]:
        entry = _described(path, Kind.DIRECTORY, info)
        entry.xattrs = _xattrs(descriptor)
        yield tarwrite.head(entry)
        if self._overlay and _is_opaque(descriptor):
            yield tarwrite.head(Entry(f"{path}/{_OPAQUE_NAME}", Kind.FILE, 0o600, 0, 0, 0, entry.mtime))

    def _other(self, parent: int, name: str, path: str, info: os.stat_result) -> Iterator[bytes]:
        mode = info.st_mode
        if stat.S_ISREG(mode):
            yield from self._file(parent, name, path, info)
        elif stat.S_ISLNK(mode):
            yield tarwrite.head(_described(path, Kind.SYMLINK, info, link=os.readlink(name, dir_fd=parent)))
        elif stat.S_ISCHR(mode) and info.st_rdev == 0 and self._overlay:
            yield tarwrite.head(_whiteout(path, info))
        elif not stat.S_ISSOCK(mode):
            yield from self._linked(path, info) or (tarwrite.head(_described(path, _node_kind(mode), info)),)

    def _file(self, parent: int, name: str, path: str, info: os.stat_result) -> Iterator[bytes]:
        linked = self._linked(path, info)
        if linked:
            yield from linked
            return
        descriptor = os.open(name, _OPEN_FILE, dir_fd=parent)
        try:
            info = os.fstat(descriptor)
            entry = _described(path, Kind.FILE, info, size=info.st_size)
            entry.xattrs = _xattrs(descriptor)
            yield tarwrite.head(entry)
            yield from _content(descriptor, info.st_size)
        finally:
            os.close(descriptor)

    def _linked(self, path: str, info: os.stat_result) -> tuple[bytes, ...]:
        if info.st_nlink < 2:
            return ()
        first = self._links.setdefault((info.st_dev, info.st_ino), path)
        return () if first == path else (tarwrite.head(_described(path, Kind.HARD_LINK, info, link=first)),)


def _names(folder: int) -> list[str]:
    """The names of a folder, the first one last."""
    return sorted(os.listdir(folder), key=os.fsencode, reverse=True)


def _content(descriptor: int, size: int) -> Iterator[bytes]:
    left = size
    while left and (chunk := os.read(descriptor, min(_CHUNK, left))):
        left -= len(chunk)
        yield chunk
    while left:
        yield bytes(min(_CHUNK, left))
        left -= min(_CHUNK, left)
    yield tarwrite.padding(size)


def _described(path: str, kind: str, info: os.stat_result, size: int = 0, link: str = "") -> Entry:
    major, minor = (os.major(info.st_rdev), os.minor(info.st_rdev)) if kind in (Kind.CHAR, Kind.BLOCK) else (0, 0)
    mode = stat.S_IMODE(info.st_mode)
    return Entry(path, kind, mode, info.st_uid, info.st_gid, size, info.st_mtime_ns, link, major, minor)


def _whiteout(path: str, info: os.stat_result) -> Entry:
    folder, slash, name = path.rpartition("/")
    return Entry(f"{folder}{slash}{_WHITEOUT}{name}", Kind.FILE, 0o600, 0, 0, 0, info.st_mtime_ns)


def _node_kind(mode: int) -> str:
    if stat.S_ISCHR(mode):
        return Kind.CHAR
    return Kind.BLOCK if stat.S_ISBLK(mode) else Kind.FIFO


def _xattrs(descriptor: int) -> dict[str, bytes]:
    try:
        names = [name for name in os.listxattr(descriptor) if name.startswith(_KEPT_XATTRS)]
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    return {name: os.getxattr(descriptor, name) for name in names if not name.startswith("user.overlay.")}


def _is_opaque(descriptor: int) -> bool:
    return _OPAQUE in os.listxattr(descriptor) and os.getxattr(descriptor, _OPAQUE) == b"y"
