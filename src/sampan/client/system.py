"""The engine itself: /version, /info, /events, /system/df of the Engine API."""

from __future__ import annotations

from sampan.client.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sampan.wire.disk import DiskUsage
    from sampan.wire.events import Event
    from sampan.wire.system import Info, Version

    Filters = dict[str, list[str]]


class System:
    """What an engine tells of itself. The wire types are imported by the methods that need them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ping(self) -> dict[str, str]:
        """Return the headers of a ping; names in lower case."""
        return (await self._session.request("HEAD", "/_ping", versioned=False)).headers

    async def version(self) -> Version:
        from sampan.wire.system import Version

        return await self._session.json(Version, "GET", "/version")

    async def version_raw(self) -> bytes:
        """Return the JSON just as the engine wrote it."""
        return await (await self._session.request("GET", "/version")).read()

    async def info(self) -> Info:
        from sampan.wire.system import Info

        return await self._session.json(Info, "GET", "/info")

    async def info_raw(self) -> bytes:
        """Return the JSON just as the engine wrote it."""
        return await (await self._session.request("GET", "/info")).read()

    async def disk_usage(self, types: list[str] | None = None) -> DiskUsage:
        from sampan.wire.disk import DiskUsage

        return await self._session.json(DiskUsage, "GET", "/system/df", {"type": types})

    async def events(self, since: str = "", until: str = "", filters: Filters | None = None) -> AsyncIterator[Event]:
        """Yield events; times are unix seconds with a fraction. Without `until` it never ends by itself."""
        from sampan.wire import codec
        from sampan.wire.events import Event

        query = {"since": since, "until": until, "filters": filters}
        response = await self._session.request("GET", "/events", query)
        async for line in response.lines():
            yield codec.decode(line, Event)
