"""Images: /images, /commit, /build, /auth and /distribution of the Engine API.

`auth` is always the value of the X-Registry-Auth header.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from sampan.client.session import Response, Session, quote
from sampan.wire.disk import BuildPruneReport
from sampan.wire.distribution import AuthConfig, AuthResponse, DistributionInspect
from sampan.wire.images import (
    CommitResponse,
    DeleteItem,
    HistoryItem,
    ImageInspect,
    ImageSummary,
    PruneReport,
    SearchItem,
)

Filters = dict[str, list[str]]
TAR = {"Content-Type": "application/x-tar"}


class Images:
    """The images of one engine; `ref` is a reference or an id."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ls(
        self,
        all: bool = False,
        filters: Filters | None = None,
        digests: bool = False,
        shared_size: bool = False,
        manifests: bool = False,
    ) -> list[ImageSummary]:
        query = {
            "all": all,
            "filters": filters,
            "digests": digests,
            "shared-size": shared_size,
            "manifests": manifests,
        }
        return await self._session.json(list[ImageSummary], "GET", "/images/json", query)

    async def inspect(self, ref: str) -> ImageInspect:
        return await self._session.json(ImageInspect, "GET", _path(ref, "json"))

    async def inspect_raw(self, ref: str, platform: str = "") -> bytes:
        """Return the JSON just as the engine wrote it; `platform` is JSON."""
        return await (await self._session.request("GET", _path(ref, "json"), {"platform": platform})).read()

    async def history(self, ref: str, platform: str = "") -> list[HistoryItem]:
        return await self._session.json(list[HistoryItem], "GET", _path(ref, "history"), {"platform": platform})

    async def tag(self, ref: str, repository: str, tag: str) -> None:
        await self._session.call("POST", _path(ref, "tag"), {"repo": repository, "tag": tag})

    async def remove(
        self, ref: str, force: bool = False, no_prune: bool = False, platforms: list[str] | None = None
    ) -> list[DeleteItem]:
        query = {"force": force, "noprune": no_prune, "platforms": platforms}
        return await self._session.json(list[DeleteItem], "DELETE", f"/images/{quote(ref, '/:@')}", query)

    async def load(self, tar: bytes | AsyncIterator[bytes], quiet: bool = False, platform: str = "") -> Response:
        """Return the progress of loading an archive, one JSON document a line."""
        query = {"quiet": quiet, "platform": platform}
        return await self._session.request("POST", "/images/load", query, tar, TAR)

    async def save(self, refs: list[str], platform: str = "") -> Response:
        """Return an archive of the images."""
        return await self._session.request("GET", "/images/get", {"names": refs, "platform": platform})

    async def import_(
        self,
        source: str,
        tar: bytes | AsyncIterator[bytes] | None,
        repository: str = "",
        tag: str = "",
        message: str = "",
        changes: list[str] | None = None,
        platform: str = "",
    ) -> Response:
        """Return the progress of making an image of a tar; `source` is "-" with a tar, else a URL."""
        query = {
            "fromSrc": source,
            "repo": repository,
            "tag": tag,
            "message": message,
            "changes": changes,
            "platform": platform,
        }
        return await self._session.request("POST", "/images/create", query, tar, TAR if tar is not None else None)

    async def pull(self, name: str, tag: str, platform: str = "", auth: str = "") -> Response:
        """Return the progress of a pull, one JSON document a line; `tag` may be a digest, "" means all tags."""
        query = {"fromImage": name, "tag": tag, "platform": platform}
        return await self._session.request("POST", "/images/create", query, None, _auth(auth))

    async def push(self, name: str, tag: str, platform: str = "", auth: str = "") -> Response:
        """Return the progress of a push, one JSON document a line; `platform` is JSON."""
        query = {"tag": tag, "platform": platform}
        return await self._session.request("POST", _path(name, "push"), query, None, _auth(auth))

    async def search(
        self, term: str, limit: int | None = None, filters: Filters | None = None, auth: str = ""
    ) -> list[SearchItem]:
        from sampan.wire import codec

        query = {"term": term, "limit": limit, "filters": filters}
        response = await self._session.request("GET", "/images/search", query, None, _auth(auth))
        return codec.decode(await response.read(), list[SearchItem])

    async def prune(self, filters: Filters | None = None) -> PruneReport:
        return await self._session.json(PruneReport, "POST", "/images/prune", {"filters": filters})

    async def commit(
        self,
        container: str,
        repository: str = "",
        tag: str = "",
        comment: str = "",
        author: str = "",
        changes: list[str] | None = None,
        pause: bool = True,
    ) -> str:
        """Return the id of an image made of a container."""
        query = {
            "container": container,
            "repo": repository,
            "tag": tag,
            "comment": comment,
            "author": author,
            "changes": changes,
            "pause": "" if pause else "0",
        }
        return (await self._session.json(CommitResponse, "POST", "/commit", query)).id

    async def build(
        self, context: bytes | AsyncIterator[bytes], query: dict[str, str | bool | list[str]], registries: str = ""
    ) -> Response:
        """Return the progress of a classic build; `registries` is the X-Registry-Config header's value."""
        headers = TAR | ({"X-Registry-Config": registries} if registries else {})
        return await self._session.request("POST", "/build", query, context, headers)

    async def prune_build_cache(self, all: bool = False, filters: Filters | None = None) -> BuildPruneReport:
        return await self._session.json(BuildPruneReport, "POST", "/build/prune", {"all": all, "filters": filters})

    async def distribution(self, name: str, auth: str = "") -> DistributionInspect:
        """Return what the registry says of an image."""
        from sampan.wire import codec

        path = f"/distribution/{quote(name, '/:@')}/json"
        response = await self._session.request("GET", path, None, None, _auth(auth))
        return codec.decode(await response.read(), DistributionInspect)

    async def log_in(self, credentials: AuthConfig) -> AuthResponse:
        """Check credentials with their registry."""
        return await self._session.json(AuthResponse, "POST", "/auth", None, credentials)


def _path(ref: str, verb: str) -> str:
    return f"/images/{quote(ref, '/:@')}/{verb}"


def _auth(value: str) -> dict[str, str] | None:
    return {"X-Registry-Auth": value} if value else None
