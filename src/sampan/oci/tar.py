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
from dataclasses import dataclass, field
from typing import NamedTuple

from sampan.errors import InvalidArgument
from sampan.oci.bytesource import ByteSource, UnexpectedEnd

__all__ = ["BLOCK", "Entry", "Kind", "TarReader", "looks_like_tar"]

BLOCK = 512
_EXTENSION_LIMIT = 1 << 20
_SPARSE_LIMIT = 1 << 20
_ZERO = bytes(BLOCK)
_XATTR = "SCHILY.xattr."
_NANO = 10**9


class Kind:
    """Type flags."""

    FILE, HARD_LINK, SYMLINK, CHAR, BLOCK, DIRECTORY, FIFO = "0", "1", "2", "3", "4", "5", "6"


_FILES = frozenset("\0007S")
_KNOWN = frozenset("0123456")


class Segment(NamedTuple):
    """A part of a sparse file that has bytes."""

    offset: int
    length: int


@dataclass(slots=True)
class Entry:
    """One member. `size` is the file's, `stored` what the archive holds of it; `mtime` in nanoseconds."""

    name: str
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: str = ""
    major: int = 0
    minor: int = 0
    stored: int = 0
    xattrs: dict[str, bytes] = field(default_factory=dict)
    sparse: list[Segment] | None = None


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
                pax.update(_pax_records(self._extension(raw)))
            elif flag == "g":
                self._global.update(_pax_records(self._extension(raw)))
            elif flag == "L":
                name = _text(self._extension(raw))
            elif flag == "K":
                link = _text(self._extension(raw))
            elif flag in "V":
                self._announce(_number(raw[124:136]))
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
        _verify(raw)
        return raw

    def _announce(self, size: int) -> None:
        if size < 0:
            raise InvalidArgument("archive/tar: invalid tar header")
        self._left = size
        self._padding = -size % BLOCK

    def _extension(self, raw: bytes) -> bytes:
        size = _number(raw[124:136])
        if not 0 <= size <= _EXTENSION_LIMIT:
            raise InvalidArgument(f"archive/tar: an extended header of {size} bytes is too large")
        content = bytes(self._source.take(size))
        self._padding = -size % BLOCK
        return content

    def _entry(self, raw: bytes, flag: str, pax: dict[str, str], name: str | None, link: str | None) -> Entry:
        entry = _parse(raw, flag)
        entry.name = name if name is not None else entry.name
        entry.link = link if link is not None else entry.link
        _apply_pax(entry, pax)
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
            entry.size = _decimal(pax.get("GNU.sparse.realsize", ""))
        elif "GNU.sparse.map" in pax:
            numbers = [_decimal(text) for text in pax["GNU.sparse.map"].split(",") if text]
            entry.sparse = _segments(numbers)
            entry.size = _decimal(pax.get("GNU.sparse.size", ""))
        else:
            return
        _check_sparse(entry, self._left)

    def _gnu_sparse(self, raw: bytes) -> tuple[list[Segment], int]:
        numbers = _gnu_numbers(raw[386:482])
        more = raw[482]
        while more:
            # The map's further blocks stand before the payload and are not in its size.
            block = bytes(self._source.take(BLOCK))
            numbers += _gnu_numbers(block[:504])
            more = block[504]
            if len(numbers) > _SPARSE_LIMIT:
                raise InvalidArgument("archive/tar: too many parts in a sparse file")
        return _segments(numbers), _number(raw[483:495])

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
                wanted = 1 + 2 * _decimal(lines[0].decode("ascii", "replace"))
        return _segments([_decimal(line.decode("ascii", "replace")) for line in lines[1:wanted]])


def looks_like_tar(head: bytes) -> bool:
    """Whether the first 512 bytes can be a tar's: a header with a right checksum, or the end of an empty archive."""
    if len(head) < BLOCK:
        return False
    return head[:BLOCK] == _ZERO or _checksum_fits(head[:BLOCK])


def _parse(raw: bytes, flag: str) -> Entry:
    name, magic = _text(raw[:100]), raw[257:263]
    if magic == b"ustar\0" and raw[345] and flag not in "S":
        name = f"{_text(raw[345:500])}/{name}"
    return Entry(
        name=name,
        kind=flag,
        mode=_number(raw[100:108]) & 0o7777,
        uid=_number(raw[108:116]),
        gid=_number(raw[116:124]),
        size=_number(raw[124:136]),
        mtime=_number(raw[136:148]) * _NANO,
        link=_text(raw[157:257]),
        major=_number(raw[329:337]) if magic[:5] == b"ustar" else 0,
        minor=_number(raw[337:345]) if magic[:5] == b"ustar" else 0,
    )


def _apply_pax(entry: Entry, pax: dict[str, str]) -> None:
    if not pax:
        return
    entry.name = pax.get("GNU.sparse.name") or pax.get("path") or entry.name
    entry.link = pax.get("linkpath") or entry.link
    entry.uid = _decimal(pax["uid"]) if pax.get("uid") else entry.uid
    entry.gid = _decimal(pax["gid"]) if pax.get("gid") else entry.gid
    entry.size = _decimal(pax["size"]) if pax.get("size") else entry.size
    entry.mtime = _nanoseconds(pax["mtime"]) if pax.get("mtime") else entry.mtime
    entry.xattrs = {
        key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
        for key, value in pax.items()
        if key.startswith(_XATTR)
    }


def _verify(raw: bytes) -> None:
    if not _checksum_fits(raw):
        raise InvalidArgument("archive/tar: invalid tar header")


def _checksum_fits(raw: bytes) -> bool:
    try:
        told = _number(raw[148:156])
    except InvalidArgument:
        return False
    around = raw[:148] + raw[156:BLOCK]
    unsigned = sum(around) + 8 * 32
    # Some old programs summed signed bytes.
    return told == unsigned or told == unsigned - 256 * sum(byte > 127 for byte in around)


def _number(raw: bytes) -> int:
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big")
        bits = 8 * len(raw)
        return value - (1 << bits) if raw[0] & 0x40 else value - (1 << (bits - 1))
    text = raw.replace(b"\0", b" ").strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise InvalidArgument("archive/tar: invalid tar header") from None


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _decimal(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise InvalidArgument("archive/tar: invalid number in an extended header")
    return int(text)


def _nanoseconds(text: str) -> int:
    seconds, _, fraction = text.partition(".")
    negative = seconds.startswith("-")
    whole = _decimal(seconds.removeprefix("-") or "0")
    nanos = _decimal((fraction + "0" * 9)[:9]) if fraction else 0
    total = whole * _NANO + nanos
    return -total if negative else total


def _pax_records(content: bytes) -> dict[str, str]:
    records: dict[str, str] = {}
    sparse: list[str] = []
    position = 0
    while position < len(content):
        key, value, position = _pax_record(content, position)
        # GNU's sparse format 0.0 repeats its keys; joined they are format 0.1's map.
        if key in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            sparse.append(value)
        else:
            records[key] = value
    if sparse:
        records["GNU.sparse.map"] = ",".join(sparse)
    return records


def _pax_record(content: bytes, position: int) -> tuple[str, str, int]:
    space = content.find(b" ", position, position + 20)
    length = content[position:space] if space > 0 else b""
    end = position + int(length) if length.isdigit() else 0
    equals = content.find(b"=", space, end)
    if equals < 0 or end > len(content) or content[end - 1] != 0x0A:
        raise InvalidArgument("archive/tar: malformed extended header")
    key = content[space + 1 : equals].decode("utf-8", "surrogateescape")
    return key, content[equals + 1 : end - 1].decode("utf-8", "surrogateescape"), end


def _gnu_numbers(raw: bytes) -> list[int]:
    numbers: list[int] = []
    for start in range(0, len(raw), 24):
        if not raw[start]:
            break
        numbers += [_number(raw[start : start + 12]), _number(raw[start + 12 : start + 24])]
    return numbers


def _segments(numbers: list[int]) -> list[Segment]:
    if len(numbers) % 2:
        raise InvalidArgument("archive/tar: invalid sparse map")
    return [Segment(offset, length) for offset, length in zip(numbers[::2], numbers[1::2], strict=True) if length]


def _check_sparse(entry: Entry, left: int) -> None:
    end = 0
    for offset, length in entry.sparse or ():
        if offset < end or length < 0:
            raise InvalidArgument("archive/tar: invalid sparse map")
        end = offset + length
    if end > entry.size or sum(segment.length for segment in entry.sparse or ()) > left:
        raise InvalidArgument("archive/tar: invalid sparse map")
