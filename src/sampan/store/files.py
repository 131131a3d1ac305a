"""Small helpers for files that must be whole after a crash, and for removing trees."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from sampan.errors import Exhausted, Internal, SampanError

__all__ = ["exhausted", "remove_tree", "sync_directory"]


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


def remove_tree(path: Path) -> None:
    """Remove a tree that may already be gone or in part."""
    shutil.rmtree(path, onerror=_unless_gone)


def _unless_gone(_function: object, _path: str, failure: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]
