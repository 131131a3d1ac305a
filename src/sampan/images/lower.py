"""What a layer needs of the layers below it while it is completed."""

from __future__ import annotations

import os
import stat

from sampan.errors import InvalidArgument
from sampan.kernel import syscalls

__all__ = ["LowerLayers"]

_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20
_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")


class LowerLayers:
    """The lower layers merged, by a descriptor of their root; None when there are none."""

    def __init__(self, root: int | None) -> None:
        self._root = root

    def copy_attributes(self, path: str, target: int) -> None:
        """Give the directory `target` owner, mode, attributes and time of the directory `path` below, if there."""
        source = self._open(path, os.O_RDONLY | os.O_DIRECTORY)
        if source is not None:
            try:
                _copy_attributes(source, target)
            finally:
                os.close(source)

    def copy_file(self, path: str, parent: int, name: str) -> int | None:
        """Copy the file or link `path` below to `name` in `parent`; its size, or None where there is no such file."""
        source = self._open(path, os.O_PATH | os.O_NOFOLLOW)
        if source is None:
            return None
        try:
            mode = os.fstat(source).st_mode
            if stat.S_ISLNK(mode):
                return _copy_link(source, parent, name)
            if stat.S_ISREG(mode):
                return _copy_file(source, parent, name)
            raise InvalidArgument(f"a hard link to {path!r} of a lower layer, which is neither file nor link")
        finally:
            os.close(source)

    def _open(self, path: str, flags: int) -> int | None:
        if self._root is None:
            return None
        try:
            return syscalls.openat2(self._root, path or ".", flags, resolve=syscalls.RESOLVE_IN_ROOT)
        except (FileNotFoundError, NotADirectoryError):
            return None


def _copy_link(source: int, parent: int, name: str) -> int:
    found, target = os.fstat(source), os.readlink("", dir_fd=source)
    os.symlink(target, name, dir_fd=parent)
    os.chown(name, found.st_uid, found.st_gid, dir_fd=parent, follow_symlinks=False)
    os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=parent, follow_symlinks=False)
    return found.st_size


def _copy_file(source: int, parent: int, name: str) -> int:
    # An O_PATH descriptor can't be read; its name in /proc can be opened again.
    reading = os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(name, _NEW, 0o600, dir_fd=parent)
        try:
            while chunk := os.read(reading, _CHUNK):
                os.write(writing, chunk)
            _copy_attributes(reading, writing)
            return os.fstat(reading).st_size
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_attributes(source: int, target: int) -> None:
    found = os.fstat(source)
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    for attribute in os.listxattr(source):
        if not attribute.startswith(_OVERLAY_XATTRS):
            os.setxattr(target, attribute, os.getxattr(source, attribute))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
