"""The engine's content store as a pull's sink and a push's source.

    ContentSink   layers become ingests that others may follow while they grow, then blobs
    ContentSource blobs and documents as they are stored

Work on the disk runs in threads; one blob is written by one thread at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from sampan.images.remote.sides import BlobWriter
from sampan.oci.digest import Digest, parse_digest
from sampan.oci.documents import Descriptor
from sampan.store.content import ContentStore, Follower, Ingest
from sampan.store.leases import Lease

__all__ = ["ContentSink", "ContentSource"]

T = TypeVar("T")
Started = Callable[[Descriptor, Follower], None]
"""Told of a layer as its first bytes are awaited, with a reader that waits for what is not there yet. Closes it."""

_BATCH = 1 << 20
_CHUNK = 1 << 20


class ContentSink:
    """A Sink into a ContentStore. What it keeps is kept by `lease` until an image refers to it."""

    def __init__(self, content: ContentStore, lease: Lease, threads: Executor, started: Started | None = None) -> None:
        self._content = content
        self._lease = lease
        self._threads = threads
        self._started = started

    async def has(self, layer: Descriptor) -> bool:
        """See Sink."""
        digest = parse_digest(layer.digest)
        await self._run(lambda: self._lease.keep(digest))
        return self._content.has(digest)

    async def begin(self, layer: Descriptor) -> BlobWriter:
        """See Sink."""
        digest = parse_digest(layer.digest)
        algorithm, _, value = digest.partition(":")
        ingest = await self._run(lambda: self._content.begin(f"pull-{algorithm}-{value}", algorithm))
        if self._started is not None:
            self._started(layer, ingest.follow())
        return _IngestWriter(ingest, layer, self._threads)

    async def put(self, descriptor: Descriptor, content: bytes) -> None:
        """See Sink."""
        digest = parse_digest(descriptor.digest)
        await self._run(lambda: self._lease.keep(digest))
        if not self._content.has(digest):
            await self._run(lambda: self._content.put(content, digest))

    def _run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)


class _IngestWriter:
    """Gathers pieces while a thread writes the ones before."""

    def __init__(self, ingest: Ingest, layer: Descriptor, threads: Executor) -> None:
        self._ingest = ingest
        self._layer = layer
        self._threads = threads
        self._offset = ingest.offset
        self._batch: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Future[None] | None = None

    @property
    def offset(self) -> int:
        """See BlobWriter."""
        return self._offset

    async def write(self, data: bytes) -> None:
        """See BlobWriter."""
        self._batch.append(data)
        self._size += len(data)
        self._offset += len(data)
        if self._writing is None or self._writing.done() or self._size >= _BATCH:
            await self._settle()
            batch, self._batch, self._size = self._batch, [], 0
            self._writing = self._run(lambda: self._write(batch))

    async def commit(self) -> None:
        """See BlobWriter."""
        await self._flush()
        expected = parse_digest(self._layer.digest)
        await self._run(lambda: self._ingest.commit(expected, self._layer.size))

    async def abort(self) -> None:
        """See BlobWriter."""
        try:
            await asyncio.shield(asyncio.ensure_future(self._flush()))
        finally:
            self._ingest.abort()

    async def _flush(self) -> None:
        await self._settle()
        batch, self._batch = self._batch, []
        await self._run(lambda: self._write(batch))

    async def _settle(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await asyncio.shield(writing)

    def _write(self, batch: list[bytes]) -> None:
        for piece in batch:
            self._ingest.write(piece)

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
            while piece := await run(self._threads, file.read, _CHUNK):
                yield piece

    def origins(self, digest: Digest) -> Sequence[str]:
        """See Source."""
        return self._origins(digest)
