"""Images on this machine: list, inspect, history, tag, remove, save, load, prune."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Response
from sampan.oci.platform import Platform
from sampan.server.call import Call
from sampan.server.filters import Filters
from sampan.server.platforms import json_platform, json_platforms
from sampan.server.replies import TAR, empty_reply, progress_reply, settled, stream_reply
from sampan.server.table import Operation
from sampan.wire.base import Document
from sampan.wire.images import DeleteItem, HistoryItem, ImageInspect, ImageSummary, PruneReport


class ImageBackend(Protocol):
    """What the routes ask of images; `ref` is a name, a digest, an id or the beginning of one."""

    def list(
        self, all: bool, filters: Filters, shared_size: bool, manifests: bool
    ) -> Sequence[ImageSummary] | Awaitable[Sequence[ImageSummary]]: ...

    def inspect(
        self, ref: str, platform: Platform | None, manifests: bool
    ) -> ImageInspect | Awaitable[ImageInspect]: ...

    def history(
        self, ref: str, platform: Platform | None
    ) -> Sequence[HistoryItem] | Awaitable[Sequence[HistoryItem]]: ...

    async def tag(self, ref: str, repo: str, tag: str) -> None: ...

    async def remove(
        self, ref: str, force: bool, noprune: bool, platforms: Sequence[Platform]
    ) -> Sequence[DeleteItem]: ...

    async def save(self, refs: Sequence[str], platforms: Sequence[Platform]) -> AsyncIterator[bytes]:
        """A tar of the images; the await finds them."""

    def load(
        self, body: AsyncIterator[bytes], quiet: bool, platforms: Sequence[Platform]
    ) -> AsyncIterator[Document | bytes]:
        """Progress; the last of it says what was loaded."""

    async def prune(self, filters: Filters) -> PruneReport: ...


async def list_images(images: ImageBackend, call: Call) -> Response:
    """ImageList."""
    found = images.list(
        call.flag("all"),
        call.filters(),
        call.version >= (1, 42) and call.flag("shared-size"),
        call.version >= (1, 47) and call.flag("manifests"),
    )
    return call.reply(await settled(found))


async def inspect(images: ImageBackend, call: Call) -> Response:
    """ImageInspect."""
    platform = json_platform(call) if call.version >= (1, 49) else None
    manifests = call.version >= (1, 48) and call.flag("manifests")
    return call.reply(await settled(images.inspect(call["name"], platform, manifests)))


async def history(images: ImageBackend, call: Call) -> Response:
    """ImageHistory."""
    platform = json_platform(call) if call.version >= (1, 48) else None
    return call.reply(await settled(images.history(call["name"], platform)))


async def tag(images: ImageBackend, call: Call) -> Response:
    """ImageTag."""
    await images.tag(call["name"], call.text("repo"), call.text("tag"))
    return empty_reply(201)


async def remove(images: ImageBackend, call: Call) -> Response:
    """ImageDelete."""
    platforms = json_platforms(call, "platforms") if call.version >= (1, 50) else []
    removed = await images.remove(call["name"], call.flag("force"), call.flag("noprune"), platforms)
    return call.reply(removed)


async def save(images: ImageBackend, call: Call) -> Response:
    """ImageGet and ImageGetAll."""
    refs = [call["name"]] if "name" in call.params else call.texts("names")
    platforms = _one_platform(call)
    return stream_reply(await images.save(refs, platforms), TAR)


async def load(images: ImageBackend, call: Call) -> Response:
    """ImageLoad."""
    platforms = _one_platform(call)
    quiet = call.flag("quiet", default=True)
    return await progress_reply(images.load(aiter(call.request.body), quiet, platforms))


def _one_platform(call: Call) -> list[Platform]:
    """The platform to save or load, if it is named. Raises InvalidArgument for several."""
    platforms = json_platforms(call, "platform") if call.version >= (1, 48) else []
    if len(platforms) > 1:
        raise InvalidArgument("multiple platform parameters not supported")
    return platforms


async def prune(images: ImageBackend, call: Call) -> Response:
    """ImagePrune."""
    return call.reply(await images.prune(call.filters()))


OPERATIONS: tuple[Operation[ImageBackend], ...] = (
    Operation("GET", "/images/json", "ImageList", list_images),
    Operation("GET", "/images/get", "ImageGetAll", save),
    Operation("POST", "/images/load", "ImageLoad", load),
    Operation("POST", "/images/prune", "ImagePrune", prune),
    Operation("GET", "/images/{name}/json", "ImageInspect", inspect),
    Operation("GET", "/images/{name}/history", "ImageHistory", history),
    Operation("GET", "/images/{name}/get", "ImageGet", save),
    Operation("POST", "/images/{name}/tag", "ImageTag", tag),
    Operation("DELETE", "/images/{name}", "ImageDelete", remove),
)
