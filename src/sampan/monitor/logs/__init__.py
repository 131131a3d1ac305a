"""Reading logs back, in the daemon.

    async for batch in open_logs(path, "json-file", LogQuery(follow=True, tail=10), ended): send(batch)

Batches are docker's frames, or bare bytes for a terminal (`raw`). The files are those of encode.py, by the monitor or,
for json-file, by dockerd; rotated and compressed ones are read as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from sampan.kernel import inotify
from sampan.monitor.logs.reader import LogReader
from sampan.monitor.logs.render import LogQuery

__all__ = ["LogQuery", "open_logs"]

T = TypeVar("T")

_FOLLOW_BLOCK = 256 * 1024


async def open_logs(
    path: Path, driver: str, query: LogQuery, ended: asyncio.Event | None = None
) -> AsyncGenerator[bytes, None]:
    """The wanted part of the log at `path`, in large batches.

    With `query.follow` it goes on until `ended` is set (the container's exit was told, so its log is whole) and all is
    read, or until `until_ns` is past. A log that does not exist yet is empty.
    """
    reader = await _open(path, driver, query)
    try:
        while (batch := await _in_thread(reader.read)) is not None:
            if batch:
                yield batch
        if query.follow:
            async with aclosing(_follow(reader, path, query, ended or asyncio.Event())) as batches:
                async for batch in batches:
                    yield batch
    finally:
        reader.close()


async def _open(path: Path, driver: str, query: LogQuery) -> LogReader:
    """Open the files in a thread; when the caller is cancelled meanwhile, they are closed again."""
    opening = asyncio.ensure_future(asyncio.to_thread(LogReader, path, driver, query))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(lambda done: None if done.cancelled() or done.exception() else done.result().close())
        raise


async def _in_thread(call: Callable[[], T]) -> T:
    """Call it in a thread; a cancelled caller waits for the thread, so that no file is closed under it."""
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


async def _follow(reader: LogReader, path: Path, query: LogQuery, ended: asyncio.Event) -> AsyncGenerator[bytes, None]:
    try:
        news = _News(path, ended)
    except FileNotFoundError:
        return  # removed with its container
    try:
        over = False
        while not over and not reader.done:
            over = ended.is_set() or _past(query)
            news.clear()
            while (batch := reader.read(_FOLLOW_BLOCK)) is not None or reader.advance():
                if batch:
                    yield batch
            if not over:
                await news.wait(query)
    finally:
        news.close()


def _past(query: LogQuery) -> bool:
    return query.until_ns is not None and time.time_ns() > query.until_ns


class _News:
    """Wakes when a file in the log's folder changes, and when `ended` is set."""

    def __init__(self, path: Path, ended: asyncio.Event) -> None:
        self._wake = asyncio.Event()
        self._inotify = inotify.Inotify()
        try:
            self._inotify.watch(path.parent, inotify.MODIFY | inotify.CREATE | inotify.MOVED_TO)
        except OSError:
            self._inotify.close()
            raise
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._wake.set)
        self._ended = asyncio.ensure_future(ended.wait())
        self._ended.add_done_callback(lambda _: self._wake.set())

    def clear(self) -> None:
        self._wake.clear()
        for _ in self._inotify.read():
            pass

    async def wait(self, query: LogQuery) -> None:
        seconds = None if query.until_ns is None else max(0.0, (query.until_ns - time.time_ns()) / 1e9)
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            pass

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._inotify.fileno())
        self._inotify.close()
        self._ended.cancel()
