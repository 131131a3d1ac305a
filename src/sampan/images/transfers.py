"""Pulling into and pushing out of a data root.

    pull   manifest ─ chosen platform ─ layers side by side, each unpacked while it arrives ─ one transaction ─ names
    push   a tag's manifest or index as it is stored, blobs that the registry lacks first

Everything that a pull brings is leased until the image's rows are written; what is left of a failed pull goes on at
the next try (blobs on their way keep their bytes).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import TypeVar

from sampan.errors import InvalidArgument
from sampan.images.catalog import Image, NewImage
from sampan.images.register import Registrar
from sampan.images.remote import Credentials, Pulled, Puller, Pusher, Remote, Report
from sampan.images.remote.contents import ContentSink, ContentSource
from sampan.images.unpacker import Unpacked, Unpacker
from sampan.oci import mediatypes
from sampan.oci.digest import Digest, digest_of
from sampan.oci.documents import Descriptor, ImageConfig, Index, Manifest, is_index, parse
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference
from sampan.store.content import ContentStore, Follower
from sampan.store.leases import Lease, Leases

__all__ = ["PulledImage", "Pushed", "Transfers"]

T = TypeVar("T")


@dataclass(frozen=True)
class PulledImage:
    """What a pull left: the image, what the reference named at the registry, and whether anything of it was new."""

    image: Digest
    target: Digest
    new: bool


@dataclass(frozen=True)
class Pushed:
    """What a push left at the registry."""

    digest: Digest
    size: int


@dataclass
class Transfers:
    """One per daemon."""

    content: ContentStore
    leases: Leases
    unpacker: Unpacker
    registrar: Registrar
    threads: Executor
    remote: Remote
    origins: dict[Digest, list[str]] = field(default_factory=dict)

    async def tags(self, repository: Reference, credentials: Credentials | None) -> Sequence[str]:
        """The tags that a repository has."""
        return await self.remote.repository(repository, credentials).tags()

    async def pull(
        self,
        reference: Reference,
        platform: Platform,
        exact: bool,
        credentials: Credentials | None,
        report: Report,
        had: Digest | None,
    ) -> PulledImage:
        """Pull what a tag or digest names; `had` is what it named here until now. Raises as Puller.pull."""
        started: dict[Digest, Future[Unpacked]] = {}

        def unpack(layer: Descriptor, follower: Follower) -> None:
            future = self.unpacker.start(follower.read)
            future.add_done_callback(lambda _: follower.close())
            started[Digest(layer.digest)] = future

        client = self.remote.repository(reference, credentials)
        with self.leases.hold() as lease:
            sink = ContentSink(self.content, lease, self.threads, unpack)
            try:
                puller = Puller(client, sink, report, self.remote.settings)
                pulled = await puller.pull(reference.digest or reference.tag or "latest", platform, exact)
                image = await self._in_thread(self._keep, reference, pulled, started, lease)
            finally:
                await self._in_thread(self.unpacker.discard_all, list(started.values()))
        for layer in pulled.layers:
            self.origins.setdefault(Digest(layer.digest), []).append(reference.name)
        return PulledImage(image, pulled.target.digest, had != pulled.target.digest)

    def _keep(
        self, reference: Reference, pulled: Pulled, started: dict[Digest, Future[Unpacked]], lease: Lease
    ) -> Digest:
        config = parse(pulled.config, ImageConfig, "image config")
        blobs = [Digest(layer.digest) for layer in pulled.layers]
        if len(config.diff_ids) != len(blobs):
            raise InvalidArgument("the image's config and manifest disagree on the number of its layers")
        self.unpacker.finish(config, blobs, started, lease)
        self.content.sync()
        documents = {digest_of(pulled.config), pulled.manifest.digest, *(found.digest for found in pulled.above)}
        image = NewImage(
            digest_of(pulled.config), pulled.config, pulled.manifest.digest, frozenset(documents | set(blobs))
        )
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
        document = await self._in_thread(self._pushable, image, target, platform)
        client = self.remote.repository(name, credentials)
        source = ContentSource(self.content, self.threads, lambda digest: self._origins(name, digest))
        digest = await Pusher(client, source, report, self.remote.settings).push(document, name.tag or "latest")
        await self._in_thread(self.registrar.tag, image.id, target, name.with_digest(digest), False)
        return Pushed(digest, document.size)

    def _origins(self, name: Reference, digest: Digest) -> Sequence[str]:
        """Repositories of the same registry from which a blob came."""
        prefix = f"{name.domain}/"
        found = dict.fromkeys(self.origins.get(digest, ()))
        return [origin.removeprefix(prefix) for origin in found if origin.startswith(prefix) and origin != name.name]

    def _pushable(self, image: Image, target: Digest, platform: Platform | None) -> Descriptor:
        chosen = target if platform is None and self._whole(target) else image.manifest
        content = self.content.read(chosen)
        return Descriptor(media_type=media_type_of(content), digest=chosen, size=len(content))

    def _whole(self, target: Digest) -> bool:
        """Whether a manifest or index is here with everything it refers to."""
        if not self.content.has(target):
            return False
        content = self.content.read(target)
        if is_index(content):
            return all(self._whole(Digest(child.digest)) for child in parse(content, Index, "index").manifests)
        manifest = parse(content, Manifest, "manifest")
        return all(self.content.has(Digest(blob.digest)) for blob in (manifest.config, *manifest.layers))

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)


def media_type_of(content: bytes) -> str:
    """What a stored manifest or index says it is; the OCI type by its shape where it says nothing."""
    if is_index(content):
        return parse(content, Index, "index").media_type or mediatypes.OCI_INDEX
    return parse(content, Manifest, "manifest").media_type or mediatypes.OCI_MANIFEST
