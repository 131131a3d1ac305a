"""Small helpers for files that must be whole after a crash, and for disks that are full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from sampan.errors import Exhausted, Internal, SampanError

__all__ = ["exhausted", "sync_directory"]


def exhausted(error: OSError, doing: str) -> SampanError:
    """What to raise for a failed write: Exhausted where the disk or a quota is full, else Internal."""
    kind = Exhausted if error.errno in (errno.ENOSPC, errno.EDQUOT) else Internal
    return kind(f"{doing}: {(error.strerror or str(error)).lower()}")


def sync_directory(path: Path) -> None:
    """Make renames and removals within `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
