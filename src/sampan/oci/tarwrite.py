"""Writing tar: one entry's header blocks at a time, ustar where it suffices, PAX records where it does not.

head(entry) + content + padding(size) ... + END
"""

from __future__ import annotations

from sampan.oci.tar import BLOCK, Entry, Kind

__all__ = ["END", "head", "padding"]

END = bytes(2 * BLOCK)
_NAME, _PREFIX, _LINK = 100, 155, 100
_SMALL, _LARGE = 0o7777777, 0o77777777777
_NANO = 10**9


def head(entry: Entry) -> bytes:
    """The header blocks of an entry. Sub-second times are cut; sparse maps are not written."""
    name = entry.name + "/" if entry.kind == Kind.DIRECTORY and not entry.name.endswith("/") else entry.name
    records = _records(entry, name)
    raw = _header(entry, name, entry.kind, entry.size, entry.mtime // _NANO)
    if not records:
        return raw
    content = b"".join(_record(key, value) for key, value in records.items())
    extension = _header(
        Entry("PaxHeaders.0/" + name, "x", 0o644, 0, 0, 0, 0), "PaxHeaders.0/" + name, "x", len(content), 0
    )
    return extension + content + padding(len(content)) + raw


def padding(size: int) -> bytes:
    """What fills the last block of `size` bytes."""
    return bytes(-size % BLOCK)


def _records(entry: Entry, name: str) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    raw_name, raw_link = _encode(name), _encode(entry.link)
    if not raw_name.isascii() or _split(raw_name) is None:
        records["path"] = raw_name
    if not raw_link.isascii() or len(raw_link) > _LINK:
        records["linkpath"] = raw_link
    for key, value, most in (("uid", entry.uid, _SMALL), ("gid", entry.gid, _SMALL), ("size", entry.size, _LARGE)):
        if value > most:
            records[key] = str(value).encode()
    seconds = entry.mtime // _NANO
    if not 0 <= seconds <= _LARGE:
        records["mtime"] = str(seconds).encode()
    for key in sorted(entry.xattrs):
        records["SCHILY.xattr." + key] = entry.xattrs[key]
    return records


def _record(key: str, value: bytes) -> bytes:
    content = b" " + _encode(key) + b"=" + value + b"\n"
    length = len(content)
    while len(str(length)) + len(content) != length:
        length = len(str(length)) + len(content)
    return str(length).encode() + content


def _header(entry: Entry, name: str, kind: str, size: int, seconds: int) -> bytes:
    prefix, short = _split(_encode(name)) or (b"", _encode(name)[:_NAME])
    raw = bytearray(BLOCK)
    _place(raw, 0, short)
    _place(raw, 100, b"%07o" % entry.mode)
    _place(raw, 108, b"%07o" % (entry.uid if entry.uid <= _SMALL else 0))
    _place(raw, 116, b"%07o" % (entry.gid if entry.gid <= _SMALL else 0))
    _place(raw, 124, b"%011o" % (size if size <= _LARGE else 0))
    _place(raw, 136, b"%011o" % (seconds if 0 <= seconds <= _LARGE else 0))
    _place(raw, 148, b" " * 8)
    _place(raw, 156, kind.encode())
    _place(raw, 157, _encode(entry.link)[:_LINK])
    _place(raw, 257, b"ustar\x0000")
    if kind in (Kind.CHAR, Kind.BLOCK):
        _place(raw, 329, b"%07o" % entry.major)
        _place(raw, 337, b"%07o" % entry.minor)
    _place(raw, 345, prefix)
    _place(raw, 148, b"%06o\0 " % sum(raw))
    return bytes(raw)


def _place(raw: bytearray, offset: int, value: bytes) -> None:
    raw[offset : offset + len(value)] = value


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """A name as ustar's prefix and name; None where it does not fit."""
    if len(name) <= _NAME:
        return b"", name
    slash = name.rfind(b"/", 0, min(_PREFIX + 1, len(name) - 1))
    if slash <= 0 or len(name) - slash - 1 > _NAME:
        return None
    return name[:slash], name[slash + 1 :]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
