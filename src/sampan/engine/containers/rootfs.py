"""Looking into a container's root while it does not run: users, working directory, filling of volumes.

Paths are resolved inside the root (openat2 with RESOLVE_IN_ROOT): an image's links never lead out of it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.spec.users import User, resolve_user
from sampan.errors import InvalidArgument
from sampan.kernel import syscalls
from sampan.store.trees import Descent

_LARGEST_USER_FILE = 16 * 1024 * 1024
_CACHED = 256
_COPY_CHUNK = 1 << 20


class Rootfs:
    """Views of containers' roots; what only depends on the image is remembered.

    `view(key)` and `reading(key)` give the descriptor of a mount that is attached nowhere, `upper(key)` the folder with
    the changes.
    """

    def __init__(
        self,
        view: Callable[[str], AbstractContextManager[int]],
        reading: Callable[[str], AbstractContextManager[int]],
        upper: Callable[[str], Path],
    ) -> None:
        self.view = view
        self._reading = reading
        self._upper = upper
        self._files: dict[str, tuple[str, str]] = {}
        self._directories: dict[tuple[str, str], bool] = {}

    async def user(self, record: ContainerRecord, spec: str | None = None, groups: list[str] | None = None) -> User:
        """Who the process is, by the container's own passwd and group files. Raises InvalidArgument."""
        passwd, group = await self.user_files(record)
        wanted = record.config.user if spec is None else spec
        extra = record.host_config.group_add or () if groups is None else groups
        return resolve_user(wanted, passwd, group, tuple(extra))

    async def user_files(self, record: ContainerRecord) -> tuple[str, str]:
        """The texts of /etc/passwd and /etc/group; the image's are remembered while the container has not changed."""
        if os.path.lexists(self._upper(record.id) / "etc"):
            return await asyncio.to_thread(self._read_user_files, record.id)
        found = self._files.get(record.image_id)
        if found is None:
            found = await asyncio.to_thread(self._read_user_files, record.id)
            if len(self._files) >= _CACHED:
                self._files.clear()
            self._files[record.image_id] = found
        return found

    def _read_user_files(self, key: str) -> tuple[str, str]:
        with self._reading(key) as root:
            return read_text(root, "/etc/passwd"), read_text(root, "/etc/group")

    async def image_has_directory(self, image_id: str, key: str, path: str) -> bool:
        """Whether a path is a directory in the image of the fresh container `key`."""
        known = (image_id, path)
        found = self._directories.get(known)
        if found is None:
            found = await asyncio.to_thread(self._is_directory, key, path)
            if len(self._directories) >= _CACHED:
                self._directories.clear()
            self._directories[known] = found
        return found

    def _is_directory(self, key: str, path: str) -> bool:
        with self._reading(key) as root:
            try:
                os.close(syscalls.openat2(root, path, os.O_PATH | os.O_DIRECTORY, 0, syscalls.RESOLVE_IN_ROOT))
            except OSError:
                return False
            return True


def read_text(root: int, path: str) -> str:
    """A text file's contents within `root`; "" when it is not there or is no regular file."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = syscalls.openat2(root, path, flags, 0, syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(_LARGEST_USER_FILE).decode("utf-8", "replace")


def make_directory(root: int, path: str, uid: int, gid: int) -> None:
    """Make a directory and its parents within `root`; only new ones get the owner. Raises InvalidArgument."""
    done = ""
    for part in path.strip("/").split("/"):
        parent = _open_directory(root, done or "/", path)
        try:
            os.mkdir(part, 0o755, dir_fd=parent)
            os.chown(part, uid, gid, dir_fd=parent, follow_symlinks=False)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise InvalidArgument(f"Cannot mkdir: a part of {path} is too long") from None
            raise
        finally:
            os.close(parent)
        done = f"{done}/{part}"
    os.close(_open_directory(root, done, path))


def _open_directory(root: int, path: str, wanted: str) -> int:
    try:
        return syscalls.openat2(root, path, os.O_RDONLY | os.O_DIRECTORY, 0, syscalls.RESOLVE_IN_ROOT)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG):
            raise InvalidArgument(f"Cannot mkdir: {wanted} is not a directory") from None
        raise


def copy_into_volume(root: int, path: str, target: str) -> None:
    """Copy what the image has at `path` into the volume folder `target`, if that is empty.

    Contents, owners, modes, times, links, devices and extended attributes are kept.
    """
    try:
        source = syscalls.openat2(root, path, os.O_RDONLY | os.O_DIRECTORY, 0, syscalls.RESOLVE_IN_ROOT)
    except OSError:
        return
    destination = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not os.listdir(destination):
            _copy_tree(source, destination)
    finally:
        os.close(source)
        os.close(destination)


def _copy_tree(source: int, destination: int) -> None:
    links: dict[tuple[int, int], str] = {}
    with Descent(source) as old, Descent(destination) as new:
        way = [os.listdir(source)]
        while way:
            if way[-1]:
                name = way[-1].pop()
                status = os.stat(name, dir_fd=old.descriptor, follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    _copy_entry(old.descriptor, new.descriptor, name, status, links)
                    continue
                os.mkdir(name, 0o700, dir_fd=new.descriptor)
                old.enter(name)
                new.enter(name)
                way.append(os.listdir(old.descriptor))
                continue
            _copy_attributes(old.descriptor, new.descriptor)
            way.pop()
            if way:
                old.leave()
                new.leave()


def _copy_entry(
    source: int, destination: int, name: str, status: os.stat_result, links: dict[tuple[int, int], str]
) -> None:
    kind = stat.S_IFMT(status.st_mode)
    inode = (status.st_dev, status.st_ino)
    if status.st_nlink > 1 and inode in links:
        os.link(links[inode], name, dst_dir_fd=destination)
        return
    if kind == stat.S_IFREG:
        _copy_file(source, destination, name)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=destination)
    else:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=destination)
    os.chown(name, status.st_uid, status.st_gid, dir_fd=destination, follow_symlinks=False)
    if kind != stat.S_IFLNK:
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=destination)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=destination, follow_symlinks=False)
    if status.st_nlink > 1:
        with suppress(OSError):  # so deep that it has no path: its other names become files of their own
            links[inode] = os.readlink(f"/proc/self/fd/{destination}") + f"/{name}"


def _copy_file(source: int, destination: int, name: str) -> None:
    reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=destination)
    try:
        while os.sendfile(writer, reader, None, _COPY_CHUNK):
            pass
        _copy_xattrs(reader, writer)
    finally:
        os.close(reader)
        os.close(writer)


def _copy_attributes(source: int, destination: int) -> None:
    status = os.fstat(source)
    os.fchown(destination, status.st_uid, status.st_gid)
    os.fchmod(destination, stat.S_IMODE(status.st_mode))
    _copy_xattrs(source, destination)
    os.utime(destination, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_xattrs(source: int, destination: int) -> None:
    for name in os.listxattr(source):
        if not name.startswith("trusted.overlay."):
            os.setxattr(destination, name, os.getxattr(source, name))
