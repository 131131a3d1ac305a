"""Every registry that a process speaks to: shared connections, the place that answers for each, its tokens."""

from __future__ import annotations

import asyncio
from types import TracebackType

import aiohttp
import msgspec

from sampan.errors import InvalidArgument, SampanError
from sampan.images.remote.answers import decoded
from sampan.images.remote.auth import Credentials
from sampan.images.remote.client import RegistryClient
from sampan.images.remote.connection import Connection
from sampan.images.remote.endpoints import Endpoint, endpoints_of
from sampan.images.remote.failures import Broken
from sampan.images.remote.settings import RemoteSettings
from sampan.images.remote.wire import make_session
from sampan.oci.reference import DEFAULT_DOMAIN, Reference

__all__ = ["Found", "Remote"]

_SEARCH = "https://index.docker.io/v1/search"
_SEARCH_LIMIT = 4 << 20


class Found(msgspec.Struct):
    """One result of a search."""

    name: str = ""
    description: str = ""
    star_count: int = 0
    is_official: bool = False
    is_automated: bool = False


class _FoundList(msgspec.Struct):
    results: list[Found] = []


class Remote:
    """States: open until `close`. Make and use it on one event loop."""

    def __init__(self, settings: RemoteSettings | None = None) -> None:
        self.settings = settings or RemoteSettings()
        self._session: aiohttp.ClientSession | None = None
        self._places: dict[tuple[str, Credentials | None], asyncio.Task[list[Connection]]] = {}

    async def __aenter__(self) -> Remote:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def reconfigure(self, settings: RemoteSettings) -> None:
        """Go on with other settings; what is under way keeps those that it began with."""
        self.settings = settings
        self._places = {}

    async def close(self) -> None:
        """Drop all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def repository(self, reference: Reference, credentials: Credentials | None = None) -> RegistryClient:
        """A client for the repository that a reference names."""
        return RegistryClient(reference, lambda: self._connections(reference.domain, credentials))

    async def log_in(self, domain: str, credentials: Credentials) -> str:
        """Check credentials; returns a refresh token to keep instead of the password, "" where there is none.

        Raises Unauthenticated, Unavailable and others.
        """
        registry = (await self._connections(domain, credentials))[-1]
        async with registry.request("GET", "/v2/", f"logging in to {domain}", accept=(200,)):
            pass
        return await registry.authorizer.log_in()

    async def search(self, term: str, limit: int, credentials: Credentials | None = None) -> list[Found]:
        """Search a registry's index (docker's v1 search; `host/term` asks that host). Raises InvalidArgument."""
        first, _, rest = term.partition("/")
        elsewhere = bool(rest) and ("." in first or ":" in first or first == "localhost")
        if elsewhere:
            connections = await self._connections(first, credentials)
            connection, place, wanted = connections[-1], "/v1/search", rest
        else:
            connection, place, wanted = await self._index(credentials), _SEARCH, term
        if not wanted:
            raise InvalidArgument("say what to search for")
        from urllib.parse import quote

        query = f"{place}?q={quote(wanted, safe='')}&n={limit}"
        async with connection.request("GET", query, f"searching for {term}") as reply:
            body = await connection.read(reply, _SEARCH_LIMIT)
        return decoded(body, _FoundList, f"{connection.endpoint.host} has no search that is understood here").results

    async def _index(self, credentials: Credentials | None) -> Connection:
        return self._connection(Endpoint("https://index.docker.io", "index.docker.io"), credentials)

    async def _connections(self, domain: str, credentials: Credentials | None) -> list[Connection]:
        """The places of a registry; those that have to be found out are asked once for all callers."""
        key = (domain, credentials)
        known = self._places.get(key)
        if known is None or (known.done() and (known.cancelled() or known.exception() is not None)):
            known = self._places[key] = asyncio.create_task(self._find(domain, credentials))
        return await asyncio.shield(known)

    async def _find(self, domain: str, credentials: Credentials | None) -> list[Connection]:
        endpoints = endpoints_of(domain, self.settings)
        if domain == DEFAULT_DOMAIN or len(endpoints) == 1:
            # A mirror is not who the credentials are for.
            return [self._connection(found, None if found.mirror else credentials) for found in endpoints]
        return [await self._first_that_answers(endpoints, credentials)]

    async def _first_that_answers(self, endpoints: list[Endpoint], credentials: Credentials | None) -> Connection:
        failures: list[Broken] = []
        for endpoint in endpoints:
            connection = self._connection(endpoint, credentials)
            try:
                async with connection.request("GET", "/v2/", f'Get "{endpoint.base}/v2/"', attempts=1):
                    return connection
            except Broken as error:
                failures.append(error)
            except SampanError:
                return connection
        raise failures[-1]

    def _connection(self, endpoint: Endpoint, credentials: Credentials | None) -> Connection:
        if self._session is None:
            self._session = make_session(self.settings)
        return Connection(self._session, self.settings, endpoint, credentials)
