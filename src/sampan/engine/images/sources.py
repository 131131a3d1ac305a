"""Images from elsewhere: imported from a tar, or pulled from a registry."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from sampan.engine.images.progress import Lines, PullReport
from sampan.engine.images.service import reader_of
from sampan.errors import InvalidArgument, Upstream
from sampan.images import progress
from sampan.images.service import Images
from sampan.oci.digest import parse_digest
from sampan.oci.documents import Descriptor
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference
from sampan.wire.distribution import AuthConfig

if TYPE_CHECKING:  # they bring an HTTP client along, which a daemon needs at its first pull and not before
    from sampan.images.remote import Credentials, Stage
    from sampan.images.transfers import Transfers

_CHUNK = 1 << 20
_TIMEOUT = 60


class Sources:
    """POST /images/create."""

    def __init__(self, images: Images, transfers: Callable[[], Transfers]) -> None:
        self._images = images
        self._transfers = transfers

    def pull(self, image: str, tag: str, platform: str | None, credentials: AuthConfig | None) -> AsyncIterator[bytes]:
        """Pull an image, or all tags of a repository where none is given. Gives docker's lines."""
        reference = wanted_reference(image, tag)
        wanted = Platform.parse(platform) if platform else Platform.host()
        lines = Lines()

        async def work() -> None:
            known = credentials_of(credentials)
            if not reference.is_name_only:
                await self._pull(reference, wanted, platform is not None, known, lines)
                return
            for name in await self._transfers().tags(reference, known):
                await self._pull(reference.with_tag(name), wanted, platform is not None, known, lines)

        return lines.of(work)

    async def _pull(
        self, reference: Reference, platform: Platform, exact: bool, credentials: Credentials | None, lines: Lines
    ) -> None:
        catalog, key = self._images.catalog, reference.key()
        before = catalog.target(key), catalog.tagged(key)
        greeting = progress.status(f"Pulling from {reference.path}", reference.digest or reference.tag or "")
        report = PullReport(lines)
        first = True

        def reported(blob: Descriptor, stage: Stage, done: int, origin: str = "", /) -> None:
            nonlocal first
            if first:
                lines.say(greeting)
                first = False
            report(blob, stage, done)

        pulled = await self._transfers().pull(reference, platform, exact, credentials, reported)
        image = self._images.existing(pulled.image)
        if first:
            lines.say(greeting)
        lines.say(progress.status(f"Digest: {pulled.target}"))
        same = before[0] == pulled.target and before[1] is not None and before[1].id == image.id
        what = "Image is up to date for" if same else "Downloaded newer image for"
        lines.say(progress.status(f"Status: {what} {reference.familiar}"))
        self._images.emit(image, "pull", reference.familiar_name, reference.familiar)

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
        message = message or f"Imported from {source if isinstance(source, str) else '-'}"
        yield await self._images.import_(reader_of(body), repo, tag, message, changes, platform or "")


def wanted_reference(image: str, tag: str) -> Reference:
    """`fromImage` and `tag` (a tag or a digest) as one reference. Raises InvalidArgument."""
    reference = Reference.parse(image)
    if ":" in tag:
        return reference.with_digest(parse_digest(tag))
    return reference.with_tag(tag) if tag else reference


def credentials_of(auth: AuthConfig | None) -> Credentials | None:
    """What a client sent in X-Registry-Auth; None for nothing."""
    if auth is None or not (auth.username or auth.identity_token or auth.registry_token):
        return None
    from sampan.images.remote import Credentials

    return Credentials(auth.username, auth.password, auth.identity_token, auth.registry_token)


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
