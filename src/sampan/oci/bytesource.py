"""Bytes that come in chunks of any size, read in pieces of a wanted size without copying where that can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sampan.errors import InvalidArgument

__all__ = ["ByteSource", "UnexpectedEnd"]


class UnexpectedEnd(InvalidArgument):
    """The bytes end too early."""

    def __init__(self) -> None:
        super().__init__("unexpected EOF")


class ByteSource:
    """Reads from `more`, which returns the next bytes and empty bytes at the end."""

    def __init__(self, more: Callable[[], bytes]) -> None:
        self._more = more
        self._view = memoryview(b"")
        self._ended = False

    def peek(self, count: int) -> bytes:
        """Up to `count` bytes that stay to be read; fewer only at the end."""
        self._want(count)
        return bytes(self._view[:count])

    def take(self, count: int) -> memoryview:
        """Exactly `count` bytes. Raises UnexpectedEnd."""
        self._want(count)
        if len(self._view) < count:
            raise UnexpectedEnd
        taken, self._view = self._view[:count], self._view[count:]
        return taken

    def chunks(self, count: int) -> Iterator[memoryview]:
        """Exactly `count` bytes, in the chunks in which they come. Raises UnexpectedEnd."""
        while count:
            chunk = self.some(count)
            if not chunk:
                raise UnexpectedEnd
            count -= len(chunk)
            yield chunk

    def some(self, limit: int) -> memoryview:
        """The next bytes, at most `limit`; empty at the end."""
        self._want(1)
        taken, self._view = self._view[:limit], self._view[limit:]
        return taken

    def skip(self, count: int) -> None:
        """Pass over `count` bytes. Raises UnexpectedEnd."""
        for _ in self.chunks(count):
            pass

    def drain(self) -> None:
        """Read to the end, so that whoever hashes what passes has seen everything."""
        while self.some(1 << 30):
            pass

    def _want(self, count: int) -> None:
        while len(self._view) < count and not self._ended:
            chunk = self._more()
            if not chunk:
                self._ended = True
            elif self._view:
                self._view = memoryview(b"".join((self._view, chunk)))
            else:
                self._view = memoryview(chunk)
