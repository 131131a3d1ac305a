"""What the client needs of a transport: one method that opens a stream of bytes.

Transport.connect() -> Stream     BlockingTransport (blocking.py), AsyncioTransport (aio.py)
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:  # `typing` would be a third of a plain command's start-up time.
    Protocol = object


class Stream(Protocol):
    """A connected stream of bytes with half-close both ways."""

    async def read(self, limit: int) -> bytes:
        """Return up to `limit` bytes, b"" at the end. Raises OSError."""

    async def write(self, data: bytes) -> None:
        """Send all of `data`. Raises OSError."""

    async def write_eof(self) -> None:
        """Tell the other side that nothing more comes; reading goes on."""

    async def close(self) -> None:
        """Close both ways."""


class Transport(Protocol):
    """A way to reach an engine; `str(transport)` names it for people."""

    async def connect(self) -> Stream:
        """Return a new stream. Raises OSError."""

    @property
    def prefix(self) -> str:
        """What comes before every request's path ("" or /something)."""
