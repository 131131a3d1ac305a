"""Compressed streams: found out by their first bytes, taken apart by whichever library is fastest.

    decompressed(more) -> more      both return the next bytes, and empty bytes at the end

All members and frames of a stream are read, not only the first.
"""

from __future__ import annotations

import bz2
import lzma
import sys
from collections.abc import Callable
from typing import Any, Protocol

from isal import igzip_lib

from sampan.errors import InvalidArgument
from sampan.oci.bytesource import UnexpectedEnd

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["Compression", "More", "compression_of", "decompressed", "sniffed", "storable"]

More = Callable[[], bytes]

_OUTPUT = 1 << 20
_LONGEST_MAGIC = 6


class Compression:
    """Names of the ways a stream may be compressed."""

    NONE, GZIP, ZSTD, BZIP2, XZ = "", "gzip", "zstd", "bzip2", "xz"


_MAGIC = {
    Compression.GZIP: b"\x1f\x8b",
    Compression.ZSTD: b"\x28\xb5\x2f\xfd",
    Compression.BZIP2: b"BZh",
    Compression.XZ: b"\xfd7zXZ\x00",
}
_IsalError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # its stub says an instance
_DAMAGE: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, lzma.LZMAError, zstd.ZstdError, _IsalError)
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"


class _Decompressor(Protocol):
    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def compression_of(head: bytes) -> str:
    """What a stream that begins with `head` (six bytes are enough) is compressed with."""
    if head[1:4] == _ZSTD_SKIPPABLE and head[0] & 0xF0 == 0x50:
        return Compression.ZSTD
    return next((name for name, magic in _MAGIC.items() if head.startswith(magic)), Compression.NONE)


def decompressed(more: More) -> More:
    """The plain bytes of a stream. Raises InvalidArgument for damaged ones, UnexpectedEnd for cut ones."""
    return sniffed(more)[1]


def sniffed(more: More) -> tuple[str, More]:
    """How a stream is compressed, and its plain bytes."""
    head = _Head(more)
    compression = compression_of(head.bytes)
    return compression, head if compression == Compression.NONE else _Plain(head, compression)


def storable(more: More) -> tuple[str, More]:
    """The stream in a form that a layer may be stored in, and how that is compressed: as it is, or plain where it is
    compressed in a way that no layer media type has."""
    head = _Head(more)
    compression = compression_of(head.bytes)
    if compression in (Compression.BZIP2, Compression.XZ):
        return Compression.NONE, decompressed(head)
    return compression, head


class _Head:
    """A stream whose first bytes were looked at: enough of them to know its compression."""

    def __init__(self, more: More) -> None:
        self.bytes = more()
        while len(self.bytes) < _LONGEST_MAGIC and (chunk := more()):
            self.bytes += chunk
        self._more = more

    def __call__(self) -> bytes:
        head, self.bytes = self.bytes, b""
        return head or self._more()


class _Plain:
    def __init__(self, more: More, compression: str) -> None:
        self._more = more
        self._compression = compression
        self._codec = _decompressor(compression)
        self._pending = b""
        self._begun = False

    def __call__(self) -> bytes:
        while True:
            if self._codec.eof and not self._next_member():
                return b""
            if self._codec.needs_input and not self._pending and not self._fill():
                return b""
            plain = self._decompress()
            if plain:
                return plain

    def _fill(self) -> bool:
        self._pending = self._more()
        if not self._pending and self._begun:
            raise UnexpectedEnd
        return bool(self._pending)

    def _decompress(self) -> bytes:
        data, self._pending = self._pending, b""
        self._begun = True
        try:
            return self._codec.decompress(data, _OUTPUT)
        except _DAMAGE as error:
            raise InvalidArgument(f"damaged {self._compression} stream: {error}") from None

    def _next_member(self) -> bool:
        rest = self._codec.unused_data or self._more()
        while rest and not rest.strip(b"\0"):
            # Zero bytes may pad the end of a gzip file.
            rest = self._more()
        if not rest:
            return False
        if compression_of(rest) != self._compression and len(rest) >= _LONGEST_MAGIC:
            raise InvalidArgument(f"damaged {self._compression} stream: trailing bytes")
        self._codec, self._pending, self._begun = _decompressor(self._compression), rest, False
        return True


def _decompressor(compression: str) -> _Decompressor:
    makers: dict[str, Callable[[], Any]] = {
        Compression.GZIP: lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
        Compression.ZSTD: zstd.ZstdDecompressor,
        Compression.BZIP2: bz2.BZ2Decompressor,
        Compression.XZ: lzma.LZMADecompressor,
    }
    decompressor: _Decompressor = makers[compression]()
    return decompressor
