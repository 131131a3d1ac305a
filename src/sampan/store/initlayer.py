"""The mount points that every container finds, whatever its image has (docker's init layer).

    /dev/pts  /dev/shm  /proc  /sys              directories
    /dev/console  /.dockerenv                    empty files
    /etc/hosts  /etc/hostname  /etc/resolv.conf  empty files, also in place of the image's
    /etc/mtab -> /proc/mounts

A link or file that stands where a directory must be is replaced, so nothing is ever reached through an image's links.
"""

from __future__ import annotations

import os
import stat

__all__ = ["fill"]

_DIRECTORIES = ("/dev/pts", "/dev/shm", "/proc", "/sys")
_FILES = ("/.dockerenv", "/dev/console", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
_LINKS = {"/etc/mtab": "/proc/mounts"}
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def fill(root: int) -> None:
    """Make the mount points below the directory descriptor `root`."""
    for path in _DIRECTORIES:
        os.close(_directory(root, path))
    for path in _FILES:
        parent, name = _place(root, path)
        descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o755, dir_fd=parent)
        os.fchmod(descriptor, 0o755)
        os.close(descriptor)
        os.close(parent)
    for path, target in _LINKS.items():
        parent, name = _place(root, path)
        os.symlink(target, name, dir_fd=parent)
        os.close(parent)


def _place(root: int, path: str) -> tuple[int, str]:
    """The parent's descriptor and the name of `path`, where nothing is now."""
    folder, _, name = path.rpartition("/")
    parent = _directory(root, folder)
    _clear(parent, name)
    return parent, name


def _directory(root: int, path: str) -> int:
    current = os.dup(root)
    for name in path.strip("/").split("/"):
        if name:
            below = _step(current, name)
            os.close(current)
            current = below
    return current


def _step(parent: int, name: str) -> int:
    found = _mode(parent, name)
    if found is None or not stat.S_ISDIR(found):
        if found is not None:
            os.unlink(name, dir_fd=parent)
        os.mkdir(name, 0o755, dir_fd=parent)
        os.chmod(name, 0o755, dir_fd=parent)
    return os.open(name, _OPEN_DIRECTORY, dir_fd=parent)


def _clear(parent: int, name: str) -> None:
    found = _mode(parent, name)
    if found is None:
        return
    if stat.S_ISDIR(found):
        os.rmdir(name, dir_fd=parent)
    else:
        os.unlink(name, dir_fd=parent)


def _mode(parent: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
