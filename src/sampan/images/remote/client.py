"""One repository of a registry: the distribution API's endpoints as methods.

Reads go to the mirrors first, where there are any, and on to the next place when one fails; writes go to the registry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
import msgspec

from sampan.errors import Conflict, DataLoss, InvalidArgument, NotFound, SampanError, Upstream
from sampan.images.remote.answers import (
    Catalog,
    Referring,
    RemoteManifest,
    TagList,
    UploadPlace,
    declared_type,
    decoded,
    length_of,
    named,
    next_page,
    received,
    referrers_tag,
    start_of,
    told_digest,
    verified_digest,
)
from sampan.images.remote.auth import CATALOG, Scope
from sampan.images.remote.connection import Connection
from sampan.images.remote.wire import Body
from sampan.oci import mediatypes
from sampan.oci.digest import Digest, hasher, parse_digest
from sampan.oci.documents import Descriptor, Index, parse
from sampan.oci.reference import Reference

__all__ = ["ACCEPTED", "RegistryClient", "RemoteManifest", "UploadPlace"]

MANIFEST_LIMIT = 16 << 20
ACCEPTED = ", ".join(
    (
        mediatypes.OCI_INDEX,
        mediatypes.OCI_MANIFEST,
        mediatypes.DOCKER_MANIFEST_LIST,
        mediatypes.DOCKER_MANIFEST,
        mediatypes.DOCKER_MANIFEST_V1,
    )
)
BINARY = "application/octet-stream"
_MOST_PAGES = 10_000
_LIST_LIMIT = 256 << 20
T = TypeVar("T")


Places = Callable[[], Awaitable[list[Connection]]]


class RegistryClient:
    """See the module. Made by `Remote.repository`."""

    def __init__(self, reference: Reference, places: Places) -> None:
        self.reference = reference
        self.name = reference.path
        self._places = places
        self._pull = (str(Scope(self.name, ("pull",))),)
        self._push: tuple[str, ...] = (str(Scope(self.name, ("pull", "push"))),)
        self._delete = (str(Scope(self.name, ("delete", "pull"))),)

    # manifests

    async def manifest(self, reference: str) -> RemoteManifest:
        """A manifest by tag or digest. Raises NotFound, Denied, Unauthenticated, Unavailable, DataLoss and others."""
        return await self._anywhere(lambda place: self._manifest(place, reference, "GET"))

    async def head(self, reference: str) -> RemoteManifest:
        """Its digest, type and size alone."""
        return await self._anywhere(lambda place: self._manifest(place, reference, "HEAD"))

    async def put_manifest(self, reference: str, content: bytes, media_type: str) -> Digest:
        """Store a manifest; returns its digest. A subject that the registry does not know of gets its referrers tag."""
        what = f"pushing manifest {self.reference.familiar_name}:{reference}"
        headers = {"Content-Type": media_type}
        place = f"/v2/{self.name}/manifests/{reference}"
        connection = await self._registry()
        async with connection.request(
            "PUT", place, what, scopes=self._push, headers=headers, body=content, accept=(200, 201)
        ) as reply:
            digest = verified_digest(content, reply, reference)
            handled = "OCI-Subject" in reply.headers
        if not handled:
            await self._note_referrer(content, media_type, digest)
        return digest

    async def delete_manifest(self, reference: str) -> None:
        """Remove a manifest (by digest) or a tag, where the registry allows that."""
        await self._delete_at(f"/v2/{self.name}/manifests/{reference}", f"deleting {reference}")

    async def _manifest(self, connection: Connection, reference: str, method: str) -> RemoteManifest:
        what = named(self.reference, reference)
        place = f"/v2/{self.name}/manifests/{reference}"
        headers = {"Accept": ACCEPTED}
        async with connection.request(method, place, what, scopes=self._pull, headers=headers) as reply:
            content = b"" if method == "HEAD" else await connection.read(reply, MANIFEST_LIMIT)
            media_type = reply.headers.get("Content-Type", "").partition(";")[0].strip()
            if method == "HEAD":
                told = told_digest(reply) or (parse_digest(reference) if ":" in reference else None)
                if told is None:
                    return await self._manifest(connection, reference, "GET")
                return RemoteManifest(told, media_type, length_of(reply))
            digest = verified_digest(content, reply, reference)
        return RemoteManifest(digest, declared_type(content, media_type), len(content), content)

    # blobs

    async def blob_size(self, digest: str, writing: bool = False) -> int | None:
        """A blob's size, None where the repository does not have it. `writing` asks the registry, not its mirrors."""

        async def ask(connection: Connection) -> int | None:
            place = f"/v2/{self.name}/blobs/{digest}"
            scopes = self._push if writing else self._pull
            async with connection.request(
                "HEAD", place, f"asking for {digest}", scopes=scopes, accept=(200, 404)
            ) as reply:
                return length_of(reply) if reply.status == 200 else None

        return await ask(await self._registry()) if writing else await self._anywhere(ask)

    @asynccontextmanager
    async def open_blob(self, digest: str, offset: int = 0) -> AsyncIterator[tuple[AsyncIterator[bytes], int]]:
        """A blob's bytes as they come, and from where on: 0 where the registry knows no ranges."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        place = f"/v2/{self.name}/blobs/{digest}"

        async def ask(connection: Connection) -> tuple[aiohttp.ClientResponse, AsyncIterator[bytes]]:
            reply = await connection.send(
                "GET",
                place,
                f"downloading {digest}",
                scopes=self._pull,
                headers=headers,
                accept=(200, 206),
                attempts=1,
            )
            return reply, connection.pieces(reply)

        reply, pieces = await self._anywhere(ask)
        try:
            yield pieces, start_of(reply, offset)
        finally:
            reply.release()

    async def blob(self, digest: str, limit: int) -> bytes:
        """A small blob whole, verified. Raises DataLoss, and Upstream beyond `limit` bytes."""

        async def fetch(connection: Connection) -> bytes:
            place = f"/v2/{self.name}/blobs/{digest}"
            async with connection.request("GET", place, f"downloading {digest}", scopes=self._pull) as reply:
                return await connection.read(reply, limit)

        content = await self._anywhere(fetch)
        state = hasher(parse_digest(digest))
        state.update(content)
        if state.hexdigest() != digest.partition(":")[2]:
            raise DataLoss(f"{self.reference.familiar_name} sent other bytes for {digest}")
        return content

    async def delete_blob(self, digest: str) -> None:
        """Remove a blob from the repository, where the registry allows that."""
        await self._delete_at(f"/v2/{self.name}/blobs/{digest}", f"deleting {digest}")

    # uploads

    async def begin_upload(self, digest: str, origin: str = "") -> UploadPlace | None:
        """Where to send a blob; None when it was mounted from `origin` (or was there) and need not be sent."""
        query = f"?mount={quote(digest, safe=':')}&from={quote(origin, safe='/')}" if origin else ""
        if not origin and not digest.startswith("sha256:"):
            query = f"?digest-algorithm={digest.partition(':')[0]}"
        scopes = self._push
        if origin:
            scopes = (*scopes, str(Scope(origin, ("pull",))))
        place = f"/v2/{self.name}/blobs/uploads/{query}"
        connection = await self._registry()
        async with connection.request(
            "POST", place, f"beginning to push {digest}", scopes=scopes, body=b"", accept=(201, 202)
        ) as reply:
            return None if reply.status == 201 else UploadPlace(self._location(reply))

    async def send(self, place: UploadPlace, body: Body, length: int | None, ranged: bool = False) -> UploadPlace:
        """Append to an upload, in one try. Raises Broken, and Conflict when the registry stands elsewhere."""
        headers = {"Content-Type": BINARY}
        if length is not None:
            headers["Content-Length"] = str(length)
        if ranged and length:
            headers["Content-Range"] = f"{place.offset}-{place.offset + length - 1}"
        connection = await self._registry()
        async with connection.request(
            "PATCH", place.url, "pushing", scopes=self._push, headers=headers, body=body, accept=(202, 416), attempts=1
        ) as reply:
            if reply.status == 416:
                raise Conflict("the registry has other bytes of this upload than we sent")
            return UploadPlace(self._location(reply), place.offset + (length or 0))

    async def upload_status(self, place: UploadPlace) -> UploadPlace:
        """How far an upload has come. Raises NotFound when the registry has forgotten it."""
        connection = await self._registry()
        async with connection.request(
            "GET", place.url, "asking for the upload", scopes=self._push, accept=(202, 204)
        ) as reply:
            return UploadPlace(self._location(reply), received(reply))

    async def end_upload(self, place: UploadPlace, digest: str) -> None:
        """Make an upload the blob `digest`."""
        joint = "&" if urlsplit(place.url).query else "?"
        url = f"{place.url}{joint}digest={quote(digest, safe=':')}"
        connection = await self._registry()
        headers = {"Content-Type": BINARY, "Content-Length": "0"}
        async with connection.request(
            "PUT", url, f"pushing {digest}", scopes=self._push, headers=headers, body=b"", accept=(201, 204)
        ):
            pass

    async def cancel_upload(self, place: UploadPlace) -> None:
        """Tell the registry that an upload will not go on."""
        connection = await self._registry()
        async with connection.request(
            "DELETE", place.url, "cancelling", scopes=self._push, accept=(200, 202, 204, 404, 405), attempts=1
        ):
            pass

    # lists

    async def tags(self) -> list[str]:
        """Every tag of the repository. Raises NotFound."""

        async def ask(connection: Connection) -> list[str]:
            found: list[str] = []
            async for body in self._pages(connection, f"/v2/{self.name}/tags/list", self._pull):
                found += decoded(body, TagList).tags or []
            return found

        return await self._anywhere(ask)

    async def catalog(self) -> list[str]:
        """Names of the registry's repositories, where it tells them."""
        connection = await self._registry()
        found: list[str] = []
        async for body in self._pages(connection, "/v2/_catalog", (CATALOG,)):
            found += decoded(body, Catalog).repositories or []
        return found

    async def referrers(self, digest: str, artifact_type: str = "") -> list[Descriptor]:
        """Manifests whose subject this is, by the referrers API, else by the referrers tag."""
        connection = await self._registry()
        query = f"?artifactType={quote(artifact_type, safe='')}" if artifact_type else ""
        found: list[Descriptor] = []
        try:
            async for body in self._pages(connection, f"/v2/{self.name}/referrers/{digest}{query}", self._pull):
                found += decoded(body, Index).manifests
        except NotFound:
            found = await self._tagged_referrers(digest)
        return [entry for entry in found if not artifact_type or entry.artifact_type == artifact_type]

    async def _pages(self, connection: Connection, place: str, scopes: tuple[str, ...]) -> AsyncIterator[bytes]:
        what = self.reference.familiar_name
        seen: set[str] = set()
        size = 0
        while place:
            async with connection.request("GET", place, what, scopes=scopes) as reply:
                body = await connection.read(reply, MANIFEST_LIMIT)
                seen |= {connection.url(place), str(reply.url)}
                place = next_page(reply)
            size += len(body)
            if place in seen or len(seen) > _MOST_PAGES or size > _LIST_LIMIT:
                raise Upstream(f"{what}: the registry's list does not end")
            yield body

    # referrers where the registry does not keep them (distribution specification, "Referrers Tag Schema")

    async def _tagged_referrers(self, digest: str) -> list[Descriptor]:
        try:
            found = await self.manifest(referrers_tag(digest))
            return parse(found.content, Index, "index of referrers").manifests
        except (NotFound, InvalidArgument):
            return []

    async def _note_referrer(self, content: bytes, media_type: str, digest: Digest) -> None:
        head = decoded(content, Referring)
        if head.subject is None:
            return
        known = await self._tagged_referrers(head.subject.digest)
        if any(entry.digest == digest for entry in known):
            return
        kind = head.artifact_type or (head.config.media_type if head.config else "")
        entry = Descriptor(
            media_type=media_type, digest=digest, size=len(content), artifact_type=kind, annotations=head.annotations
        )
        index = Index(schema_version=2, media_type=mediatypes.OCI_INDEX, manifests=[*known, entry])
        await self.put_manifest(referrers_tag(head.subject.digest), msgspec.json.encode(index), mediatypes.OCI_INDEX)

    # places

    async def _registry(self) -> Connection:
        return (await self._places())[-1]

    async def _anywhere(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """The first place's answer; where a mirror fails, whatever the reason, the next place's."""
        places = await self._places()
        for place in places[:-1]:
            try:
                return await work(place)
            except SampanError:
                continue
        return await work(places[-1])

    async def _delete_at(self, place: str, what: str) -> None:
        connection = await self._registry()
        async with connection.request("DELETE", place, what, scopes=self._delete, accept=(200, 202, 204)):
            pass

    def _location(self, reply: aiohttp.ClientResponse) -> str:
        location = reply.headers.get("Location")
        if not location:
            raise Upstream("the registry's answer does not say where the upload goes")
        try:
            return urljoin(str(reply.url), location)
        except ValueError:
            raise Upstream(f"the registry wants an upload sent to {location!r}, which is no address") from None
