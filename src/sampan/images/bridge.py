"""Between the event loop, where a request's body comes and its answer leaves, and the threads that do the work.

body --read--> Inlet.pump   |   Inlet.more --> work(report) ...
                event loop  |  worker thread      |
answer <-------- lines <----|---------------------+
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager, nullcontext, suppress

from sampan.errors import SampanError, Unavailable

__all__ = ["Inlet", "Read", "lines_of", "pumping"]

Read = Callable[[int], Awaitable[bytes]]
"""Reads up to so many bytes of a body; empty at its end."""

_CHUNK = 1 << 20
_HIGH, _LOW = 16 << 20, 4 << 20


class Inlet:
    """Bytes that the event loop reads and one thread takes. At most 16 MiB wait in between."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._ready = threading.Condition()
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._failure: SampanError | None = None

    async def pump(self) -> None:
        """Read the body to its end. When this fails or is cancelled the thread is told: an error of ours as it is,
        else Unavailable."""
        try:
            while chunk := await self._read(_CHUNK):
                if self._put(chunk) > _HIGH:
                    self._room.clear()
                    await self._room.wait()
        except SampanError as error:
            self._failure = error
        except BaseException:
            self._failure = Unavailable("the request's body ended before its end")
            raise
        finally:
            with self._ready:
                self._ended = True
                self._ready.notify()

    def more(self) -> bytes:
        """The next bytes, empty at the end. Blocks. Raises what `pump` says where the body was cut."""
        with self._ready:
            while not self._chunks and not self._ended:
                self._ready.wait()
            if self._failure is not None:
                raise self._failure
            chunk = self._chunks.popleft() if self._chunks else b""
            self._size -= len(chunk)
            if self._size < _LOW and not self._room.is_set():
                self._loop.call_soon_threadsafe(self._room.set)
        return chunk

    def _put(self, chunk: bytes) -> int:
        with self._ready:
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._ready.notify()
            return self._size


@asynccontextmanager
async def pumping(inlet: Inlet) -> AsyncIterator[None]:
    """Read the inlet's body beside the block; at its end what was not read stays unread."""
    pump = asyncio.create_task(inlet.pump())
    try:
        yield
    finally:
        pump.cancel()
        # Whatever ended it, the thread was told.
        with suppress(BaseException):
            await pump


async def lines_of(
    executor: Executor,
    work: Callable[[Callable[[bytes], None]], None],
    failed: Callable[[Exception], bytes],
    inlet: Inlet | None = None,
) -> AsyncIterator[bytes]:
    """Run `work(report)` in a thread and give what it reports as it comes; an error of ours is the last line.

    When the reader goes away, the inlet is cut and the work waited for.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def report(line: bytes | None) -> None:
        loop.call_soon_threadsafe(lines.put_nowait, line)

    def run() -> None:
        try:
            work(report)
        except SampanError as error:
            report(failed(error))
        finally:
            report(None)

    running = asyncio.ensure_future(loop.run_in_executor(executor, run))
    try:
        async with pumping(inlet) if inlet else nullcontext():
            while (line := await lines.get()) is not None:
                yield line
        await running
    finally:
        with suppress(SampanError):
            await asyncio.shield(running)
