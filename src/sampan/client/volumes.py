"""Volumes: /volumes of the Engine API."""

from __future__ import annotations

from sampan.client.session import Session, quote
from sampan.wire.volumes import PruneReport, Volume, VolumeCreateRequest, VolumeList

Filters = dict[str, list[str]]


class Volumes:
    """The volumes of one engine."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ls(self, filters: Filters | None = None) -> VolumeList:
        return await self._session.json(VolumeList, "GET", "/volumes", {"filters": filters})

    async def inspect(self, name: str) -> Volume:
        return await self._session.json(Volume, "GET", f"/volumes/{quote(name)}")

    async def inspect_raw(self, name: str) -> bytes:
        """Return the JSON just as the engine wrote it."""
        return await (await self._session.request("GET", f"/volumes/{quote(name)}")).read()

    async def create(self, request: VolumeCreateRequest) -> Volume:
        return await self._session.json(Volume, "POST", "/volumes/create", None, request)

    async def remove(self, name: str, force: bool = False) -> None:
        await self._session.call("DELETE", f"/volumes/{quote(name)}", {"force": force})

    async def prune(self, filters: Filters | None = None) -> PruneReport:
        return await self._session.json(PruneReport, "POST", "/volumes/prune", {"filters": filters})
