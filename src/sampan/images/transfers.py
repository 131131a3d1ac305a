"""Pulling into and pushing out of a data root.

    pull   manifest ─ chosen platform ─ layers side by side, each unpacked while it arrives ─ one transaction ─ names
    push   a tag's manifest or index as it is stored, blobs that the registry lacks first

Everything that a pull brings, or a push sends, is leased meanwhile. What a failed pull has brought is no image and no
blob, but a later pull goes on from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from sampan.errors import InvalidArgument, NotFound
from sampan.images.catalog import Catalog, Image, NewImage
from sampan.images.register import Registrar
from sampan.images.remote import Credentials, Pulled, Puller, Pusher, Remote, Report
from sampan.images.remote.contents import ContentSink, ContentSource, Turns, settled
from sampan.images.unpacker import Unpacked, Unpacker
from sampan.oci import mediatypes
from sampan.oci.digest import Digest, digest_of
from sampan.oci.documents import Descriptor, ImageConfig, Index, Manifest, is_index, parse
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference
from sampan.store.content import ContentStore, Ingest
from sampan.store.files import full_disk_told
from sampan.store.leases import Lease, Leases

__all__ = ["PulledImage", "Pushed", "Transfers"]

T = TypeVar("T")


@dataclass(frozen=True)
class PulledImage:
    """What a pull left: the image, and what the reference named at the registry."""

    image: Digest
    target: Digest


@dataclass(frozen=True)
class Pushed:
    """What a push left at the registry."""

    digest: Digest
    size: int


class _Unpacking:
    """The layers of one pull that are unpacked while they arrive."""

    def __init__(self, unpacker: Unpacker, report: Report) -> None:
        self._unpacker = unpacker
        self._report = report
        self._loop = asyncio.get_running_loop()
        self.started: dict[Digest, Future[Unpacked]] = {}

    def start(self, layer: Descriptor, ingest: Ingest) -> None:
        def seen(count: int) -> None:
            self._loop.call_soon_threadsafe(self._report, layer, "unpacking", count)

        self.started[Digest(layer.digest)] = self._unpacker.start_following(ingest, seen)

    def finish(self, config: ImageConfig, layers: Sequence[Descriptor], lease: Lease) -> None:
        """Make all layers present. Blocks."""
        told: set[int] = set()

        def ready(place: int) -> None:
            told.add(place)
            self._loop.call_soon_threadsafe(self._report, layers[place], "unpacked", layers[place].size)

        self._unpacker.finish(config, [Digest(layer.digest) for layer in layers], self.started, lease, ready)
        for place in range(len(layers)):
            if place not in told:
                ready(place)

    def discard(self) -> None:
        """Give up what became no layer. Blocks."""
        self._unpacker.discard_all(self.started.values())


@dataclass
class Transfers:
    """One per daemon."""

    catalog: Catalog
    content: ContentStore
    leases: Leases
    unpacker: Unpacker
    registrar: Registrar
    threads: Executor
    remote: Remote
    settle_later: Callable[[], None]
    """Told that layers were unpacked."""
    collect: Callable[[], object]
    """Removes what nothing refers to. Blocks."""
    turns: Turns = field(default_factory=Turns)

    async def tags(self, repository: Reference, credentials: Credentials | None) -> Sequence[str]:
        """The tags that a repository has."""
        return await self.remote.repository(repository, credentials).tags()

    async def pull(
        self, reference: Reference, platform: Platform, exact: bool, credentials: Credentials | None, report: Report
    ) -> PulledImage:
        """Pull what a tag or digest names. Raises as Puller.pull, and InvalidArgument for a damaged image."""
        client = self.remote.repository(reference, credentials)
        unpacking = _Unpacking(self.unpacker, report)
        try:
            with self.leases.hold() as lease, full_disk_told("storing an image"):
                sink = ContentSink(self.content, lease, self.threads, unpacking.start, self.turns)
                try:
                    puller = Puller(client, sink, report, self.remote.settings)
                    pulled = await puller.pull(reference.digest or reference.tag or "latest", platform, exact)
                    # Whoever pulls the same finds our layers and need not unpack them again.
                    async with self.turns.of(pulled.manifest.digest):
                        image = await self._in_thread(self._keep, reference, pulled, unpacking, lease)
                finally:
                    await self._in_thread(unpacking.discard)
        except BaseException:
            await self._in_thread(self.collect)
            raise
        self.settle_later()
        await self._in_thread(sink.forget)
        return PulledImage(image, pulled.target.digest)

    def _keep(self, reference: Reference, pulled: Pulled, unpacking: _Unpacking, lease: Lease) -> Digest:
        config = parse(pulled.config, ImageConfig, "image config")
        if len(config.diff_ids) != len(pulled.layers):
            raise InvalidArgument("the image's config and manifest disagree on the number of its layers")
        unpacking.finish(config, pulled.layers, lease)
        self.content.sync()
        documents = {digest_of(pulled.config), pulled.manifest.digest, *(found.digest for found in pulled.above)}
        blobs = frozenset(documents | {Digest(layer.digest) for layer in pulled.layers})
        image = NewImage(digest_of(pulled.config), pulled.config, pulled.manifest.digest, blobs)
        names = [reference.key(), reference.with_digest(pulled.target.digest)]
        self.registrar.register([image], image, pulled.target.digest, names)
        return image.id

    async def push(
        self,
        name: Reference,
        image: Image,
        target: Digest,
        platform: Platform | None,
        credentials: Credentials | None,
        report: Report,
    ) -> Pushed:
        """Push what a tag names here. An index goes whole where all of it is here, else the image's own manifest.

        Raises NotFound where bytes are missing, Denied in docker's words, and as Pusher.push.
        """
        client = self.remote.repository(name, credentials)
        with self.leases.hold() as lease:
            chosen = await self._in_thread(self._pushable, image, target, platform, lease)
            source = ContentSource(self.content, self.threads, partial(self._origins, name))
            digest = await Pusher(client, source, report, self.remote.settings).push(chosen, name.tag or "latest")
            await self._in_thread(self.registrar.tag, image.id, digest, name.with_digest(digest), False)
        return Pushed(digest, chosen.size)

    def _origins(self, name: Reference, blob: Digest) -> Sequence[str]:
        """Repositories of the same registry that have a blob."""
        known = self.catalog.origins(blob)
        return [origin.path for origin in known if origin.domain == name.domain and origin.path != name.path]

    def _pushable(self, image: Image, target: Digest, platform: Platform | None, lease: Lease) -> Descriptor:
        whole = None if platform is not None else self._held(target, lease)
        if whole is None:
            whole = self._held(image.manifest, lease)
        if whole is None:
            raise NotFound(f"content of {image.short_id} is missing: pull or load the image again")
        return whole

    def _held(self, digest: Digest, lease: Lease) -> Descriptor | None:
        """A manifest or index that is here with everything it refers to, now leased; None where it is not whole."""
        wanted = list(self._below(digest))
        lease.keep(*wanted)
        if not all(self.content.has(blob) for blob in wanted):
            return None
        content = self.content.read(digest)
        return Descriptor(media_type=media_type_of(content), digest=digest, size=len(content))

    def _below(self, digest: Digest) -> Iterator[Digest]:
        """A manifest or index and, as far as they can be known, the digests of all it refers to."""
        yield digest
        if not self.content.has(digest):
            return
        content = self.content.read(digest)
        if is_index(content):
            for child in parse(content, Index, "index").manifests:
                yield from self._below(Digest(child.digest))
            return
        manifest = parse(content, Manifest, "manifest")
        yield from (Digest(blob.digest) for blob in (manifest.config, *manifest.layers) if not blob.urls)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """Run to the end, though the caller be cancelled meanwhile."""
        return await settled(asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments))


def media_type_of(content: bytes) -> str:
    """What a stored manifest or index says it is; the OCI type by its shape where it says nothing."""
    if is_index(content):
        return parse(content, Index, "index").media_type or mediatypes.OCI_INDEX
    return parse(content, Manifest, "manifest").media_type or mediatypes.OCI_MANIFEST
