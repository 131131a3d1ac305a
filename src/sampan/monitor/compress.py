"""Compressing one rotated log file, as a process of its own.

    path --read--> path.gz.new --rename--> path.gz, then path is removed

One of the two is there at any moment, so readers and a successor that starts again find the log whole. The gzip
header's name field holds inode and mtime of the plain file: a reader amid it finds its place again.
"""

from __future__ import annotations

import os
import struct
import zlib

from sampan.kernel import syscalls
from sampan.monitor.files import remove_file

_GZIP_WITH_NAME = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff"
_BLOCK = 256 * 1024
_SIGKILL = 9
_LEVEL = 6


def compress(path: str) -> None:
    """Replace the file at `path` by `path`.gz. Raises OSError."""
    remove_file(f"{path}.gz.new")  # not just emptied: a predecessor in its last write may still hold it
    with open(path, "rb", buffering=0) as plain, open(f"{path}.gz.new", "xb") as packed:  # noqa: PTH123
        about = os.fstat(plain.fileno())
        packed.write(_GZIP_WITH_NAME + b"%d-%d\0" % (about.st_ino, about.st_mtime_ns))
        deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        checksum = size = 0
        while block := plain.read(_BLOCK):
            checksum, size = zlib.crc32(block, checksum), size + len(block)
            packed.write(deflate.compress(block))
        packed.write(deflate.flush() + struct.pack("<II", checksum, size & 0xFFFFFFFF))
    os.rename(f"{path}.gz.new", f"{path}.gz")
    os.unlink(path)


def main(path: str, parent: str) -> None:
    """Compress in the background of everything else, and not without the monitor `parent` that asked for it."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _SIGKILL)
    os.nice(19)
    if os.getppid() == int(parent):
        compress(path)
