"""The engine's content store as a pull's sink and a push's source.

    ContentSink   layers become ingests that others may follow while they grow, then blobs
    ContentSource blobs and documents as they are stored

Work on the disk runs in threads; one blob is written by one thread at a time, and fetched by one pull at a time: a
second one waits, and goes on where the first was left if that failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar
from weakref import WeakValueDictionary

from sampan.errors import Exhausted, SampanError
from sampan.images.remote.sides import BlobWriter
from sampan.oci.digest import Digest, parse_digest
from sampan.oci.documents import Descriptor
from sampan.store.content import ContentStore, Ingest
from sampan.store.leases import Lease

__all__ = ["ContentSink", "ContentSource", "Turns", "settled"]

T = TypeVar("T")
Started = Callable[[Descriptor, Ingest], None]
"""Told of a layer as its first bytes are awaited, so that its ingest can be followed."""

_BATCH = 1 << 20
_CHUNK = 1 << 20


async def settled(work: asyncio.Future[T]) -> T:
    """The result of what runs in a thread. Cancelling waits until the thread is done with it."""
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
    return work.result()


class Turns:
    """A lock for each key that somebody holds or waits for."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: str) -> asyncio.Lock:
        """The key's lock; keep it while it is used."""
        return self._locks.setdefault(key, asyncio.Lock())


class ContentSink:
    """A Sink into a ContentStore. What it keeps is kept by `lease` until an image refers to it.

    The layers that it brought can be resumed by a later pull, should this one fail, until `forget`.
    """

    def __init__(
        self,
        content: ContentStore,
        lease: Lease,
        threads: Executor,
        started: Started = lambda layer, ingest: None,
        turns: Turns | None = None,
    ) -> None:
        self._content = content
        self._lease = lease
        self._threads = threads
        self._started = started
        self._turns = turns or Turns()
        self._begun: set[str] = set()

    async def has(self, layer: Descriptor) -> bool:
        """See Sink."""
        digest = parse_digest(layer.digest)
        await self._run(lambda: self._lease.keep(digest))
        return self._content.has(digest)

    async def begin(self, layer: Descriptor) -> BlobWriter | None:
        """See Sink."""
        digest = parse_digest(layer.digest)
        turn = self._turns.of(digest)
        await turn.acquire()
        try:
            if self._content.has(digest):
                turn.release()
                return None
            ingest = await self._open(digest)
            self._started(layer, ingest)
        except BaseException:
            turn.release()
            raise
        return _IngestWriter(ingest, layer, self._threads, turn)

    async def put(self, descriptor: Descriptor, content: bytes) -> None:
        """See Sink."""
        digest = parse_digest(descriptor.digest)
        await self._run(lambda: self._lease.keep(digest))
        if not self._content.has(digest):
            await self._run(lambda: self._content.put(content, digest))

    def forget(self) -> None:
        """What came is an image now: nothing of it need be resumed. Blocks."""
        self._content.forget(self._begun)

    async def _open(self, digest: Digest) -> Ingest:
        algorithm, _, value = digest.partition(":")
        name = f"pull-{algorithm}-{value}"
        self._begun.add(name)
        opening = self._run(lambda: self._content.begin(name, algorithm))
        try:
            return await settled(opening)
        except asyncio.CancelledError:
            with suppress(SampanError, OSError):
                opening.result().abort()
            raise

    def _run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)


class _IngestWriter:
    """Gathers pieces while a thread writes the ones before. Holds the blob's turn until it is committed or aborted."""

    def __init__(self, ingest: Ingest, layer: Descriptor, threads: Executor, turn: asyncio.Lock) -> None:
        self._ingest = ingest
        self._layer = layer
        self._threads = threads
        self._turn: asyncio.Lock | None = turn
        self._offset = ingest.offset
        self._batch: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None

    @property
    def offset(self) -> int:
        """See BlobWriter."""
        return self._offset

    async def write(self, data: bytes) -> None:
        """See BlobWriter."""
        self._batch.append(data)
        self._size += len(data)
        self._offset += len(data)
        if self._writing is None:
            self._go_on()
        if self._size >= _BATCH:
            await self._drained(_BATCH)

    async def commit(self) -> None:
        """See BlobWriter."""
        await self._drained()
        expected = parse_digest(self._layer.digest)
        try:
            await settled(self._run(lambda: self._ingest.commit(expected, self._layer.size)))
        finally:
            self._release()

    async def abort(self) -> None:
        """See BlobWriter. A disk that is full is not left full of what can't be finished."""
        try:
            with suppress(SampanError):
                await self._drained()
        finally:
            if isinstance(self._failure, Exhausted):
                self._ingest.discard()
            else:
                self._ingest.abort()
            self._release()

    async def _drained(self, below: int = 1) -> None:
        """Wait until fewer than `below` bytes wait to be written, and for 1 until all are."""
        while self._writing is not None and (below == 1 or self._size >= below):
            await settled(asyncio.gather(self._writing, return_exceptions=True))
        if self._failure is not None:
            raise self._failure

    def _go_on(self) -> None:
        """Give the thread what has gathered. After a failure nothing more is written: there would be a gap."""
        self._writing = None
        if self._batch and self._failure is None:
            batch, self._batch, self._size = self._batch, [], 0
            self._writing = self._run(lambda: self._write(batch))
            self._writing.add_done_callback(self._written)

    def _written(self, writing: asyncio.Future[None]) -> None:
        self._failure = writing.exception()
        self._go_on()

    def _write(self, batch: list[bytes]) -> None:
        for piece in batch:
            self._ingest.write(piece)

    def _release(self) -> None:
        if self._turn is not None:
            self._turn.release()
            self._turn = None

    def _run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)


class ContentSource:
    """A Source out of a ContentStore. `origins` are repositories of the target's registry, by blob."""

    def __init__(
        self, content: ContentStore, threads: Executor, origins: Callable[[Digest], Sequence[str]] = lambda _: ()
    ) -> None:
        self._content = content
        self._threads = threads
        self._origins = origins

    async def document(self, digest: Digest) -> bytes:
        """See Source."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._content.read, digest)

    async def read(self, blob: Descriptor, offset: int) -> AsyncIterator[bytes]:
        """See Source."""
        run = asyncio.get_running_loop().run_in_executor
        with self._content.open(parse_digest(blob.digest)) as file:
            file.seek(offset)
            while piece := await settled(run(self._threads, file.read, _CHUNK)):
                yield piece

    def origins(self, digest: Digest) -> Sequence[str]:
        """See Source."""
        return self._origins(digest)
