"""Small helpers for files that must be whole after a crash, and for disks that are full."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sampan.errors import Exhausted, Internal, SampanError

__all__ = ["exhausted", "full_disk_told", "sync_directory"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


def exhausted(error: OSError, doing: str) -> SampanError:
    """What to raise for a failed write: Exhausted where the disk or a quota is full, else Internal."""
    kind = Exhausted if error.errno in _FULL else Internal
    return kind(f"{doing}: {(error.strerror or str(error)).lower()}")


@contextmanager
def full_disk_told(doing: str) -> Iterator[None]:
    """Within it a full disk raises Exhausted; every other error stays what it is."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise exhausted(error, f"{doing} {error.filename}" if isinstance(error.filename, str) else doing) from error
        raise


def sync_directory(path: Path) -> None:
    """Make renames and removals within `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
