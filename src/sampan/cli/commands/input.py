"""Reading what is sent to an engine: a file or standard input, in pieces."""

from __future__ import annotations

import os

from sampan.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIECE = 1 << 20


def open_file(path: str) -> int:
    """Return a descriptor of the file. Raises InvalidArgument."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidArgument(f"open {path}: {(error.strerror or str(error)).lower()}") from None


async def pieces(fd: int) -> AsyncIterator[bytes]:
    """Yield what can be read from `fd`."""
    while piece := os.read(fd, PIECE):
        yield piece
