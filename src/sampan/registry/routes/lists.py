"""What there is: the API itself, the catalog, tags, referrers (end-1, 8, 12)."""

from __future__ import annotations

from bisect import bisect_right
from urllib.parse import quote

import msgspec

from sampan.http import Response
from sampan.oci import mediatypes
from sampan.oci.documents import Descriptor
from sampan.registry.auth import CATALOG
from sampan.registry.fields import PAGE_LIMIT, next_link, page
from sampan.registry.manifests import SIZE_LIMIT
from sampan.registry.names import check_digest
from sampan.registry.routes import Call, Resource

JSON = {"Content-Type": "application/json"}


async def base(call: Call) -> Response:
    """The registry speaks the API."""
    return Response(200, JSON, b"{}")


async def catalog(call: Call) -> Response:
    """Names of the repositories that the sender may read."""
    count, last = page(call.request)
    names = [name for name in await call.registry.names() if call.access.sees(name)]
    names = names[bisect_right(names, last) :] if last else names
    chosen = names if count is None else names[:count]
    link = next_link("/v2/_catalog", count, chosen[-1]) if chosen and len(chosen) < len(names) else {}
    return Response(200, {**JSON, **link}, msgspec.json.encode({"repositories": chosen}))


async def tags(call: Call) -> Response:
    """Tags of a repository, in the order of their bytes."""
    count, last = page(call.request)
    limit = PAGE_LIMIT if count is None else count
    found = await call.registry.tags(call.name, last, limit + 1)
    chosen = found[:limit]
    link = next_link(f"/v2/{call.name}/tags/list", count, chosen[-1]) if chosen and len(found) > limit else {}
    return Response(200, {**JSON, **link}, msgspec.json.encode({"name": call.name, "tags": chosen}))


async def referrers(call: Call) -> Response:
    """An index of the manifests whose subject this digest is."""
    subject = check_digest(call.params["digest"])
    wanted = call.request.query.get("artifactType")
    manifests: list[Descriptor] = []
    room = SIZE_LIMIT - 1024
    link: dict[str, str] = {}
    async for descriptor in call.registry.referrers(call.name, subject, call.request.query.get("last")):
        if wanted and descriptor.artifact_type != wanted:
            continue
        room -= len(msgspec.json.encode(descriptor)) + 1
        if room < 0:
            more = f"&artifactType={quote(wanted, safe='')}" if wanted else ""
            path = f"/v2/{call.name}/referrers/{subject}"
            link = next_link(path, None, manifests[-1].digest, more)
            break
        manifests.append(descriptor)
    document = {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": manifests}
    applied = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
    fields = {"Content-Type": mediatypes.OCI_INDEX, **applied, **link}
    return Response(200, fields, msgspec.json.encode(document))


BASE = Resource("/v2/", {"GET": base, "HEAD": base})
CATALOG_LIST = Resource("/v2/_catalog", {"GET": catalog}, {"GET": CATALOG})
TAGS = Resource("/v2/{name}/tags/list", {"GET": tags}, {"GET": "pull"})
REFERRERS = Resource("/v2/{name}/referrers/{digest}", {"GET": referrers}, {"GET": "pull"})
