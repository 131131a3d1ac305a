"""Layers from tars to snapshots, several at once.

    start(more)  --worker thread-->  Unpacked (a draft)  --finish, in the order of the chain-->  committed layer

`start` may be given a stream that still grows. What a layer needs of those below it is done in `finish`.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, nullcontext
from dataclasses import dataclass

from sampan.errors import InvalidArgument
from sampan.images.streams import Compression, More, sniffed
from sampan.images.unpack import Extraction, private_umask
from sampan.oci.bytesource import ByteSource
from sampan.oci.digest import Digest, hash_digest
from sampan.oci.documents import ImageConfig
from sampan.oci.tar import TarReader
from sampan.store.content import ContentStore, Ingest
from sampan.store.leases import Lease
from sampan.store.snapshots import Draft, Layer, Snapshots

__all__ = ["Unpacked", "Unpacker"]

# Docker's limit; the mount data of so many stays below a page.
_MOST_LAYERS = 127


@dataclass
class Unpacked:
    """An unpacked tar that is no layer yet. `diff_id` is None where the stream was not compressed: then the digest
    of its bytes is the diff id, and whoever stores them knows it."""

    draft: Draft
    extraction: Extraction
    root: int
    diff_id: Digest | None
    taken: bool = False


class Unpacker:
    """Worker threads that unpack: as many at a time as there are processors, whatever waits for bytes besides."""

    def __init__(self, content: ContentStore, snapshots: Snapshots, workers: int | None = None) -> None:
        self._content = content
        self._snapshots = snapshots
        self._workers = ThreadPoolExecutor(workers or os.cpu_count() or 1, "unpack", private_umask)
        self._busy = threading.Semaphore(os.cpu_count() or 1)

    def start(self, more: More) -> Future[Unpacked]:
        """Unpack a stream of a layer's tar, compressed or not, as its bytes come."""
        return self._workers.submit(self._unpack, more)

    def start_following(self, ingest: Ingest, seen: Callable[[int], None] | None = None) -> Future[Unpacked]:
        """Unpack a layer's blob while it is still on its way in. `seen` is told, in the worker's thread, how many of
        the blob's bytes were taken."""
        follower = ingest.follow()
        read = follower.read if seen is None else _counted(follower.read, seen)

        def more() -> bytes:
            # Whoever waits for bytes takes no place of those that have some.
            self._busy.release()
            try:
                return read()
            finally:
                self._busy.acquire()

        def unpack() -> Unpacked:
            # Closed before anyone is told: where an ingest was given up, its bytes are free then.
            with closing(follower), self._busy:
                return self._unpack(more)

        started = self._workers.submit(unpack)
        started.add_done_callback(lambda _: follower.close())
        return started

    def discard(self, started: Future[Unpacked]) -> None:
        """Give up what `start` returned, now or when it is done."""
        if not started.cancel():
            started.add_done_callback(self._discard)

    def discard_all(self, started: Collection[Future[Unpacked]]) -> None:
        """Give up several, and wait until nothing of them is left. What became a layer stays one."""
        wait([one for one in started if not one.cancel()])
        for one in started:
            self.discard(one)

    def finish(
        self,
        config: ImageConfig,
        blobs: Sequence[Digest],
        started: dict[Digest, Future[Unpacked]],
        lease: Lease,
        ready: Callable[[int], None] = lambda place: None,
    ) -> None:
        """Make every layer of an image present, of what was started (by blob) or else of the blobs. Blocks.

        `ready` is told of each layer, by its place, when it is made.

        Raises InvalidArgument where a layer is not what the config says.
        """
        chain = config.chain_ids
        if len(chain) > _MOST_LAYERS:
            raise InvalidArgument(f"max depth exceeded: {len(chain)} layers, at most {_MOST_LAYERS} can be stacked")
        lease.keep(*chain)
        missing = [place for place, key in enumerate(chain) if self._snapshots.layer(key) is None]
        unpacking = {place: self._take(started.get(blobs[place])) or self.start_blob(blobs[place]) for place in missing}
        try:
            for place in missing:
                unpacked = unpacking.pop(place).result()
                parent = chain[place - 1] if place else None
                diff = Digest(config.diff_ids[place])
                self._workers.submit(self._commit, unpacked, blobs[place], parent, chain[place], diff, place).result()
                ready(place)
        finally:
            for left in unpacking.values():
                self.discard(left)

    def remake(self, layer: Layer, blob: Digest, parent: Digest | None) -> None:
        """Unpack a damaged layer again, into its place. Blocks."""
        unpacked = self.start_blob(blob).result()
        self._workers.submit(self._complete, unpacked, parent).result()
        self._snapshots.remake(layer, unpacked.draft)

    def start_blob(self, blob: Digest) -> Future[Unpacked]:
        """Unpack a stored blob."""

        def unpack() -> Unpacked:
            with self._content.open(blob) as file:
                return self._unpack(lambda: file.read(1 << 20))

        return self._workers.submit(unpack)

    def close(self) -> None:
        """Wait for what runs."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _take(self, started: Future[Unpacked] | None) -> Future[Unpacked] | None:
        """The same tar may stand in two chains; what was unpacked serves one."""
        if started is None or started.result().taken:
            return None
        started.result().taken = True
        return started

    def _unpack(self, more: More) -> Unpacked:
        draft = self._snapshots.draft()
        root = os.open(draft.fs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        extraction = Extraction(root)
        try:
            diff_id = _extract(extraction, more)
        except BaseException:
            self._abandon(Unpacked(draft, extraction, root, None))
            raise
        return Unpacked(draft, extraction, root, diff_id)

    def _commit(
        self, unpacked: Unpacked, blob: Digest, parent: Digest | None, key: Digest, diff: Digest, place: int
    ) -> None:
        found = unpacked.diff_id or blob
        if found != diff:
            self._abandon(unpacked)
            raise InvalidArgument(f'invalid diffID for layer {place}: expected "{diff}", got "{found}"')
        self._complete(unpacked, parent)
        self._snapshots.commit_layer(unpacked.draft, key, parent, diff, unpacked.extraction.size)

    def _complete(self, unpacked: Unpacked, parent: Digest | None) -> None:
        try:
            needed = parent is not None and unpacked.extraction.needs_lower
            with self._snapshots.view_layers(parent) if needed else nullcontext() as lower:
                unpacked.extraction.complete(lower)
        except BaseException:
            self._abandon(unpacked)
            raise
        os.close(unpacked.root)

    def _discard(self, done: Future[Unpacked]) -> None:
        if not done.cancelled() and done.exception() is None and not done.result().taken:
            self._abandon(done.result())

    def _abandon(self, unpacked: Unpacked) -> None:
        unpacked.taken = True
        unpacked.extraction.close()
        os.close(unpacked.root)
        self._snapshots.discard(unpacked.draft)


def _counted(more: More, seen: Callable[[int], None]) -> More:
    total = 0

    def counted() -> bytes:
        nonlocal total
        chunk = more()
        total += len(chunk)
        seen(total)
        return chunk

    return counted


def _extract(extraction: Extraction, more: More) -> Digest | None:
    compression, plain = sniffed(more)
    if compression == Compression.NONE:
        source = ByteSource(plain)
        extraction.run(TarReader(source))
        source.drain()
        return None
    state = hashlib.sha256()

    def hashed() -> bytes:
        chunk = plain()
        state.update(chunk)
        return chunk

    source = ByteSource(hashed)
    extraction.run(TarReader(source))
    source.drain()
    return hash_digest(state)
