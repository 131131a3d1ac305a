"""Runs of a log as the bytes of docker's logs stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote_plus

from sampan.monitor.encode import FRAME, STDERR, STDOUT, format_time
from sampan.monitor.logs.decode import Run


@dataclass(frozen=True)
class LogQuery:
    """What of a log is wanted. Times in ns since 1970; `tail` counts lines from the end, None is all; `raw` leaves out
    the frames (for a process with a terminal)."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since_ns: int | None = None
    until_ns: int | None = None
    tail: int | None = None
    timestamps: bool = False
    details: bool = False
    raw: bool = False


class _Heads(dict[int, bytes]):
    """The frame headers of lines of one stream, by the line's length without its newline."""

    def __init__(self, stream: int) -> None:
        self._stream = stream

    def __missing__(self, length: int) -> bytes:
        if len(self) >= _KEPT_HEADS:
            self.clear()
        head = self[length] = FRAME.pack(self._stream, length + 1)
        return head


_KEPT_HEADS = 4096
_HEADS = {STDOUT: _Heads(STDOUT), STDERR: _Heads(STDERR)}


def frame_lines(stream: int, text: bytes) -> bytes:
    """`text` with each of its lines framed, as clients that take a frame for a line expect."""
    heads = _HEADS[stream]
    *lines, rest = text.split(b"\n")
    lines = [heads[len(line)] + line for line in lines]
    lines.append(FRAME.pack(stream, len(rest)) + rest if rest else b"")
    return b"\n".join(lines)


class Renderer:
    """Chooses and dresses runs; remembers for each stream whether its last line is still open."""

    def __init__(self, query: LogQuery) -> None:
        self._query = query
        self._streams = {stream for stream, wanted in ((STDOUT, query.stdout), (STDERR, query.stderr)) if wanted}
        self._timed = query.since_ns is not None or query.until_ns is not None
        self._open = {STDOUT: False, STDERR: False}
        self.done = False

    def render(self, runs: Iterable[Run]) -> bytes:
        """The bytes to send, each line in a frame of its own. `done` is set once past `until_ns`."""
        parts: list[bytes] = []
        for run in runs:
            if self._wanted(run):
                text = self._dress(run)
                parts.append(text if self._query.raw else frame_lines(run.stream, text))
            elif self.done:
                break
        return b"".join(parts)

    def _wanted(self, run: Run) -> bool:
        if self._timed:
            time_ns = run.time_ns
            if self._query.until_ns is not None and time_ns > self._query.until_ns:
                self.done = True
                return False
            if self._query.since_ns is not None and time_ns < self._query.since_ns:
                return False
        return run.stream in self._streams

    def _dress(self, run: Run) -> bytes:
        """The text, with what goes before each line that begins in it."""
        if not (self._query.timestamps or self._query.details):
            return run.text
        before = self._before(run)
        going_on, self._open[run.stream] = self._open[run.stream], not run.text.endswith(b"\n")
        inner, last = run.text[:-1], run.text[-1:]
        dressed = inner.replace(b"\n", b"\n" + before) + last
        return dressed if going_on else before + dressed

    def _before(self, run: Run) -> bytes:
        stamp = format_time(run.time_ns) + b" " if self._query.timestamps else b""
        return stamp + _details(run.attrs) if self._query.details else stamp


def _details(attrs: dict[str, str] | None) -> bytes:
    pairs = sorted((attrs or {}).items())
    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in pairs).encode() + b" "
