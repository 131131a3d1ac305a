"""Requests to one endpoint: authentication, retries with back-off, redirects, errors in our kinds.

request -> 401: learn the challenge, once more     -> 408, 429, 5xx, broken: wait, again     -> other: as it is
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from sampan.errors import SampanError, Upstream
from sampan.images.remote.answers import decoded
from sampan.images.remote.auth import Authorizer, Credentials, TokenReply, refused
from sampan.images.remote.endpoints import Endpoint
from sampan.images.remote.failures import Broken, Unreachable, of_answer, told_by
from sampan.images.remote.settings import RemoteSettings
from sampan.images.remote.wire import FAILURES, Body, Wire, checked, pieces_of, words_of

__all__ = ["Connection", "with_retries"]

T = TypeVar("T")

_AGAIN = frozenset((408, 429, 500, 502, 503, 504))
_ERROR_LIMIT = 64 << 10


class Connection:
    """An endpoint with its TLS settings and its tokens."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: RemoteSettings,
        endpoint: Endpoint,
        credentials: Credentials | None,
    ) -> None:
        self.endpoint = endpoint
        self._settings = settings
        self._wire = Wire(session, settings, endpoint)
        self.authorizer = Authorizer(credentials, self._fetch_token)

    def url(self, place: str) -> str:
        """A path below the endpoint, or a URL as it is."""
        return place if "://" in place else self.endpoint.base + place

    @asynccontextmanager
    async def request(
        self,
        method: str,
        place: str,
        what: str,
        *,
        scopes: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        accept: tuple[int, ...] = (200,),
        attempts: int | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, and give the answer while the block runs; a status outside of `accept` raises what it means.

        `what` says in errors what was asked for. Raises Broken when all `attempts` failed on the way.
        """

        reply = await self.send(
            method, place, what, scopes=scopes, headers=headers, body=body, accept=accept, attempts=attempts
        )
        try:
            yield reply
        finally:
            reply.release()

    async def send(
        self,
        method: str,
        place: str,
        what: str,
        *,
        scopes: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        accept: tuple[int, ...] = (200,),
        attempts: int | None = None,
    ) -> aiohttp.ClientResponse:
        """As `request`, for an answer whose end the caller decides: release it."""

        async def once() -> aiohttp.ClientResponse:
            return await self._authorized(method, place, what, scopes, headers or {}, body, accept)

        return await with_retries(self._settings, once, attempts)

    async def read(self, reply: aiohttp.ClientResponse, limit: int) -> bytes:
        """The whole body of an answer. Raises Upstream when it has more than `limit` bytes, Broken when it is cut."""
        try:
            body = await self._wire.document(reply, limit + 1)
        except FAILURES as error:
            raise Broken(f"reading from {self.endpoint.host}: {words_of(error)}") from None
        if len(body) > limit:
            raise Upstream(f"{self.endpoint.host} sent more than {limit} bytes where a small document was asked for")
        return body

    def pieces(self, reply: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """A large body as it comes. Raises Broken where it breaks off or stalls."""
        return pieces_of(reply, self._settings.read_timeout)

    async def _authorized(
        self,
        method: str,
        place: str,
        what: str,
        scopes: tuple[str, ...],
        headers: Mapping[str, str],
        body: Body,
        accept: tuple[int, ...],
    ) -> aiohttp.ClientResponse:
        begun = time.monotonic()
        url = self.url(place)
        own = self._wire.is_own(checked(url, what))
        while True:
            try:
                sent = await self.authorizer.header(scopes) if own else None
            except SampanError:
                # The way in that was learned earlier leads nowhere: the registry may have another by now.
                if not self.authorizer.forget(begun):
                    raise
                continue
            fields = {**headers, "Authorization": sent} if sent else dict(headers)
            reply = await self._wire.send(method, url, what, fields, body)
            if reply.status in accept:
                return reply
            if reply.status == 401 and own and self._wire.is_own(reply.url):
                challenges = reply.headers.getall("WWW-Authenticate", [])
                if self.authorizer.challenged(challenges, scopes, sent, begun):
                    reply.release()
                    continue
            raise await self._failure(what, reply)

    async def _failure(self, what: str, reply: aiohttp.ClientResponse) -> SampanError:
        try:
            body = await self._wire.document(reply, _ERROR_LIMIT)
        except FAILURES:
            body = b""
        finally:
            reply.release()
        error = of_answer(what, reply.status, body)
        if reply.status in _AGAIN:
            return Broken(str(error), _retry_after(reply.headers.get("Retry-After", "")))
        return error

    async def _fetch_token(
        self, realm: str, parameters: Mapping[str, str], credentials: Credentials, post: bool
    ) -> TokenReply:
        what = f'Get "{realm}"'
        url = checked(realm, "the token service")
        secret = bool(credentials.identity_token or credentials.basic)
        if secret and not self._wire.is_safe(url):
            raise Upstream(f"{self.endpoint.host} wants a password sent to {realm}, without TLS: that is refused")
        given = {key: value for key, value in parameters.items() if value}

        async def once() -> TokenReply:
            if post:
                form = {"Content-Type": "application/x-www-form-urlencoded"}
                return await self._token(what, "POST", url, form, urlencode(given).encode())
            basic = {"Authorization": credentials.basic} if credentials.basic else {}
            return await self._token(what, "GET", url.extend_query(_split_scopes(given)), basic)

        return await with_retries(self._settings, once)

    async def _token(
        self, what: str, method: str, url: URL, headers: Mapping[str, str], form: bytes | None = None
    ) -> TokenReply:
        reply = await self._wire.send(method, str(url), what, headers, form, secret=form is not None)
        try:
            if reply.status in (400, 401, 403):
                raise refused(reply.status, told_by(await self.read(reply, _ERROR_LIMIT)))
            if reply.status != 200:
                raise await self._failure(what, reply)
            return decoded(await self.read(reply, _ERROR_LIMIT), TokenReply, f"{url.host}'s answer is no token")
        finally:
            reply.release()


async def with_retries(settings: RemoteSettings, once: Callable[[], Awaitable[T]], attempts: int | None = None) -> T:
    """Do it until it is not Broken any more, with a growing wait in between. Raises the last Broken."""
    attempt = 0
    while True:
        try:
            return await once()
        except Unreachable:
            raise
        except Broken as error:
            if attempt + 1 >= (attempts or settings.attempts):
                raise
            await pause(settings, attempt, error)
        attempt += 1


async def pause(settings: RemoteSettings, attempt: int, error: Broken) -> None:
    """Wait before the next try: what the server asked for, else twice as long each time, not all at once."""
    wait = settings.backoff * 2**attempt * random.uniform(0.75, 1.25) if error.wait is None else error.wait
    await asyncio.sleep(min(wait, settings.longest_wait))


def _retry_after(text: str) -> float | None:
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _split_scopes(parameters: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each scope a parameter of its own, as token services take them in a query."""
    pairs = [(key, value) for key, value in parameters.items() if key != "scope"]
    return pairs + [("scope", scope) for scope in parameters.get("scope", "").split(" ") if scope]
