"""The way of a container's output from its pipe or terminal to the log: no byte leaves before it is logged.

    container's pipe --tee--> S --read--> the chunk, cut after its last newline
          |
          +--splice--> T    held here while its records are written
                       |
                       +--splice--> /dev/null    the chunk is logged and handed out

One process handles one chunk at a time, so one transit pipe T serves all. The daemon holds duplicates of T, S and the
progress file. Before anything moves, an intent (whose output, which stream, the log's size, the time) goes to the
progress file. A successor finds T empty: nothing is in flight; or finds a chunk in T: it encodes that chunk again with
the intent's time, which gives the same records, and writes those that the log lacks. A terminal can't be looked into:
its output is spliced to T first and looked at there.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from sampan.kernel import syscalls
from sampan.monitor.encode import chunk_end
from sampan.monitor.logfile import LogFile
from sampan.monitor.protocol import Files

CHUNK = 256 * 1024
_CAPACITY = 1024 * 1024
_INTENT = struct.Struct("<128sBqq")  # process id, stream, log size, time in ns

Sink = Callable[[bytes], None]


class Intent(NamedTuple):
    """Whose chunk is in T: the process, its stream, the size of its log before, the chunk's time in ns."""

    owner: str
    stream: int
    log_size: int
    time_ns: int


def make_pipe() -> tuple[int, int]:
    """A pipe as large as the machine lets us."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    for capacity in (_CAPACITY, _CAPACITY // 4):
        try:
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, capacity)
            break
        except OSError:
            continue
    return reader, writer


class Transit:
    """T, S and the progress file of one exec root."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)

    @classmethod
    def create(cls, progress_path: str) -> Transit:
        transit_reader, transit_writer = make_pipe()
        scratch_reader, scratch_writer = make_pipe()
        progress = os.open(progress_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return cls(
            {
                "transit_reader": transit_reader,
                "transit_writer": transit_writer,
                "scratch_reader": scratch_reader,
                "scratch_writer": scratch_writer,
                "progress": progress,
            }
        )

    def replace(self, files: Files) -> None:
        """Go on with a predecessor's pipes and progress file."""
        for descriptor in self.files.values():
            os.close(descriptor)
        self.files = files
        self._empty_scratch()

    def move_from_pipe(self, source: int, stream: int, owner: str, log: LogFile, sink: Sink) -> bool:
        """Log and hand out one chunk of a pipe's output; False at its end. Raises BlockingIOError when it is empty."""
        data = self._peek(source, log.next_chunk(CHUNK))
        if not data:
            return False
        end = chunk_end(data)
        if end < len(data):
            data = data[:end]
        now = self._intend(owner, stream, log)
        self._fill(source, len(data))
        self._finish(data, stream, now, log, sink)
        return True

    def move_from_terminal(self, source: int, stream: int, owner: str, log: LogFile, sink: Sink) -> bool:
        """The same for a terminal's output. Raises OSError (EIO) when its last user is gone."""
        limit = log.next_chunk(CHUNK)
        now = self._intend(owner, stream, log)
        count = os.splice(source, self.files["transit_writer"], limit, flags=syscalls.SPLICE_F_NONBLOCK)
        if not count:
            return False
        self._finish(self._held(), stream, now, log, sink)
        return True

    def intent(self) -> Intent | None:
        """Of the chunk that T holds; None when T is empty."""
        if not select.select([self.files["transit_reader"]], [], [], 0)[0]:
            return None
        owner, stream, size, time_ns = _INTENT.unpack(os.pread(self.files["progress"], _INTENT.size, 0))
        return Intent(owner.rstrip(b"\0").decode(), stream, size, time_ns)

    def recover(self, log: LogFile | None, sink: Callable[[int, bytes], None]) -> None:
        """Finish the chunk that a predecessor left in T (its owner's `log`, or None when that is gone).

        `sink` gets it only if the log lacked some of it: else it was most likely handed out, and is not repeated.
        """
        intent = self.intent()
        if intent is None:
            return
        data = self._held()
        if log is not None and log.complete(data, intent.stream, intent.time_ns, intent.log_size):
            sink(intent.stream, data)
        self._drain(len(data))

    def _finish(self, data: bytes, stream: int, now: int, log: LogFile, sink: Sink) -> None:
        try:
            log.append(data, stream, now)
        finally:
            sink(data)
            self._drain(len(data))

    def _intend(self, owner: str, stream: int, log: LogFile) -> int:
        now = time.time_ns()
        os.pwrite(self.files["progress"], _INTENT.pack(owner.encode(), stream, log.size, now), 0)
        return now

    def _peek(self, source: int, limit: int) -> bytes:
        scratch_reader, scratch_writer = self.files["scratch_reader"], self.files["scratch_writer"]
        count = syscalls.tee(source, scratch_writer, limit, syscalls.SPLICE_F_NONBLOCK)
        return os.read(scratch_reader, count) if count else b""

    def _held(self) -> bytes:
        """What is in T, left there."""
        return self._peek(self.files["transit_reader"], _CAPACITY)

    def _empty_scratch(self) -> None:
        """A predecessor may have died with bytes in S."""
        scratch = self.files["scratch_reader"]
        while select.select([scratch], [], [], 0)[0]:
            os.read(scratch, _CAPACITY)

    def _fill(self, source: int, count: int) -> None:
        while count:
            count -= os.splice(source, self.files["transit_writer"], count, flags=syscalls.SPLICE_F_NONBLOCK)

    def _drain(self, count: int) -> None:
        while count:
            count -= os.splice(self.files["transit_reader"], self._null, count)
