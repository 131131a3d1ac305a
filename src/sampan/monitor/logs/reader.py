"""One pass over a log: through its files, and on into those that rotation makes meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sampan.monitor.logs.decode import Run, make_decoder
from sampan.monitor.logs.history import BLOCK, inode_of, open_parts, seek_tail
from sampan.monitor.logs.render import LogQuery, Renderer


class LogReader:
    """Gives the wanted output batch by batch. Not for use by two threads at once."""

    def __init__(self, path: Path, driver: str, query: LogQuery) -> None:
        self._path = path
        self._driver = driver
        self._renderer = Renderer(query)
        self._skip = 0
        self._parts = open_parts(path)
        if self._parts and not query.follow and not self._parts[-1].compressed:
            self._parts[-1].limit = os.fstat(self._parts[-1].descriptor).st_size
        if query.tail is not None:
            self._parts, self._skip = seek_tail(self._parts, driver, query.tail)
        self._decoder = make_decoder(driver)

    @property
    def done(self) -> bool:
        """Nothing that could come is wanted any more."""
        return self._renderer.done

    def read(self, size: int = BLOCK) -> bytes | None:
        """The next batch, which may be empty; None when there is no more for now."""
        while self._parts and not self.done:
            data = self._parts[0].read(size)
            if data:
                return self._renderer.render(self._skip_lines(self._decoder.feed(data)))
            if len(self._parts) == 1:
                break
            self._next_part()
        return None

    def advance(self) -> bool:
        """After rotation, make the files that follow the present one ready for reading; whether there are any.

        Nothing is written to a file once it is renamed, but perhaps was since the last read: read on either way.
        """
        if self._parts and inode_of(self._path) in (0, self._parts[0].inode):
            return False
        fresh = open_parts(self._path)
        known = [index for index, part in enumerate(fresh) if self._parts and part.is_same(self._parts[0])]
        seen = known[0] + 1 if known else 0
        for part in fresh[:seen]:
            part.close()
        self._parts += fresh[seen:]
        return bool(fresh[seen:])

    def _next_part(self) -> None:
        self._parts.pop(0).close()
        self._decoder = make_decoder(self._driver)

    def _skip_lines(self, runs: Iterable[Run]) -> Iterator[Run]:
        for run in runs:
            position = 0
            while self._skip and (newline := run.text.find(b"\n", position)) >= 0:
                self._skip -= 1
                position = newline + 1
            if not self._skip and position < len(run.text):
                run.text = run.text[position:]
                yield run

    def close(self) -> None:
        for part in self._parts:
            part.close()
        self._parts = []
