"""Unpacking one layer's tar into a directory, in overlay's form (OCI image-spec layer.md; kernel overlayfs.rst).

    .wh.<name>       a character device 0/0 called <name>: the name is hidden in lower layers
    .wh..wh..opq     trusted.overlay.opaque=y on its directory: everything there is hidden in lower layers

Every name is reached from the directory's descriptor, one component at a time, and no link is followed that leads out:
an entry called ../x, or below a link to ../.., is refused. Directories get their owner, mode and times at the end,
so that neither their children nor a read-only mode are in the way.

What only the lower layers can say (a hard link to one of their files, the mode of a directory that the tar implies) is
left to `Extraction.complete`, so that layers can be unpacked side by side.

Worked use:

    private_umask()
    extraction = Extraction(descriptor)
    extraction.run(TarReader(source))
    extraction.complete(lower)           `lower` is a descriptor of the lower layers merged, or None
    extraction.size                      bytes of the files
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sampan.errors import Exhausted, Internal, InvalidArgument
from sampan.images.attributes import set_attributes, set_xattrs
from sampan.images.folders import Folders, clean, join
from sampan.images.lower import LowerLayers
from sampan.kernel import syscalls
from sampan.oci.tar import Entry, Kind, TarReader
from sampan.store.trees import measure_below, remove_below

__all__ = ["Extraction", "private_umask"]

_WHITEOUT = ".wh."
_WHITEOUT_META = ".wh..wh."
_OPAQUE = ".wh..wh..opq"
# An image must not steer the overlay: such attributes could make any directory of the disk appear.
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NODES = {Kind.CHAR: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK, Kind.FIFO: stat.S_IFIFO}
_SPECIAL_BITS = 0o7000

_thread = threading.local()


def private_umask() -> None:
    """Give the calling thread a umask of its own, 0, so that files get their mode when they are made."""
    if not getattr(_thread, "private", False):
        syscalls.unshare(syscalls.CLONE_FS)
        os.umask(0)
        _thread.private = True


class Extraction:
    """One layer on its way into the directory `root`, whose descriptor stays the caller's."""

    def __init__(self, root: int) -> None:
        self._folders = Folders(root)
        self._attributes: dict[str, Entry] = {}
        self._links: list[tuple[str, str, Entry]] = []
        self._name = ""
        self.size = 0

    @property
    def needs_lower(self) -> bool:
        """Whether `complete` has something to look up in the lower layers."""
        return bool(self._links or self._folders.implied - self._attributes.keys())

    def run(self, archive: TarReader) -> None:
        """Unpack every entry. Raises InvalidArgument for what may not be unpacked, Exhausted when the disk is full."""
        with self._failing_clearly():
            for entry in archive:
                self._name = entry.name
                self._unpack(entry, archive)
        self._folders.close()

    def complete(self, lower: int | None) -> None:
        """Do what needs the lower layers, then give the directories their attributes."""
        below = LowerLayers(lower)
        with self._failing_clearly():
            for folder, name, entry in self._links:
                self._name = entry.name
                self._link_below(folder, name, entry, below)
            for path in sorted(self._folders.implied - self._attributes.keys(), reverse=True):
                below.copy_attributes(path, self._folders.descriptor(path))
            for path, entry in sorted(self._attributes.items(), reverse=True):
                _settle(self._folders.descriptor(path), entry)
        self._folders.close()

    def close(self) -> None:
        """Give back descriptors; for an extraction that failed."""
        self._folders.close()

    def _unpack(self, entry: Entry, archive: TarReader) -> None:
        parts = clean(entry.name)
        if not parts:
            if entry.kind == Kind.DIRECTORY:
                self._attributes[""] = entry
            return
        folder, name = self._folders.parent(parts), parts[-1]
        if name.startswith(_WHITEOUT):
            self._whiteout(folder, name)
        elif entry.kind == Kind.DIRECTORY:
            self._directory(folder, name, entry)
        else:
            self._other(folder, name, entry, archive)

    def _directory(self, folder: str, name: str, entry: Entry) -> None:
        path = join(folder, name)
        try:
            self._folders.make(folder, name)
        except FileExistsError:
            if not self._is_directory(folder, name):
                self._clear(folder, name)
                self._folders.make(folder, name)
        self._attributes[path] = entry

    def _other(self, folder: str, name: str, entry: Entry, archive: TarReader) -> None:
        try:
            self._make(folder, name, entry, archive)
        except FileExistsError:
            self._clear(folder, name)
            self._make(folder, name, entry, archive)

    def _make(self, folder: str, name: str, entry: Entry, archive: TarReader) -> None:
        if entry.kind == Kind.FILE:
            self._file(self._folders.descriptor(folder), name, entry, archive)
        elif entry.kind == Kind.HARD_LINK:
            self._link(folder, name, entry)
        elif entry.kind == Kind.SYMLINK:
            self._symlink(self._folders.descriptor(folder), name, entry)
        elif entry.kind == Kind.CHAR and (entry.major, entry.minor) == (0, 0):
            self._hide(folder, name)
        else:
            self._node(self._folders.descriptor(folder), name, entry)

    def _file(self, parent: int, name: str, entry: Entry, archive: TarReader) -> None:
        descriptor = os.open(name, _NEW, entry.mode, dir_fd=parent)
        try:
            if entry.sparse is None:
                for _, chunk in archive.payload():
                    _write(descriptor, chunk)
            else:
                os.ftruncate(descriptor, entry.size)
                for offset, chunk in archive.payload():
                    os.lseek(descriptor, offset, os.SEEK_SET)
                    _write(descriptor, chunk)
            self.size += entry.size
            _finish(descriptor, entry)
        finally:
            os.close(descriptor)

    def _symlink(self, parent: int, name: str, entry: Entry) -> None:
        os.symlink(entry.link, name, dir_fd=parent)
        self.size += len(os.fsencode(entry.link))
        if entry.uid or entry.gid:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _node(self, parent: int, name: str, entry: Entry) -> None:
        os.mknod(name, _NODES[entry.kind] | entry.mode, os.makedev(entry.major, entry.minor), dir_fd=parent)
        set_attributes(parent, name, entry)

    def _link(self, folder: str, name: str, entry: Entry) -> None:
        target = clean(entry.link)
        if not target:
            raise InvalidArgument(f'invalid hardlink target "{entry.link}"')
        source = self._folders.find(target)
        if source == folder and target[-1] == name:
            return
        if source is None or not self._link_here(source, target[-1], folder, name, entry):
            self._links.append((folder, name, entry))

    def _link_here(self, source: str, target: str, folder: str, name: str, entry: Entry) -> bool:
        """Link within this layer; False where the target is not in it."""
        if join(source, target) in self._folders.whiteouts:
            return False
        # Two descriptors at once: the second call may close the first's.
        origin = os.dup(self._folders.descriptor(source))
        try:
            parent = self._folders.descriptor(folder)
            os.link(target, name, src_dir_fd=origin, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return False
        finally:
            os.close(origin)
        # The link's own owner, mode and time win, as everywhere.
        if not stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            set_attributes(parent, name, entry)
        return True

    def _link_below(self, folder: str, name: str, entry: Entry, below: LowerLayers) -> None:
        parts = clean(entry.link)
        source = self._folders.find(parts)
        if source is not None and self._link_here(source, parts[-1], folder, name, entry):
            return
        hidden = source is not None and join(source, parts[-1]) in self._folders.whiteouts
        place, target = (folder, name) if hidden else (self._folders.parent(parts), parts[-1])
        size = below.copy_file("/".join(parts), self._folders.descriptor(place), target)
        if size is None:
            raise InvalidArgument(f"linkat {entry.link} {entry.name}: no such file or directory")
        self.size += size
        if not hidden:
            self._link_here(place, target, folder, name, entry)

    def _whiteout(self, folder: str, name: str) -> None:
        if name == _OPAQUE:
            self._folders.make_opaque(folder)
        elif not name.startswith(_WHITEOUT_META):
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise InvalidArgument(f'invalid whiteout entry "{name}"')
            self._hide(folder, hidden)

    def _hide(self, folder: str, name: str) -> None:
        """Hide a name in lower layers. What this layer itself has there stays."""
        path = join(folder, name)
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=self._folders.descriptor(folder))
        except FileExistsError:
            if self._is_directory(folder, name):
                self._folders.make_opaque(path)
        else:
            self._folders.whiteouts.add(path)

    def _is_directory(self, folder: str, name: str) -> bool:
        parent = self._folders.descriptor(folder)
        return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)

    def _clear(self, folder: str, name: str) -> None:
        path, parent = join(folder, name), self._folders.descriptor(folder)
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=parent)
            self.size -= found.st_size if found.st_nlink == 1 else 0
            self._folders.forget(path)
            return
        self.size -= measure_below(parent, name).size
        remove_below(parent, name)
        self._folders.forget(path)
        for known in [known for known in self._attributes if known == path or known.startswith(path + "/")]:
            del self._attributes[known]

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            said = f"unpacking {self._name!r}: {error.strerror}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Exhausted(said) from error
            raise (Internal if error.errno == errno.EIO else InvalidArgument)(said) from error
        except (OverflowError, ValueError) as error:
            # Numbers that no inode holds, zero bytes in names.
            raise InvalidArgument(f"unpacking {self._name!r}: {error}") from error


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _finish(descriptor: int, entry: Entry) -> None:
    """Owner, mode and so on of an open file that was made with its mode and belongs to root."""
    if entry.uid or entry.gid:
        os.fchown(descriptor, entry.uid, entry.gid)
        if entry.mode & _SPECIAL_BITS:
            os.fchmod(descriptor, entry.mode)
    set_xattrs(descriptor, entry)
    os.utime(descriptor, ns=(entry.mtime, entry.mtime))


def _settle(descriptor: int, entry: Entry) -> None:
    os.fchown(descriptor, entry.uid, entry.gid)
    os.fchmod(descriptor, entry.mode)
    set_xattrs(descriptor, entry)
    os.utime(descriptor, ns=(entry.mtime, entry.mtime))
