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


class Renderer:
    """Chooses and dresses runs; remembers for each stream whether its last line is still open."""

    def __init__(self, query: LogQuery) -> None:
        self._query = query
        self._streams = {stream for stream, wanted in ((STDOUT, query.stdout), (STDERR, query.stderr)) if wanted}
        self._timed = query.since_ns is not None or query.until_ns is not None
        self._open = {STDOUT: False, STDERR: False}
        self.done = False

    def render(self, runs: Iterable[Run]) -> bytes:
        """The bytes to send; consecutive runs of one stream share a frame. `done` is set once past `until_ns`."""
        parts: list[bytes] = []
        stream, texts = 0, list[bytes]()
        for run in runs:
            if not self._wanted(run):
                if self.done:
                    break
                continue
            if run.stream != stream:
                self._frame(parts, stream, texts)
                stream, texts = run.stream, []
            texts.append(self._dress(run))
        self._frame(parts, stream, texts)
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

    def _frame(self, parts: list[bytes], stream: int, texts: list[bytes]) -> None:
        if not texts:
            return
        if not self._query.raw:
            parts.append(FRAME.pack(stream, sum(map(len, texts))))
        parts.extend(texts)

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
