"""What a tar's entry says of a file besides its bytes, put on the file that was made of it."""

from __future__ import annotations

import errno
import os

from sampan.oci.tar import Entry

__all__ = ["set_attributes", "set_xattrs"]

_FORBIDDEN_XATTRS = ("trusted.overlay.", "user.overlay.")


def set_attributes(parent: int, name: str, entry: Entry) -> None:
    """Owner, mode and time of what is called `name` in the folder `parent`; for anything but a link."""
    os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
    os.chmod(name, entry.mode, dir_fd=parent)
    os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)


def set_xattrs(descriptor: int, entry: Entry) -> None:
    """Extended attributes, but for those by which overlay marks its own files."""
    for name, value in entry.xattrs.items():
        if name.startswith(_FORBIDDEN_XATTRS):
            continue
        try:
            os.setxattr(descriptor, name, value)
        except OSError as error:
            # A file system or kernel without such attributes: the files are worth more than their labels.
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise
