"""Uploads: begun, continued, ended, asked after, cancelled; blobs mounted (end-4, 5, 6, 11, 13, 14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from sampan.errors import Conflict, NotFound
from sampan.http import ClientGone, Request, Response
from sampan.oci.digest import Digest
from sampan.registry import keys
from sampan.registry.errors import RegistryError
from sampan.registry.fields import content_range
from sampan.registry.names import check_digest, check_name
from sampan.registry.routes import Call, Resource

IDLE_LIMIT = 120.0
"""Seconds that a client may leave us waiting for the next piece of a body."""
_SEARCHED = 1000
"""Repositories that are looked through for a blob to mount when the client does not name one."""


async def begin(call: Call) -> Response:
    """A mount, a whole blob, or the place to send one to."""
    query = call.request.query
    if "mount" in query:
        digest = check_digest(query.get("mount"))
        if await call.registry.mount(call.name, digest, await _sources(call, query.get("from"))):
            return _created(call, digest)
        return _accepted(call, await call.registry.storage.begin(_algorithm_of(digest)), 0)
    if "digest" not in query:
        algorithm = query.get("digest-algorithm", "sha256")
        if algorithm not in keys.ALGORITHMS:
            raise RegistryError("DIGEST_INVALID", f"unsupported digest algorithm {algorithm!r}")
        return _accepted(call, await call.registry.storage.begin(algorithm), 0)
    digest = check_digest(query.get("digest"))
    upload = await call.registry.storage.begin(_algorithm_of(digest))
    return await _finish(call, upload, digest, None)


async def append(call: Call) -> Response:
    """A chunk, or a stream of unknown length."""
    start = content_range(call.request)
    offset = await _append(call, call.params["upload"], start)
    return _accepted(call, call.params["upload"], offset)


async def finish(call: Call) -> Response:
    """The last chunk, if there is one, and the digest of it all."""
    digest = check_digest(call.request.query.get("digest"))
    return await _finish(call, call.params["upload"], digest, content_range(call.request))


async def status(call: Call) -> Response:
    """How far an upload has come."""
    info = await call.registry.storage.upload(call.params["upload"])
    if info is None:
        raise RegistryError("BLOB_UPLOAD_UNKNOWN")
    return Response(204, _place(call, info.id, info.offset))


async def cancel(call: Call) -> Response:
    """Give an upload up."""
    if not await call.registry.storage.abandon(call.params["upload"]):
        raise RegistryError("BLOB_UPLOAD_UNKNOWN")
    return Response(204)


async def _finish(call: Call, upload: str, digest: Digest, start: int | None) -> Response:
    if call.request.body.length != 0:
        await _append(call, upload, start)
    elif start is not None:
        await _check_offset(call, upload, start)
    try:
        await call.registry.commit(call.name, upload, digest)
    except NotFound:
        raise RegistryError("BLOB_UPLOAD_UNKNOWN") from None
    return _created(call, digest)


async def _append(call: Call, upload: str, start: int | None) -> int:
    try:
        return await call.registry.storage.append(upload, _pieces(call.request), start)
    except NotFound:
        raise RegistryError("BLOB_UPLOAD_UNKNOWN") from None
    except Conflict as error:
        info = await call.registry.storage.upload(upload)
        if info is None or start is None or start == info.offset:
            raise
        raise _out_of_order(call, upload, info.offset, str(error)) from None


async def _check_offset(call: Call, upload: str, start: int) -> None:
    info = await call.registry.storage.upload(upload)
    if info is not None and info.offset != start:
        raise _out_of_order(call, upload, info.offset, f"the upload stands at {info.offset}, not at {start}")


def _out_of_order(call: Call, upload: str, offset: int, message: str) -> RegistryError:
    return RegistryError("BLOB_UPLOAD_INVALID", message, status=416, headers=_place(call, upload, offset))


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ClientGone when it stops coming."""
    while piece := await _piece(request):
        yield piece


async def _piece(request: Request) -> bytes:
    try:
        async with asyncio.timeout(IDLE_LIMIT):
            return await request.body.read()
    except TimeoutError:
        raise ClientGone(f"no byte came for {IDLE_LIMIT:.0f} seconds") from None


async def _sources(call: Call, named: str) -> Sequence[str]:
    """Repositories that the blob may be taken from: those that the sender may read."""
    names = [check_name(named)] if named else (await call.registry.known())[:_SEARCHED]
    return [name for name in names if call.access.allows(name, "pull")]


def _algorithm_of(digest: Digest) -> str:
    return digest.partition(":")[0]


def _created(call: Call, digest: Digest) -> Response:
    location = f"/v2/{call.name}/blobs/{digest}"
    return Response(201, {"Location": location, "Docker-Content-Digest": digest})


def _accepted(call: Call, upload: str, offset: int) -> Response:
    return Response(202, _place(call, upload, offset))


def _place(call: Call, upload: str, offset: int) -> dict[str, str]:
    """Range has an end that counts, so an empty upload can't be told from one of one byte: all say 0-0 there."""
    return {
        "Location": f"/v2/{call.name}/blobs/uploads/{upload}",
        "Range": f"0-{max(0, offset - 1)}",
        "Docker-Upload-UUID": upload,
    }


UPLOADS = Resource("/v2/{name}/blobs/uploads/", {"POST": begin}, {"POST": "push"})
UPLOAD = Resource(
    "/v2/{name}/blobs/uploads/{upload}",
    {"GET": status, "HEAD": status, "PATCH": append, "PUT": finish, "DELETE": cancel},
    {"GET": "push", "HEAD": "push", "PATCH": "push", "PUT": "push", "DELETE": "push"},
)
