"""Blobs: reading, asking, deleting (end-2, end-10)."""

from __future__ import annotations

from sampan.http import Response
from sampan.registry.fields import byte_range, not_modified
from sampan.registry.names import check_digest
from sampan.registry.routes import Call, Resource

BINARY = "application/octet-stream"


async def get(call: Call) -> Response:
    """The bytes, or a range of them; HEAD has the fields alone."""
    digest = check_digest(call.params["digest"])
    info = await call.registry.blob(call.name, digest)
    etag = f'"{digest}"'
    fields = {
        "Docker-Content-Digest": digest,
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=31536000",
    }
    if not_modified(call.request, etag):
        return Response(304, fields)
    fields["Content-Type"] = BINARY
    if call.request.method == "HEAD":
        return Response(200, {**fields, "Content-Length": str(info.size)})
    wanted = byte_range(call.request, info.size, etag)
    first, last = wanted or (0, info.size - 1)
    count = last - first + 1
    body = await call.registry.storage.open(digest, first, count)
    if wanted is None:
        return Response(200, _sized(fields, body, count), body)
    fields["Content-Range"] = f"bytes {first}-{last}/{info.size}"
    return Response(206, _sized(fields, body, count), body)


def _sized(fields: dict[str, str], body: object, count: int) -> dict[str, str]:
    """A stream needs its length told; a file has its own."""
    return {**fields, "Content-Length": str(count)} if hasattr(body, "__aiter__") else fields


async def delete(call: Call) -> Response:
    """Take it from this repository."""
    await call.registry.remove_blob(call.name, check_digest(call.params["digest"]))
    return Response(202, {"Content-Length": "0"})


BLOB = Resource(
    "/v2/{name}/blobs/{digest}",
    {"GET": get, "HEAD": get, "DELETE": delete},
    {"GET": "pull", "HEAD": "pull", "DELETE": "delete"},
)
