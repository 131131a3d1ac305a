"""Log files back into output. A decoder is fed blocks as they come from a file and gives runs.

A run is text of one stream and one time: many records at a blow where the monitor wrote them from one chunk, which
makes reading back fast; one record where dockerd wrote the file, since there each has a time of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sampan.monitor.encode import LOCAL_HEADER, LOCAL_TRAILER, STDERR, STDOUT

_OPEN = b'{"log":"'
_CLOSE = b'","stream":"'
_NEWLINE = b"\\n"
_FIRST_WINDOW = 4096


@dataclass(slots=True)
class Run:
    """Text of one stream with one time; it ends with a newline unless a later run goes on with its line."""

    stream: int
    text: bytes
    time: str | int
    attrs: dict[str, str] | None = None

    @property
    def time_ns(self) -> int:
        """Nanoseconds since 1970."""
        return self.time if isinstance(self.time, int) else parse_time(self.time)


class Decoder(Protocol):
    """Blocks to runs."""

    def feed(self, data: bytes) -> Iterator[Run]:
        """The runs that `data` completes; the rest is kept. Runs that are not used up are lost."""
        ...


class JsonDecoder:
    """The decoder of json-file logs, ours and dockerd's. A torn or foreign line is skipped."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Run]:
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        position = by_the_book = 0
        while position < end:
            line_end = data.index(b"\n", position) + 1
            last = _end_of_run(data, position, line_end, end) if position >= by_the_book else line_end
            run = _run(data[position:last], line_end - position) if last > line_end else None
            if run is None:
                by_the_book = max(by_the_book, last)  # something foreign may be among them
                last = line_end
                run = _record(data[position:line_end])
            position = last
            if run is not None:
                yield run


def _end_of_run(data: bytes, start: int, line_end: int, end: int) -> int:
    """The end of the records from `start` on that have the same tail as the first."""
    close = data.find(_NEWLINE + _CLOSE, start, line_end)
    if close < 0 or not data.startswith(_OPEN, start) or not data.startswith(_OPEN, line_end):
        return line_end
    tail = data[close:line_end]
    return _last_of_run(data, tail, line_end, end) + len(tail)


def _run(lines: bytes, first: int) -> Run | None:
    """Records with the same tail, the first of them `first` bytes long; None when there is more to them."""
    tail = lines[lines.find(_NEWLINE + _CLOSE) : first]
    text = _unescape(lines[len(_OPEN) : -len(tail)].replace(tail + _OPEN, b"\n"))
    try:
        record = json.loads(_OPEN + tail)
        return None if text is None else Run(_stream(record), text + b"\n", record["time"], record.get("attrs"))
    except (ValueError, KeyError):
        return None


def _last_of_run(data: bytes, tail: bytes, first_end: int, end: int) -> int:
    """Where the last record that ends in `tail` has its tail, looked for in growing windows: runs are contiguous."""
    last, window = first_end - len(tail), _FIRST_WINDOW
    while True:
        found = data.rfind(tail, last + len(tail), min(last + window, end))
        if found < 0:
            return last
        last, window = found, window * 2


def _unescape(text: bytes) -> bytes | None:
    """The bytes for which the inside of a JSON string stands, bare newlines allowed; None when it is not just that."""
    if b"\\" not in text:
        return None if b'"' in text else text
    try:
        return _to_bytes(json.loads(f'"{text.decode("utf-8", "surrogateescape")}"', strict=False))
    except ValueError:
        return None


def _to_bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _record(line: bytes) -> Run | None:
    """One record by the book."""
    try:
        record = json.loads(line.decode("utf-8", "surrogateescape"))
        return Run(_stream(record), _to_bytes(record.get("log", "")), record["time"], record.get("attrs"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _stream(record: dict[str, str]) -> int:
    return STDERR if record.get("stream") == "stderr" else STDOUT


class LocalDecoder:
    """The decoder of our local driver's logs."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Run]:
        data = self._rest + data
        position = 0
        while position + LOCAL_HEADER.size <= len(data):
            length, stream, _, _, time_ns = LOCAL_HEADER.unpack_from(data, position)
            end = position + LOCAL_HEADER.size + length + LOCAL_TRAILER.size
            if end > len(data):
                break
            yield Run(stream, data[position + LOCAL_HEADER.size : end - LOCAL_TRAILER.size], time_ns)
            position = end
        self._rest = data[position:]


def make_decoder(driver: str) -> Decoder:
    """A fresh decoder for a log driver's name."""
    return JsonDecoder() if driver == "json-file" else LocalDecoder()


def parse_time(text: str) -> int:
    """RFC 3339 with up to nine digits as ns since 1970. Raises ValueError."""
    whole, dot, rest = text.partition(".")
    digits = rest.rstrip("Z+-0123456789:") if not dot else rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] if dot else ""
    seconds = int(datetime.fromisoformat(whole + zone).timestamp())
    return seconds * 1_000_000_000 + int(digits.ljust(9, "0")[:9] or 0)
