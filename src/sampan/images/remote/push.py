"""Pushing: everything a manifest refers to, then the manifest; for an index its children first.

index -> each child (by digest) -> blobs side by side: there? mounted? sent -> manifest -> index under the tag
"""

from __future__ import annotations

import asyncio

from sampan.errors import Denied, InvalidArgument, Unauthenticated
from sampan.images.remote.client import RegistryClient
from sampan.images.remote.settings import RemoteSettings
from sampan.images.remote.sides import Report, Source, silent
from sampan.images.remote.transfer import upload
from sampan.oci.digest import Digest
from sampan.oci.documents import Descriptor, Index, Manifest, is_index, parse

__all__ = ["MOST_NESTED", "Pusher"]

MOST_NESTED = 4
"""Indexes within indexes, at most."""


class Pusher:
    """Pushes from one source into one repository."""

    def __init__(
        self,
        client: RegistryClient,
        source: Source,
        report: Report = silent,
        settings: RemoteSettings | None = None,
    ) -> None:
        self._client = client
        self._source = source
        self._report = report
        self._settings = settings or RemoteSettings()
        self._free = asyncio.Semaphore(self._settings.uploads)
        self._pushed: set[str] = set()

    async def push(self, target: Descriptor, tag: str = "") -> Digest:
        """Push a manifest or index with all it refers to, under `tag` or (without one) its digest.

        Raises Denied in docker's words, NotFound where the source lacks a document, Unavailable and others.
        """
        return await self._push(target, tag, 0)

    async def _push(self, target: Descriptor, tag: str, depth: int) -> Digest:
        if depth > MOST_NESTED:
            raise InvalidArgument("the index nests too deeply")
        content = await self._source.document(Digest(target.digest))
        try:
            if is_index(content, target.media_type):
                await self._children(content, depth)
            else:
                await self._blobs(content)
            return await self._client.put_manifest(tag or target.digest, content, target.media_type)
        except (Denied, Unauthenticated) as error:
            raise Denied(str(error).partition(": ")[2] or str(error)) from None

    async def _children(self, content: bytes, depth: int) -> None:
        for child in parse(content, Index, "index").manifests:
            await self._push(child, "", depth + 1)

    async def _blobs(self, content: bytes) -> None:
        manifest = parse(content, Manifest, "manifest")
        wanted = [blob for blob in (*manifest.layers, manifest.config) if not blob.urls]
        fresh = [blob for blob in {blob.digest: blob for blob in wanted}.values() if blob.digest not in self._pushed]
        self._pushed.update(blob.digest for blob in fresh)
        for blob in fresh:
            self._report(blob, "waiting", 0)
        try:
            async with asyncio.TaskGroup() as group:
                for blob in fresh:
                    group.create_task(self._blob(blob))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _blob(self, blob: Descriptor) -> None:
        if self._free.locked():
            self._report(blob, "queued", 0)
        async with self._free:
            await upload(self._client, self._settings, blob, self._source, self._report)
