"""Small file work without pathlib, whose import the monitor saves itself."""

from __future__ import annotations

import os

from sampan.monitor.protocol import Files


def read_file(path: str, limit: int = 64 * 1024) -> bytes:
    """The first `limit` bytes of a file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def write_file(path: str, data: bytes) -> None:
    """Make or replace a file in one step. Raises OSError."""
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
    os.rename(path + ".new", path)


def remove_file(path: str) -> None:
    """Remove a file that may be gone."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def close_all(files: Files) -> None:
    """Close named descriptors."""
    for descriptor in files.values():
        os.close(descriptor)
