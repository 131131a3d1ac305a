"""Registries: push, search, what one has of an image, credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Response
from sampan.oci.platform import Platform
from sampan.server.call import Call
from sampan.server.credentials import registry_credentials
from sampan.server.filters import Filters
from sampan.server.platforms import json_platform
from sampan.server.replies import progress_reply
from sampan.server.table import Operation
from sampan.wire.base import Document
from sampan.wire.distribution import AuthConfig, AuthResponse, DistributionInspect
from sampan.wire.images import SearchItem

SEARCH_LIMIT = 25


class RegistryBackend(Protocol):
    """What the routes ask of registries. A push gives its progress."""

    def push(
        self, image: str, tag: str, platform: Platform | None, credentials: AuthConfig | None
    ) -> AsyncIterator[Document | bytes]: ...

    async def search(
        self, term: str, limit: int, filters: Filters, credentials: AuthConfig | None
    ) -> Sequence[SearchItem]: ...

    async def distribution(self, image: str, credentials: AuthConfig | None) -> DistributionInspect: ...

    async def authenticate(self, credentials: AuthConfig) -> AuthResponse: ...


async def push(images: RegistryBackend, call: Call) -> Response:
    """ImagePush."""
    platform = json_platform(call) if call.version >= (1, 46) else None
    return await progress_reply(
        images.push(call["name"], call.text("tag"), platform, registry_credentials(call.request))
    )


async def search(images: RegistryBackend, call: Call) -> Response:
    """ImageSearch."""
    limit = call.number("limit") or SEARCH_LIMIT
    if not 1 <= limit <= 100:
        raise InvalidArgument(f"limit {limit} is outside the range of [1, 100]")
    found = await images.search(call.text("term"), limit, call.filters(), registry_credentials(call.request))
    return call.reply(found)


async def distribution(images: RegistryBackend, call: Call) -> Response:
    """DistributionInspect."""
    return call.reply(await images.distribution(call["name"], registry_credentials(call.request)))


async def authenticate(images: RegistryBackend, call: Call) -> Response:
    """SystemAuth."""
    return call.reply(await images.authenticate(await call.json(AuthConfig)))


OPERATIONS: tuple[Operation[RegistryBackend], ...] = (
    Operation("GET", "/images/search", "ImageSearch", search),
    Operation("POST", "/images/{name}/push", "ImagePush", push),
    Operation("GET", "/distribution/{name}/json", "DistributionInspect", distribution),
    Operation("POST", "/auth", "SystemAuth", authenticate),
)
