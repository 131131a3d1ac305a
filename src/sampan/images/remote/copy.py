"""From one registry to another, without a daemon and without keeping anything.

A blob that both registries hold in one place is mounted; others flow from the one answer into the other request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from sampan.errors import InvalidArgument
from sampan.images.remote.client import RegistryClient
from sampan.images.remote.pull import choose
from sampan.images.remote.push import Pusher
from sampan.images.remote.settings import RemoteSettings
from sampan.images.remote.sides import Report, silent
from sampan.oci.digest import Digest
from sampan.oci.documents import Descriptor, Index, is_index, parse
from sampan.oci.platform import Platform

__all__ = ["RegistrySource", "copy"]


class RegistrySource:
    """A repository as a push's source."""

    def __init__(self, client: RegistryClient, origin: str = "") -> None:
        """`origin` is the repository's name where the target is of the same registry."""
        self._client = client
        self._origin = origin

    async def document(self, digest: Digest) -> bytes:
        """See Source."""
        return (await self._client.manifest(digest)).content

    async def read(self, blob: Descriptor, offset: int) -> AsyncIterator[bytes]:
        """See Source."""
        async with self._client.open_blob(blob.digest, offset) as (pieces, start):
            known = offset - start
            async for piece in pieces:
                fresh = piece[min(known, len(piece)) :]
                known -= len(piece) - len(fresh)
                if fresh:
                    yield fresh

    def origins(self, digest: Digest) -> Sequence[str]:
        """See Source."""
        return (self._origin,) if self._origin else ()


async def copy(
    source: RegistryClient,
    reference: str,
    target: RegistryClient,
    tag: str,
    *,
    platform: Platform | None = None,
    settings: RemoteSettings | None = None,
    report: Report = silent,
) -> Digest:
    """Copy what `reference` (a tag or digest) names, byte for byte, to `tag`; returns its digest.

    An index goes with all its images, or as the one of `platform`. Raises as pulls and pushes do.
    """
    found = await source.manifest(reference)
    if platform is not None:
        if not is_index(found.content, found.media_type):
            raise InvalidArgument(f"{reference} has one platform only: leave the platform out")
        found = await source.manifest(choose(parse(found.content, Index, "index"), platform, True).digest)
    same = source.reference.domain == target.reference.domain
    pusher = Pusher(target, RegistrySource(source, source.name if same else ""), report, settings)
    return await pusher.push(Descriptor(media_type=found.media_type, digest=found.digest, size=found.size), tag)
