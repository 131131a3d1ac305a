"""The log of one container: appended to by the monitor alone."""

from __future__ import annotations

import os

from sampan.monitor.encode import Pieces, encoder
from sampan.monitor.protocol import Message
from sampan.monitor.rotate import Compressor, Rotation


class LogFile:
    """An open log; `size` is where the next chunk's records begin."""

    def __init__(self, options: Message, compressor: Compressor) -> None:
        """`options`: driver, path, max_size (bytes, 0: no limit), max_file, compress, attrs. Raises OSError."""
        self._path: str = options["path"]
        self._encode = encoder(options["driver"], options.get("attrs"))
        self._rotation = Rotation(options, compressor)
        self._file = self._open()
        self.size = os.fstat(self._file).st_size

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def next_chunk(self, most: int) -> int:
        """Rotate if it is time; returns how many bytes of output to log at once. Raises OSError."""
        if self._rotation.is_due(self.size):
            self._rotation.make_way()
            full, self._file = self._file, self._open()
            os.close(full)
            self.size = 0
            self._rotation.made_way()
        return self._rotation.chunk_limit(most)

    def append(self, data: bytes, stream: int, time_ns: int) -> None:
        """Write a chunk's records. On OSError (a full disk) nothing of the chunk stays in the log."""
        self._write(self._encode(data, stream, time_ns), self.size)

    def complete(self, data: bytes, stream: int, time_ns: int, start: int) -> bool:
        """Write what is missing of a chunk whose records a predecessor began at `start`; False when nothing was."""
        records = b"".join(self._encode(data, stream, time_ns))
        written = max(0, self.size - start)
        self._write([records[written:]], self.size)
        return written < len(records)

    def _write(self, pieces: Pieces, undo_size: int) -> None:
        try:
            written = os.writev(self._file, pieces)
            self.size += written
            if written < sum(map(len, pieces)):
                self._write([b"".join(pieces)[written:]], undo_size)
        except OSError:
            self.size = min(undo_size, os.fstat(self._file).st_size)
            os.ftruncate(self._file, self.size)
            raise

    def close(self) -> None:
        os.close(self._file)
