"""The images service: what the API's routes call, over `sampan.images`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from sampan.images.bridge import Read
from sampan.images.service import Images
from sampan.oci.platform import Platform
from sampan.wire.images import DeleteItem, HistoryItem, ImageInspect, ImageSummary, PruneReport

Filters = Mapping[str, list[str]]


class ImageService:
    """One per daemon."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def list(self, all: bool, filters: Filters, shared_size: bool, manifests: bool) -> Sequence[ImageSummary]:
        """GET /images/json."""
        return self._images.list(all, filters, shared_size)

    def inspect(self, ref: str, platform: Platform | None, manifests: bool) -> ImageInspect:
        """GET /images/{name}/json."""
        return self._images.inspect(ref, platform)

    def history(self, ref: str, platform: Platform | None) -> Sequence[HistoryItem]:
        """GET /images/{name}/history."""
        return self._images.history(ref, platform)

    async def tag(self, ref: str, repo: str, tag: str) -> None:
        """POST /images/{name}/tag."""
        await self._images.tag(ref, repo, tag)

    async def remove(self, ref: str, force: bool, noprune: bool, platforms: Sequence[Platform]) -> Sequence[DeleteItem]:
        """DELETE /images/{name}."""
        return await self._images.remove(ref, force, not noprune, platforms)

    async def save(self, refs: Sequence[str], platforms: Sequence[Platform]) -> AsyncIterator[bytes]:
        """GET /images/get: the archive; the await finds the images."""
        return await self._images.save(refs, platforms)

    def load(self, body: AsyncIterator[bytes], quiet: bool, platforms: Sequence[Platform]) -> AsyncIterator[bytes]:
        """POST /images/load: progress lines."""
        return self._images.load(reader_of(body), platforms[0] if platforms else None, quiet)

    async def prune(self, filters: Filters) -> PruneReport:
        """POST /images/prune."""
        return await self._images.prune(filters)


def reader_of(body: AsyncIterator[bytes]) -> Read:
    """A body's chunks as `read(limit)`."""

    async def read(limit: int) -> bytes:
        return await anext(body, b"")

    return read
