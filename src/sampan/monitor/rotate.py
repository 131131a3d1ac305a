"""Rotated log files: path.1 (the newest) up to path.(max_file - 1), each plain or compressed as .gz.

    path.2.gz -> path.3.gz    path.1.gz -> path.2.gz    path -> path.1    a fresh path    path.1 -> path.1.gz, later

Only the files below the first free number move, so that a rotation which a crash cut short is taken up by the next.
While path.1 is being compressed nothing rotates: the current file grows meanwhile, and output is never held up.
"""

from __future__ import annotations

import os
from typing import Protocol

from sampan.monitor.files import remove_file
from sampan.monitor.protocol import Message


class Compressor(Protocol):
    """Compresses files in the background."""

    def compress(self, path: str) -> None: ...

    def is_compressing(self, path: str) -> bool: ...


class Rotation:
    """The limits of one log, and the moves when it is full."""

    def __init__(self, options: Message, compressor: Compressor) -> None:
        self._path: str = options["path"]
        self._max_size: int = options.get("max_size") or 0
        self._max_file: int = max(1, options.get("max_file") or 1)
        self._compress: bool = bool(options.get("compress"))
        self._compressor = compressor
        self._newest = f"{self._path}.1"
        self._compress_newest()  # if a predecessor died over it

    def is_due(self, size: int) -> bool:
        """Whether a log of `size` bytes is to be rotated now."""
        return 0 < self._max_size <= size and not self._compressor.is_compressing(self._newest)

    def chunk_limit(self, most: int) -> int:
        """How much output to log at once, so that a small log is not overrun by far."""
        return max(512, min(most, self._max_size // 4)) if self._max_size else most

    def make_way(self) -> None:
        """Move the files up; the path is free afterwards. Raises OSError."""
        if self._max_file == 1:
            remove_file(self._path)
            return
        free = self._first_free()
        if free == self._max_file:
            free -= 1
            self._remove(free)
        for number in range(free - 1, 0, -1):
            for end in ("", ".gz"):
                _rename_if_there(f"{self._path}.{number}{end}", f"{self._path}.{number + 1}{end}")
        os.rename(self._path, self._newest)

    def made_way(self) -> None:
        """A fresh file is in place: the one before may be compressed."""
        self._compress_newest()

    def _first_free(self) -> int:
        number = 1
        while number < self._max_file and any(os.path.exists(f"{self._path}.{number}{end}") for end in ("", ".gz")):
            number += 1
        return number

    def _remove(self, number: int) -> None:
        for end in ("", ".gz", ".gz.new"):
            remove_file(f"{self._path}.{number}{end}")

    def _compress_newest(self) -> None:
        if self._compress and os.path.exists(self._newest) and not self._compressor.is_compressing(self._newest):
            self._compressor.compress(self._newest)


def _rename_if_there(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except FileNotFoundError:
        pass
