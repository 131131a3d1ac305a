"""Networks: /networks of the Engine API."""

from __future__ import annotations

from sampan.client.session import Session, quote
from sampan.wire.networks import (
    Network,
    NetworkConnectRequest,
    NetworkCreateRequest,
    NetworkCreateResponse,
    NetworkDisconnectRequest,
    PruneReport,
)

Filters = dict[str, list[str]]


class Networks:
    """The networks of one engine; `ref` is a name or an id."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ls(self, filters: Filters | None = None) -> list[Network]:
        return await self._session.json(list[Network], "GET", "/networks", {"filters": filters})

    async def inspect(self, ref: str) -> Network:
        return await self._session.json(Network, "GET", f"/networks/{quote(ref)}")

    async def inspect_raw(self, ref: str, verbose: bool = False) -> bytes:
        """Return the JSON just as the engine wrote it."""
        query = {"verbose": "true" if verbose else ""}
        return await (await self._session.request("GET", f"/networks/{quote(ref)}", query)).read()

    async def create(self, request: NetworkCreateRequest) -> NetworkCreateResponse:
        return await self._session.json(NetworkCreateResponse, "POST", "/networks/create", None, request)

    async def connect(self, ref: str, request: NetworkConnectRequest) -> None:
        await self._session.call("POST", f"/networks/{quote(ref)}/connect", None, request)

    async def disconnect(self, ref: str, request: NetworkDisconnectRequest) -> None:
        await self._session.call("POST", f"/networks/{quote(ref)}/disconnect", None, request)

    async def remove(self, ref: str) -> None:
        await self._session.call("DELETE", f"/networks/{quote(ref)}")

    async def prune(self, filters: Filters | None = None) -> PruneReport:
        return await self._session.json(PruneReport, "POST", "/networks/prune", {"filters": filters})
