"""Registries, as the API reaches them: push, search, looking at an image that is not here, checking credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sampan.engine.images.progress import Lines, push_report
from sampan.engine.images.sources import credentials_of
from sampan.errors import InvalidArgument, NotFound, Unauthenticated
from sampan.images import progress
from sampan.images.service import Images
from sampan.oci.digest import short_id
from sampan.oci.documents import ImageConfig, Index, Manifest, is_index, parse
from sampan.oci.platform import Platform
from sampan.oci.reference import DEFAULT_DOMAIN, Reference
from sampan.wire import codec
from sampan.wire.distribution import AuthConfig, AuthResponse, Descriptor, DistributionInspect
from sampan.wire.distribution import Platform as WirePlatform
from sampan.wire.filters import refuse_unknown
from sampan.wire.images import SearchItem
from sampan.wire.progress import ProgressDetail, ProgressMessage

if TYPE_CHECKING:
    from sampan.images.remote import Credentials
    from sampan.images.remote.client import RemoteManifest
    from sampan.images.transfers import Transfers
from sampan.wire.numbers import whole

_CONFIG_LIMIT = 16 << 20
_SEARCH_FILTERS = ("is-official", "is-automated", "stars")


class Registries:
    """One per daemon."""

    def __init__(self, images: Images, transfers: Callable[[], Transfers]) -> None:
        self._images = images
        self._transfers = transfers

    def push(
        self, image: str, tag: str, platform: Platform | None, credentials: AuthConfig | None
    ) -> AsyncIterator[bytes]:
        """Push a tag, or all tags of a repository where none is given. Gives docker's lines."""
        reference = Reference.parse(image)
        if reference.digest:
            raise InvalidArgument("cannot push a digest reference")
        names = [reference.with_tag(tag)] if tag else self._local_tags(reference)
        lines = Lines()

        async def work() -> None:
            lines.say(progress.status(f"The push refers to repository [{reference.name}]"))
            for name in names:
                await self._push(name, platform, credentials_of(credentials), lines)

        return lines.of(work)

    def _local_tags(self, reference: Reference) -> list[Reference]:
        if reference.tag:
            return [reference]
        found = [t.reference for t in self._images.catalog.tags() if t.reference.name == reference.name]
        names = [name for name in found if name.tag]
        if not names:
            raise no_such_tag(reference)
        return names

    async def _push(
        self, name: Reference, platform: Platform | None, credentials: Credentials | None, lines: Lines
    ) -> None:
        target = self._images.catalog.target(name.key())
        if target is None:
            raise no_such_tag(name)
        image = self._images.resolve(name.familiar, platform)
        blobs = self._images.layer_blobs(image)
        shown = {blob: short_id(diff) for blob, diff in zip(blobs, image.config.diff_ids, strict=True)}
        report = push_report(lines, shown)
        pushed = await self._transfers().push(name, image, target, platform, credentials, report)
        lines.say(progress.status(f"{name.tag}: digest: {pushed.digest} size: {pushed.size}"))
        aux = {"Tag": name.tag, "Digest": pushed.digest, "Size": pushed.size}
        lines.say(codec.encode(ProgressMessage(progress_detail=ProgressDetail(), aux=aux)) + b"\r\n")
        self._images.emit(image, "push", name.familiar_name, name.familiar)

    async def search(
        self, term: str, limit: int, filters: Mapping[str, list[str]], credentials: AuthConfig | None
    ) -> Sequence[SearchItem]:
        """GET /images/search: docker.io's search, or that of the registry that the term begins with."""
        refuse_unknown(filters, _SEARCH_FILTERS)
        found = await self._transfers().remote.search(term, limit, credentials_of(credentials))
        official = [value.lower() in ("1", "t", "true") for value in filters.get("is-official", ())]
        stars = [number for value in filters.get("stars", ()) if (number := whole(value)) is not None]
        return [
            SearchItem(
                name=item.name,
                description=item.description,
                star_count=item.star_count,
                is_official=item.is_official,
                is_automated=False,
            )
            for item in found
            if all(item.is_official is wanted for wanted in official) and all(item.star_count >= n for n in stars)
        ]

    async def distribution(self, image: str, credentials: AuthConfig | None) -> DistributionInspect:
        """GET /distribution/{name}/json: what a registry has under a name, without pulling it."""
        reference = Reference.parse(image).with_default_tag()
        client = self._transfers().remote.repository(reference, credentials_of(credentials))
        found = await client.manifest(reference.digest or reference.tag or "latest")
        if is_index(found.content, found.media_type):
            entries = parse(found.content, Index, "index").manifests
            platforms = [entry.platform for entry in entries if entry.platform]
            shown = [
                WirePlatform(architecture=p.architecture, os=p.os, os_version=p.os_version, variant=p.variant)
                for p in platforms
            ]
        else:
            manifest = parse(found.content, Manifest, "manifest")
            config = parse(await client.blob(manifest.config.digest, _CONFIG_LIMIT), ImageConfig, "image config")
            shown = [WirePlatform(architecture=config.architecture, os=config.os, variant=config.variant)]
        return DistributionInspect(descriptor=_described(found), platforms=shown)

    async def authenticate(self, credentials: AuthConfig) -> AuthResponse:
        """POST /auth: try credentials at their registry. Raises Unauthenticated."""
        domain = credentials.server_address.removeprefix("https://").removeprefix("http://").partition("/")[0]
        if domain in ("", "index.docker.io", "registry-1.docker.io"):
            domain = DEFAULT_DOMAIN
        known = credentials_of(credentials)
        if known is None:
            raise Unauthenticated("no credentials were given")
        try:
            token = await self._transfers().remote.log_in(domain, known)
        except NotFound as error:
            raise Unauthenticated(f"{domain} is no registry that can be logged in to: {error}") from None
        return AuthResponse(status="Login Succeeded", identity_token=token)


def _described(found: RemoteManifest) -> Descriptor:
    return Descriptor(media_type=found.media_type, digest=found.digest, size=found.size)


def no_such_tag(name: Reference) -> NotFound:
    """Docker's words for a push of what is not there."""
    return NotFound(f"An image does not exist locally with the tag: {name.familiar_name}")
