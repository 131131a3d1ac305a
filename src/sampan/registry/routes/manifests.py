"""Manifests by tag or digest (end-3, 7, 9)."""

from __future__ import annotations

from sampan.errors import Conflict
from sampan.http import Response
from sampan.oci.digest import Digest
from sampan.registry.errors import RegistryError
from sampan.registry.fields import accepts, not_modified
from sampan.registry.manifests import SIZE_LIMIT
from sampan.registry.names import check_digest, check_tag, is_tag
from sampan.registry.repositories import StoredManifest
from sampan.registry.routes import Call, Resource
from sampan.registry.storage import ABSENT

TAGS_LIMIT = 100
"""Tags that one push may set."""


async def get(call: Call) -> Response:
    """A manifest as it was pushed; HEAD has the fields alone."""
    found = await _find(call)
    etag = f'"{found.digest}"'
    fields = {"Docker-Content-Digest": found.digest, "ETag": etag}
    if not_modified(call.request, etag):
        return Response(304, fields)
    if not accepts(call.request, found.media_type):
        raise RegistryError(
            "MANIFEST_UNKNOWN", f"the manifest is of type {found.media_type}, which the Accept field leaves out"
        )
    return Response(200, {**fields, "Content-Type": found.media_type}, found.content)


async def put(call: Call) -> Response:
    """Store a manifest under a tag, or under its digest with any number of tags."""
    reference, request = call.params["reference"], call.request
    if request.body.length is not None and request.body.length > SIZE_LIMIT:
        raise RegistryError("SIZE_INVALID", f"a manifest has at most {SIZE_LIMIT} bytes", status=413)
    digest = check_digest(reference) if ":" in reference else None
    tags = _tags(call) if digest else [check_tag(reference)]
    expected = await _expected(call, tags)
    content = await request.body.read_all(SIZE_LIMIT)
    algorithm = digest.partition(":")[0] if digest else _algorithm(call)
    _check_digest(content, digest, algorithm)
    content_type = request.headers.get("content-type") or ""
    try:
        parsed = await call.registry.put_manifest(call.name, content, content_type, algorithm, tags, expected)
    except Conflict as error:
        raise RegistryError("MANIFEST_INVALID", str(error), status=412) from None
    fields = {
        "Location": f"/v2/{call.name}/manifests/{reference}",
        "Docker-Content-Digest": parsed.digest,
        "ETag": f'"{parsed.digest}"',
    }
    if parsed.subject is not None:
        fields["OCI-Subject"] = parsed.subject
    if digest and tags:
        fields["OCI-Tag"] = ", ".join(tags)
    return Response(201, fields)


async def delete(call: Call) -> Response:
    """Remove a tag, or a manifest with its tags."""
    reference = call.params["reference"]
    if ":" in reference:
        await call.registry.remove_manifest(call.name, check_digest(reference))
    else:
        await call.registry.remove_tag(call.name, check_tag(reference))
    return Response(202, {"Content-Length": "0"})


async def _find(call: Call) -> StoredManifest:
    reference = call.params["reference"]
    if ":" in reference:
        digest: Digest | None = check_digest(reference)
    else:
        digest = await call.registry.resolve(call.name, reference) if is_tag(reference) else None
    found = await call.registry.manifest(call.name, digest) if digest else None
    if found is None:
        raise RegistryError("MANIFEST_UNKNOWN", detail={"name": call.name, "reference": reference})
    return found


def _tags(call: Call) -> list[str]:
    tags = [check_tag(tag) for tag in call.request.query.get_all("tag")]
    if len(tags) > TAGS_LIMIT:
        raise RegistryError("MANIFEST_INVALID", f"at most {TAGS_LIMIT} tags at once", status=414)
    return list(dict.fromkeys(tags))


def _algorithm(call: Call) -> str:
    """The algorithm of a manifest that is pushed by tag: what the client asks for."""
    wanted = call.request.query.get("digest") or call.request.query.get("digest-algorithm", "sha256") + ":"
    algorithm = wanted.partition(":")[0]
    if algorithm not in ("sha256", "sha384", "sha512"):
        raise RegistryError("DIGEST_INVALID", f"unsupported digest algorithm {algorithm!r}")
    return algorithm


def _check_digest(content: bytes, digest: Digest | None, algorithm: str) -> None:
    import hashlib

    if digest is not None and hashlib.new(algorithm, content).hexdigest() != digest.partition(":")[2]:
        raise RegistryError("DIGEST_INVALID", "the manifest does not have the digest in the path")


async def _expected(call: Call, tags: list[str]) -> str | None:
    """The digest that the tag must have before: If-Match, or none by `If-None-Match: *`; None without conditions."""
    if not tags:
        return None
    if call.request.headers.get("if-none-match") == "*":
        return ABSENT
    wanted = call.request.headers.get("if-match")
    return None if wanted is None or wanted == "*" else wanted.strip('"')


MANIFEST = Resource(
    "/v2/{name}/manifests/{reference}",
    {"GET": get, "HEAD": get, "PUT": put, "DELETE": delete},
    {"GET": "pull", "HEAD": "pull", "PUT": "push", "DELETE": "delete"},
)
