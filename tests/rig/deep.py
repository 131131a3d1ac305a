"""Folders nested deeper than any path can be."""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY


def make_deep(path: Path, depth: int = 3000) -> None:
    """Make the folder `path`, and folders `d` in one another below it; the last has a `file` of 7 bytes."""
    path.mkdir()
    here = os.open(path, _FOLDER)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", _FOLDER, dir_fd=here)
        os.close(here)
        here = below
    file = os.open("file", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here)
    os.write(file, b"content")
    os.close(file)
    os.close(here)
