"""Reading tar: ustar, GNU (long names, base-256 numbers, sparse files) and PAX (POSIX.1-2001 pax, "ustar" and "pax
Interchange Format"; GNU tar manual, "Storing Sparse Files").

    archive = TarReader(source)
    for entry in archive:
        for offset, chunk in archive.payload():     only of the entry that was given last; unread bytes are passed over
            ...

Pure: nothing here touches a file system. Names are text with undecodable bytes as surrogates (as os.fsdecode).
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.errors import InvalidArgument
from sampan.oci.bytesource import ByteSource, UnexpectedEnd
from sampan.oci.tarheader import (
    BLOCK,
    Entry,
    Kind,
    Segment,
    apply_pax,
    check_sparse,
    decimal,
    gnu_numbers,
    looks_like_tar,
    number,
    parse_header,
    pax_records,
    segments,
    string,
    verify,
)

__all__ = ["BLOCK", "Entry", "Kind", "TarReader", "looks_like_tar"]

_EXTENSION_LIMIT = 1 << 20
_SPARSE_LIMIT = 1 << 20
_ZERO = bytes(BLOCK)
_FILES = frozenset("\0007S")
_KNOWN = frozenset("0123456")


class TarReader:
    """Iterates over the entries of an archive. Raises InvalidArgument for what is malformed, UnexpectedEnd for what
    is cut. An archive may end without its two zero blocks."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._left = 0
        self._padding = 0
        self._current: Entry | None = None
        self._global: dict[str, str] = {}

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self._next()) is not None:
            self._current = entry
            yield entry

    def payload(self) -> Iterator[tuple[int, memoryview]]:
        """What the archive holds of the current file, as (offset in the file, bytes)."""
        entry = self._current
        assert entry is not None
        for offset, length in entry.sparse if entry.sparse is not None else ((0, entry.stored),):
            position = offset
            while position < offset + length:
                chunk = self._read(offset + length - position)
                yield position, chunk
                position += len(chunk)

    def content(self, limit: int) -> bytes:
        """A small file whole. Raises InvalidArgument beyond `limit` bytes."""
        assert self._current is not None
        if self._current.size > limit:
            raise InvalidArgument(f"{self._current.name} has {self._current.size} bytes, more than {limit}")
        return b"".join(chunk for _, chunk in self.payload())

    def peek(self, count: int) -> bytes:
        """The first bytes of the current file, which stay to be read."""
        return self._source.peek(min(count, self._left))

    def _read(self, limit: int) -> memoryview:
        chunk = self._source.some(min(limit, self._left))
        if not chunk:
            raise UnexpectedEnd
        self._left -= len(chunk)
        return chunk

    def _next(self) -> Entry | None:
        pax: dict[str, str] = {}
        name = link = None
        while True:
            self._pass_over()
            raw = self._header()
            if raw is None:
                return None
            flag = chr(raw[156])
            if flag == "x":
                pax.update(pax_records(self._extension(raw)))
            elif flag == "g":
                self._global.update(pax_records(self._extension(raw)))
            elif flag == "L":
                name = string(self._extension(raw))
            elif flag == "K":
                link = string(self._extension(raw))
            elif flag in "V":
                self._announce(number(raw[124:136]))
            else:
                return self._entry(raw, flag, {**self._global, **pax}, name, link)

    def _pass_over(self) -> None:
        if self._left:
            self._source.skip(self._left)
        # The last padding may be cut: whoever made the archive lost nothing that counts.
        padding, self._left, self._padding = self._padding, 0, 0
        while padding:
            chunk = self._source.some(padding)
            if not chunk:
                return
            padding -= len(chunk)

    def _header(self) -> bytes | None:
        head = self._source.peek(BLOCK)
        if not head:
            return None
        raw = bytes(self._source.take(BLOCK))
        if raw == _ZERO:
            return None
        verify(raw)
        return raw

    def _announce(self, size: int) -> None:
        if size < 0:
            raise InvalidArgument("archive/tar: invalid tar header")
        self._left = size
        self._padding = -size % BLOCK

    def _extension(self, raw: bytes) -> bytes:
        size = number(raw[124:136])
        if not 0 <= size <= _EXTENSION_LIMIT:
            raise InvalidArgument(f"archive/tar: an extended header of {size} bytes is too large")
        content = bytes(self._source.take(size))
        self._padding = -size % BLOCK
        return content

    def _entry(self, raw: bytes, flag: str, pax: dict[str, str], name: str | None, link: str | None) -> Entry:
        entry = parse_header(raw, flag)
        entry.name = name if name is not None else entry.name
        entry.link = link if link is not None else entry.link
        apply_pax(entry, pax)
        if flag in "D":
            entry.kind = Kind.DIRECTORY
        elif flag in _FILES:
            entry.kind = Kind.DIRECTORY if entry.name.endswith("/") and flag != "S" else Kind.FILE
        elif entry.kind == Kind.FILE and entry.name.endswith("/"):
            entry.kind = Kind.DIRECTORY
        elif flag not in _KNOWN:
            raise InvalidArgument(f"unhandled tar header type {ord(flag)} of {entry.name!r}")
        # Only files have bytes in the archive, whatever the size field of the others says; dumpdirs are passed over.
        if entry.kind != Kind.FILE and flag != "D":
            entry.size = 0
        entry.stored = entry.size
        self._announce(entry.size)
        if entry.kind == Kind.FILE:
            self._sparse(entry, raw, flag, pax)
        else:
            entry.size = entry.stored = 0
        return entry

    def _sparse(self, entry: Entry, raw: bytes, flag: str, pax: dict[str, str]) -> None:
        if flag == "S":
            entry.sparse, entry.size = self._gnu_sparse(raw)
        elif pax.get("GNU.sparse.major") == "1":
            entry.sparse = self._pax_sparse_map()
            entry.size = decimal(pax.get("GNU.sparse.realsize", ""))
        elif "GNU.sparse.map" in pax:
            numbers = [decimal(text) for text in pax["GNU.sparse.map"].split(",") if text]
            entry.sparse = segments(numbers)
            entry.size = decimal(pax.get("GNU.sparse.size", ""))
        else:
            return
        check_sparse(entry, self._left)

    def _gnu_sparse(self, raw: bytes) -> tuple[list[Segment], int]:
        numbers = gnu_numbers(raw[386:482])
        more = raw[482]
        while more:
            # The map's further blocks stand before the payload and are not in its size.
            block = bytes(self._source.take(BLOCK))
            numbers += gnu_numbers(block[:504])
            more = block[504]
            if len(numbers) > _SPARSE_LIMIT:
                raise InvalidArgument("archive/tar: too many parts in a sparse file")
        return segments(numbers), number(raw[483:495])

    def _pax_sparse_map(self) -> list[Segment]:
        lines: list[bytes] = []
        text = b""
        wanted = 1
        while len(lines) < wanted:
            if self._left < BLOCK or wanted > _SPARSE_LIMIT:
                raise InvalidArgument("archive/tar: invalid sparse map")
            text += bytes(self._source.take(BLOCK))
            self._left -= BLOCK
            *complete, text = text.split(b"\n")
            lines += complete
            if lines:
                wanted = 1 + 2 * decimal(lines[0].decode("ascii", "replace"))
        return segments([decimal(line.decode("ascii", "replace")) for line in lines[1:wanted]])
