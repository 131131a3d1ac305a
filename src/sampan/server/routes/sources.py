"""Images from elsewhere: pulled from a registry, or imported from the tar of a root file system."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Response
from sampan.server.call import Call
from sampan.server.credentials import registry_credentials
from sampan.server.replies import progress_reply
from sampan.server.table import Operation
from sampan.wire.base import Document
from sampan.wire.distribution import AuthConfig


class SourceBackend(Protocol):
    """What the route asks. Both give their progress."""

    def pull(
        self, image: str, tag: str, platform: str | None, credentials: AuthConfig | None
    ) -> AsyncIterator[Document | bytes]: ...

    def import_(
        self,
        source: str | AsyncIterator[bytes],
        *,
        repo: str,
        tag: str,
        message: str,
        changes: Sequence[str],
        platform: str | None,
    ) -> AsyncIterator[Document | bytes]:
        """`source` is a tar or the URL of one."""


async def create(images: SourceBackend, call: Call) -> Response:
    """ImageCreate: a pull, or an import where `fromSrc` says from what."""
    platform = call.text("platform") if call.version >= (1, 32) else ""
    image, source = call.text("fromImage"), call.text("fromSrc")
    if image:
        credentials = registry_credentials(call.request)
        return await progress_reply(images.pull(image, call.text("tag"), platform or None, credentials))
    if not source:
        raise InvalidArgument("say what to create the image from: fromImage (a name) or fromSrc (- or a URL)")
    return await progress_reply(
        images.import_(
            aiter(call.request.body) if source == "-" else source,
            repo=call.text("repo"),
            tag=call.text("tag"),
            message=call.text("message"),
            changes=call.texts("changes"),
            platform=platform or None,
        )
    )


OPERATIONS: tuple[Operation[SourceBackend], ...] = (Operation("POST", "/images/create", "ImageCreate", create),)
