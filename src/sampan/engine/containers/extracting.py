"""Unpacking an archive into a directory of a container (`docker cp` in): merging with what is there.

    there          archive       then
    directory      directory     merged; owner, mode and time are the archive's
    anything       other kind    replaced, or refused with `keep_kinds`
    anything       same kind     replaced

The directory is the root for links and `..`: whatever links are in it or in the archive, nothing outside is touched.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat

from sampan.engine.containers.filepaths import follow
from sampan.errors import Denied, Exhausted, Internal, InvalidArgument
from sampan.images.attributes import set_attributes, set_xattrs
from sampan.kernel import syscalls
from sampan.oci.tar import Entry, Kind, TarReader
from sampan.store.trees import remove_below

_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_NODES = {Kind.CHAR: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK, Kind.FIFO: stat.S_IFIFO}
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Extraction:
    """One archive on its way into the directory `root`, whose descriptor stays the caller's.

    With `owner` everything belongs to that user and group; `place` is what messages call the directory.
    """

    def __init__(
        self, root: int, owner: tuple[int, int] | None = None, keep_kinds: bool = False, place: str = "/"
    ) -> None:
        self._root = root
        self._place = place
        self._owner = owner
        self._keep_kinds = keep_kinds
        self._folder = ""
        self._descriptor = -1
        self._times: dict[str, int] = {}

    def run(self, archive: TarReader) -> None:
        """Unpack every entry; blocks. Raises InvalidArgument, Denied for what is read-only, Exhausted, Internal."""
        entry = None
        try:
            for entry in archive:
                self._unpack(entry, archive)
            for path, time in reversed(self._times.items()):
                self._settle(path, time)
        except OSError as error:
            raise _explained(error, entry.name if entry else "") from error
        finally:
            self._leave()

    def _unpack(self, entry: Entry, archive: TarReader) -> None:
        path = _within(entry.name)
        if path == ".":
            return
        if self._owner is not None:
            entry.uid, entry.gid = self._owner
        parent, name = self._parent(posixpath.dirname(path)), posixpath.basename(path)
        if not (self._make_room(parent, name, entry) and entry.kind == Kind.DIRECTORY):
            self._make(parent, name, entry, archive)
        if entry.kind == Kind.DIRECTORY:
            self._times[path] = entry.mtime
            _set_folder(parent, name, entry)

    def _make_room(self, parent: int, name: str, entry: Entry) -> bool:
        """Clear the way for an entry; True when a directory stays where a directory comes."""
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return False
        is_folder, comes = stat.S_ISDIR(found.st_mode), entry.kind == Kind.DIRECTORY
        if self._keep_kinds and is_folder != comes:
            there, new = ("directory", "non-directory") if is_folder else ("non-directory", "directory")
            raise InvalidArgument(f'cannot overwrite {there} "{entry.name.rstrip("/")}" with {new} "{self._place}"')
        if is_folder and comes:
            return True
        if is_folder:
            self._leave()
            parent = self._parent(posixpath.dirname(_within(entry.name)))
            remove_below(parent, name)
        elif not self._is_itself(entry):
            os.unlink(name, dir_fd=parent)
        return False

    def _is_itself(self, entry: Entry) -> bool:
        """Whether a hard link names its own target."""
        return entry.kind == Kind.HARD_LINK and _within(entry.link) == _within(entry.name)

    def _make(self, parent: int, name: str, entry: Entry, archive: TarReader) -> None:
        # Making room may have led to another descriptor of the same directory.
        parent = self._parent(posixpath.dirname(_within(entry.name)))
        if entry.kind == Kind.DIRECTORY:
            os.mkdir(name, 0o700, dir_fd=parent)
        elif entry.kind == Kind.FILE:
            _write_file(parent, name, entry, archive)
        elif entry.kind == Kind.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
            os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)
        elif entry.kind == Kind.HARD_LINK:
            self._link(parent, name, entry)
        else:
            numbers = os.makedev(entry.major, entry.minor)
            os.mknod(name, _NODES[entry.kind] | entry.mode, numbers, dir_fd=parent)
            set_attributes(parent, name, entry)

    def _link(self, parent: int, name: str, entry: Entry) -> None:
        if self._is_itself(entry):
            return
        target = _within(entry.link)
        try:
            source = _open_folder(self._root, posixpath.dirname(target))
            try:
                base = posixpath.basename(target)
                os.link(base, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(source)
        except FileNotFoundError:
            raise InvalidArgument(f'the hard link "{entry.name}" leads to "{entry.link}", which is not there') from None

    def _parent(self, folder: str) -> int:
        """The descriptor of an entry's directory, made if it is missing; kept while entries stay in it."""
        if self._descriptor < 0 or folder != self._folder:
            self._leave()
            self._descriptor = self._open_or_make(folder)
            self._folder = folder
        return self._descriptor

    def _open_or_make(self, folder: str) -> int:
        try:
            return _open_folder(self._root, folder)
        except FileNotFoundError:
            pass
        # A link on the way may lead to where nothing is yet: then that is made.
        real = follow(self._root, f"/{folder}").lstrip("/")
        above, name = posixpath.split(real)
        parent = self._open_or_make(above)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
            if self._owner is not None:
                os.chown(name, *self._owner, dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)
        return _open_folder(self._root, real)

    def _leave(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _settle(self, path: str, time: int) -> None:
        """A directory's time, when nothing more is put into it."""
        try:
            descriptor = _open_folder(self._root, path)
        except (FileNotFoundError, NotADirectoryError):
            # A later entry replaced it.
            return
        try:
            os.utime(descriptor, ns=(time, time))
        finally:
            os.close(descriptor)


def _within(name: str) -> str:
    """An entry's name as a relative path. Raises InvalidArgument where it leads out."""
    path = posixpath.normpath(name.lstrip("/") or ".")
    if path == ".." or path.startswith("../"):
        raise InvalidArgument(f'invalid entry name "{name}"')
    if "\0" in name:
        raise InvalidArgument(f"invalid entry name {name!r}")
    return path


def _open_folder(root: int, path: str) -> int:
    return syscalls.openat2(root, path or ".", _FOLDER, 0, syscalls.RESOLVE_IN_ROOT)


def _write_file(parent: int, name: str, entry: Entry, archive: TarReader) -> None:
    descriptor = os.open(name, _NEW, 0o600, dir_fd=parent)
    try:
        if entry.sparse is not None:
            os.ftruncate(descriptor, entry.size)
        for offset, chunk in archive.payload():
            if entry.sparse is not None:
                os.lseek(descriptor, offset, os.SEEK_SET)
            while chunk:
                chunk = chunk[os.write(descriptor, chunk) :]
        os.fchown(descriptor, entry.uid, entry.gid)
        os.fchmod(descriptor, entry.mode)
        set_xattrs(descriptor, entry)
        os.utime(descriptor, ns=(entry.mtime, entry.mtime))
    finally:
        os.close(descriptor)


def _set_folder(parent: int, name: str, entry: Entry) -> None:
    descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.fchown(descriptor, entry.uid, entry.gid)
        os.fchmod(descriptor, entry.mode)
        set_xattrs(descriptor, entry)
    finally:
        os.close(descriptor)


def _explained(error: OSError, name: str) -> Exception:
    said = f"unpacking {name!r}: {(error.strerror or str(error)).lower()}"
    if error.errno in _FULL:
        return Exhausted(said)
    if error.errno == errno.EROFS:
        return Denied(said)
    return Internal(said) if error.errno == errno.EIO else InvalidArgument(said)
