"""The files of a log: path.9.gz ... path.2.gz, path.1, path, from old to new; and where its last lines begin.

Rotated files move up while they are read. So they are opened from new to old, the same file met twice is left out, and
the whole is done again when the current file was replaced meanwhile.
"""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from isal import igzip, isal_zlib

from sampan.monitor.encode import LOCAL_HEADER, LOCAL_TRAILER
from sampan.monitor.logs.decode import JsonDecoder

BLOCK = 1024 * 1024
_TRIES = 5
_DAMAGE = (OSError, EOFError, cast("type[Exception]", isal_zlib.error))
_OVERHEAD = LOCAL_HEADER.size + LOCAL_TRAILER.size


@dataclass
class LogPart:
    """One open file of a log. `origin` tells of which plain file (inode, mtime in ns) a compressed one was made.

    What is behind `limit` came after the log was asked for.
    """

    file: IO[bytes]
    descriptor: int
    origin: tuple[int, int] | None = None
    compressed: bool = False
    limit: int | None = None

    def end(self) -> int:
        """How much of it is wanted."""
        return self.file.seek(0, os.SEEK_END) if self.limit is None else self.limit

    def read(self, size: int = BLOCK) -> bytes:
        """The next bytes, none at the end; a compressed file that a power cut damaged ends where the damage begins."""
        try:
            if self.limit is not None:
                size = min(size, max(0, self.limit - self.file.tell()))
            return self.file.read(size)
        except _DAMAGE:
            return b""

    @property
    def inode(self) -> int:
        return os.fstat(self.descriptor).st_ino

    def is_same(self, other: LogPart) -> bool:
        """Whether both are the same file, or one is what the other was compressed to."""
        mine, others = os.fstat(self.descriptor), os.fstat(other.descriptor)
        return (
            mine.st_ino == others.st_ino
            or self.origin == (others.st_ino, others.st_mtime_ns)
            or other.origin == (mine.st_ino, mine.st_mtime_ns)
        )

    def close(self) -> None:
        self.file.close()
        os.close(self.descriptor)


def open_parts(path: Path) -> list[LogPart]:
    """All files of the log at `path`, old to new; none when there is no log."""
    for _ in range(_TRIES):
        before = inode_of(path)
        parts = _open_once(path)
        if before == inode_of(path):
            break
        for part in parts:
            part.close()
    return parts


def _open_once(path: Path) -> list[LogPart]:
    found: list[LogPart] = []
    for name in (path, *(Path(f"{path}.{number}") for number in rotated_numbers(path))):
        part = open_part(name)
        if part is not None and any(part.is_same(known) for known in found):
            part.close()
        elif part is not None:
            found.insert(0, part)
    return found


def rotated_numbers(path: Path) -> list[int]:
    """The numbers of the rotated files of `path`, new to old. A crash amid a rotation can leave a gap."""
    names = (entry.name.removesuffix(".gz") for entry in path.parent.glob(f"{glob.escape(path.name)}.*"))
    suffixes = {name.removeprefix(f"{path.name}.") for name in names}
    return sorted(int(suffix) for suffix in suffixes if suffix.isdigit())


def open_part(path: Path) -> LogPart | None:
    """The file at `path`, or what it was compressed to; None when neither is there."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return LogPart(os.fdopen(descriptor, "rb", buffering=0, closefd=False), descriptor)
    with suppress(FileNotFoundError):
        descriptor = os.open(f"{path}.gz", os.O_RDONLY | os.O_CLOEXEC)
        raw = os.fdopen(descriptor, "rb", closefd=False)
        unpacked = igzip.GzipFile(fileobj=raw)  # type: ignore[no-untyped-call]
        return LogPart(cast("IO[bytes]", unpacked), descriptor, origin_of(os.pread(descriptor, 64, 0)), compressed=True)
    return None


def origin_of(header: bytes) -> tuple[int, int] | None:
    """The plain file that a compressed one was made from, as the monitor notes it in the gzip header's name field."""
    name = header[10:].partition(b"\0")[0] if len(header) > 10 and header[3] == 8 else b""
    inode, _, mtime = name.partition(b"-")
    return (int(inode), int(mtime)) if inode.isdigit() and mtime.isdigit() else None


def inode_of(path: Path) -> int:
    """The inode at `path`, 0 when nothing is there."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


@dataclass(frozen=True)
class _Record:
    """A record met on the way back: where it begins, how many lines end in it, whether its last one does."""

    offset: int
    lines: int
    closed: bool


def seek_tail(parts: list[LogPart], driver: str, lines: int) -> tuple[list[LogPart], int]:
    """The parts with the last `lines` lines, the first of them positioned at a record, and how many lines to skip from
    there. Parts before them are closed. A line that is still open counts as one."""
    first, start, total = len(parts) - 1, None, 0
    for index, record in _records_backward(parts, driver):
        if total >= lines and record.closed:
            break
        total += record.lines + (start is None and not record.closed)
        first, start = index, record.offset
    for part in parts[: max(first, 0)]:
        part.close()
    rest = parts[max(first, 0) :]
    for position, part in enumerate(rest):
        part.file.seek(0 if position else start or 0)
    if start is None and rest:
        end = rest[0].end()
        rest[0].file.seek((_end_of_json if driver == "json-file" else _end_of_local)(rest[0].file, end))
    return rest, max(0, total - lines)


def _records_backward(parts: list[LogPart], driver: str) -> Iterator[tuple[int, _Record]]:
    for index in range(len(parts) - 1, -1, -1):
        _unpack(parts[index])
        file = parts[index].file
        end = parts[index].end()
        for record in _json_backward(file, end) if driver == "json-file" else _local_backward(file, end):
            yield index, record


def _unpack(part: LogPart) -> None:
    """A compressed file can't be read backward: its text goes to an unlinked file."""
    if not part.compressed:
        return
    spool = tempfile.TemporaryFile()
    while block := part.read():
        spool.write(block)
    part.file.close()
    part.file, part.compressed = cast("IO[bytes]", spool), False


def _json_backward(file: IO[bytes], end: int) -> Iterator[_Record]:
    rest = b""
    while end:
        start = max(0, end - BLOCK)
        file.seek(start)
        block = file.read(end - start) + rest
        cut = (block.find(b"\n") + 1 or len(block)) if start else 0
        position = block.rfind(b"\n") + 1  # what follows the last newline is torn, or being written
        while position > cut:
            begin = max(block.rfind(b"\n", cut, position - 1) + 1, cut)
            closed = _ends_line(block[begin:position])
            yield _Record(start + begin, int(closed), closed)
            position = begin
        rest, end = block[:cut], start


def _ends_line(record: bytes) -> bool:
    return b'\\n","stream":"' in record and any(run.text.endswith(b"\n") for run in JsonDecoder().feed(record))


def _local_backward(file: IO[bytes], end: int) -> Iterator[_Record]:
    end = _end_of_local(file, end)
    while end:
        file.seek(end - LOCAL_TRAILER.size)
        length = LOCAL_TRAILER.unpack(file.read(LOCAL_TRAILER.size))[0]
        end -= _OVERHEAD + length
        file.seek(end + LOCAL_HEADER.size)
        text = file.read(length)
        yield _Record(end, text.count(b"\n"), text.endswith(b"\n"))


def _end_of_local(file: IO[bytes], end: int) -> int:
    """The end of the last whole record: `end`, unless a record is being written now."""
    if _is_local_record(file, end):
        return end
    position = 0
    while True:
        file.seek(position)
        header = file.read(LOCAL_HEADER.size)
        if len(header) < LOCAL_HEADER.size:
            return position
        after = position + LOCAL_HEADER.unpack(header)[0] + _OVERHEAD
        if after > end:
            return position
        position = after


def _is_local_record(file: IO[bytes], end: int) -> bool:
    """Whether header and trailer of a record that ends at `end` agree."""
    if end < _OVERHEAD:
        return end == 0
    file.seek(end - LOCAL_TRAILER.size)
    length = LOCAL_TRAILER.unpack(file.read(LOCAL_TRAILER.size))[0]
    if length + _OVERHEAD > end:
        return False
    file.seek(end - length - _OVERHEAD)
    stored, stream, flags, zero, _ = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return bool(stored == length and stream in (1, 2) and not flags and not zero)


def _end_of_json(file: IO[bytes], end: int) -> int:
    start = max(0, end - BLOCK)
    file.seek(start)
    return start + file.read(end - start).rfind(b"\n") + 1
