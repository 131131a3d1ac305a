"""What a tar header holds: the 512 bytes of ustar and GNU, and the records of PAX (POSIX.1-2001, pax). Bytes to values
only; `sampan.oci.tar` reads archives with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from sampan.errors import InvalidArgument

__all__ = [
    "BLOCK",
    "Entry",
    "Kind",
    "Segment",
    "apply_pax",
    "check_sparse",
    "decimal",
    "gnu_numbers",
    "looks_like_tar",
    "number",
    "parse_header",
    "pax_records",
    "segments",
    "string",
    "verify",
]

BLOCK = 512
_ZERO = bytes(BLOCK)
_XATTR = "SCHILY.xattr."
_NANO = 10**9


class Kind:
    """Type flags."""

    FILE, HARD_LINK, SYMLINK, CHAR, BLOCK, DIRECTORY, FIFO = "0", "1", "2", "3", "4", "5", "6"


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


def looks_like_tar(head: bytes) -> bool:
    """Whether the first 512 bytes can be a tar's: a header with a right checksum, or the end of an empty archive."""
    if len(head) < BLOCK:
        return False
    return head[:BLOCK] == _ZERO or _checksum_fits(head[:BLOCK])


def parse_header(raw: bytes, flag: str) -> Entry:
    """What the header's fields say. Raises InvalidArgument."""
    name, magic = string(raw[:100]), raw[257:263]
    if magic == b"ustar\0" and raw[345] and flag not in "S":
        name = f"{string(raw[345:500])}/{name}"
    return Entry(
        name=name,
        kind=flag,
        mode=number(raw[100:108]) & 0o7777,
        uid=number(raw[108:116]),
        gid=number(raw[116:124]),
        size=number(raw[124:136]),
        mtime=number(raw[136:148]) * _NANO,
        link=string(raw[157:257]),
        major=number(raw[329:337]) if magic[:5] == b"ustar" else 0,
        minor=number(raw[337:345]) if magic[:5] == b"ustar" else 0,
    )


def apply_pax(entry: Entry, pax: dict[str, str]) -> None:
    """Let PAX records overrule the header's fields. Raises InvalidArgument."""
    if not pax:
        return
    entry.name = pax.get("GNU.sparse.name") or pax.get("path") or entry.name
    entry.link = pax.get("linkpath") or entry.link
    entry.uid = decimal(pax["uid"]) if pax.get("uid") else entry.uid
    entry.gid = decimal(pax["gid"]) if pax.get("gid") else entry.gid
    entry.size = decimal(pax["size"]) if pax.get("size") else entry.size
    entry.mtime = _nanoseconds(pax["mtime"]) if pax.get("mtime") else entry.mtime
    entry.xattrs = {
        key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
        for key, value in pax.items()
        if key.startswith(_XATTR)
    }


def verify(raw: bytes) -> None:
    """Raises InvalidArgument where the header's checksum is wrong."""
    if not _checksum_fits(raw):
        raise InvalidArgument("archive/tar: invalid tar header")


def _checksum_fits(raw: bytes) -> bool:
    try:
        told = number(raw[148:156])
    except InvalidArgument:
        return False
    around = raw[:148] + raw[156:BLOCK]
    unsigned = sum(around) + 8 * 32
    # Some old programs summed signed bytes.
    return told == unsigned or told == unsigned - 256 * sum(byte > 127 for byte in around)


def number(raw: bytes) -> int:
    """A number field: octal text, or GNU's base-256. Raises InvalidArgument."""
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big")
        bits = 8 * len(raw)
        return value - (1 << bits) if raw[0] & 0x40 else value - (1 << (bits - 1))
    text = raw.replace(b"\0", b" ").strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise InvalidArgument("archive/tar: invalid tar header") from None


def string(raw: bytes) -> str:
    """A text field, up to its first zero byte."""
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def decimal(text: str) -> int:
    """A number of a PAX record. Raises InvalidArgument."""
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise InvalidArgument("archive/tar: invalid number in an extended header")
    return int(text)


def _nanoseconds(text: str) -> int:
    seconds, _, fraction = text.partition(".")
    negative = seconds.startswith("-")
    whole = decimal(seconds.removeprefix("-") or "0")
    nanos = decimal((fraction + "0" * 9)[:9]) if fraction else 0
    total = whole * _NANO + nanos
    return -total if negative else total


def pax_records(content: bytes) -> dict[str, str]:
    """The records of an extended header. Raises InvalidArgument."""
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


def gnu_numbers(raw: bytes) -> list[int]:
    """Offsets and lengths, one after the other, of a GNU sparse map."""
    numbers: list[int] = []
    for start in range(0, len(raw), 24):
        if not raw[start]:
            break
        numbers += [number(raw[start : start + 12]), number(raw[start + 12 : start + 24])]
    return numbers


def segments(numbers: list[int]) -> list[Segment]:
    """A sparse map of offsets and lengths. Raises InvalidArgument."""
    if len(numbers) % 2:
        raise InvalidArgument("archive/tar: invalid sparse map")
    return [Segment(offset, length) for offset, length in zip(numbers[::2], numbers[1::2], strict=True) if length]


def check_sparse(entry: Entry, left: int) -> None:
    """Raises InvalidArgument where a map does not fit the file, or the `left` bytes that the archive has of it."""
    end = 0
    for offset, length in entry.sparse or ():
        if offset < end or length < 0:
            raise InvalidArgument("archive/tar: invalid sparse map")
        end = offset + length
    if end > entry.size or sum(segment.length for segment in entry.sparse or ()) > left:
        raise InvalidArgument("archive/tar: invalid sparse map")
