"""Images from elsewhere: imported from a tar, or pulled from a registry."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator, Sequence
from urllib.error import URLError
from urllib.request import urlopen

from sampan.engine.images.service import reader_of
from sampan.errors import InvalidArgument, NotImplementedYet, Upstream
from sampan.images.service import Images
from sampan.wire.distribution import AuthConfig

_CHUNK = 1 << 20
_TIMEOUT = 60


class Sources:
    """POST /images/create."""

    def __init__(self, images: Images) -> None:
        self._images = images

    async def pull(
        self, image: str, tag: str, platform: str | None, credentials: AuthConfig | None
    ) -> AsyncIterator[bytes]:
        """Pull an image. Progress as docker's lines."""
        raise NotImplementedYet("pulling from a registry is not there yet: load or import the image")
        yield b""

    async def import_(
        self,
        source: str | AsyncIterator[bytes],
        *,
        repo: str,
        tag: str,
        message: str,
        changes: Sequence[str],
        platform: str | None,
    ) -> AsyncIterator[bytes]:
        """Make an image of the tar of a root file system: the request's body, or what a URL gives.

        Raises InvalidArgument, Upstream when the URL gives nothing.
        """
        body = download(source) if isinstance(source, str) else source
        yield await self._images.import_(reader_of(body), repo, tag, message, changes, platform or "")


async def download(url: str) -> AsyncIterator[bytes]:
    """The bytes behind an http or https URL. Raises InvalidArgument, Upstream."""
    if "://" not in url:
        url = f"http://{url}"
    if not url.lower().startswith(("http://", "https://")):
        raise InvalidArgument(f"can't import from {url}: only http and https URLs")
    try:
        response: http.client.HTTPResponse = await asyncio.to_thread(urlopen, url, None, _TIMEOUT)
    except (URLError, ValueError, OSError) as error:
        raise Upstream(f"can't download {url}: {error}") from None
    with response:
        while chunk := await asyncio.to_thread(response.read, _CHUNK):
            yield chunk
