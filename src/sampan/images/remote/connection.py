"""Requests to one endpoint: authentication, retries with back-off, redirects, errors in our kinds.

request -> 401: learn the challenge, once more     -> 408, 429, 5xx, broken: wait, again     -> other: as it is
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
import msgspec
from yarl import URL

from sampan.errors import SampanError, Upstream
from sampan.images.remote.auth import Authorizer, Credentials, TokenReply, refused
from sampan.images.remote.endpoints import Endpoint, tls_context
from sampan.images.remote.failures import Broken, Unreachable, answers_of, of_answer
from sampan.images.remote.settings import RemoteSettings

__all__ = ["Connection", "make_session", "with_retries"]

T = TypeVar("T")
Body = bytes | Callable[[], AsyncIterator[bytes]] | None
"""A request's body; a stream is made anew for each try."""

_AGAIN = frozenset((408, 429, 500, 502, 503, 504))
_ERROR_LIMIT = 64 << 10
_TRIED = re.compile(r"Connect call failed \('([^']+)', (\d+)")
_FAILURES = (aiohttp.ClientError, TimeoutError, ConnectionError)


def make_session(settings: RemoteSettings) -> aiohttp.ClientSession:
    """The pool of connections that all endpoints share."""
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=settings.connect_timeout, sock_read=settings.read_timeout, ceil_threshold=60
    )
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=64),
        timeout=timeout,
        headers={"User-Agent": settings.agent},
        auto_decompress=False,
        read_bufsize=1 << 20,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


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
        self._session = session
        self._settings = settings
        self._tls = tls_context(endpoint, settings.certificates) if endpoint.base.startswith("https") else None
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
            body = await _up_to(reply, limit + 1)
        except _FAILURES as error:
            raise Broken(f"reading from {self.endpoint.host}: {_words(error)}") from None
        if len(body) > limit:
            raise Upstream(f"{self.endpoint.host} sent more than {limit} bytes where a small document was asked for")
        return body

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
        while True:
            try:
                sent = await self.authorizer.header(scopes)
            except SampanError:
                # The way in that was learned earlier leads nowhere: the registry may have another by now.
                if not self.authorizer.forget(begun):
                    raise
                continue
            fields = {**headers, "Authorization": sent} if sent else dict(headers)
            reply = await self._send(method, self.url(place), what, fields, body)
            if reply.status in accept:
                return reply
            if reply.status == 401:
                challenges = reply.headers.getall("WWW-Authenticate", [])
                if self.authorizer.challenged(challenges, scopes, sent, begun):
                    reply.release()
                    continue
            raise await self._failure(what, reply)

    async def _send(
        self, method: str, url: str, what: str, headers: Mapping[str, str], body: Body
    ) -> aiohttp.ClientResponse:
        more: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls}
        try:
            return await self._session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body() if callable(body) else body,
                proxy=self._settings.proxies.choose(url),
                **more,
            )
        except (aiohttp.InvalidURL, aiohttp.TooManyRedirects) as error:
            raise Upstream(f"{what}: {_words(error)}") from None
        except _FAILURES as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                what = f'Get "{self.endpoint.base}/v2/"'  # where docker knocks before it asks for anything
            kind = Unreachable if _is_nowhere(error) else Broken
            raise kind(f"{what}: {_words(error)}") from None

    async def _failure(self, what: str, reply: aiohttp.ClientResponse) -> SampanError:
        try:
            body = await _up_to(reply, _ERROR_LIMIT)
        except _FAILURES:
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
        if "://" not in realm:
            raise Upstream(f"the registry names {realm!r} as its token service, which is no URL")

        async def once() -> TokenReply:
            return await self._fetch_token_once(realm, parameters, credentials, post)

        return await with_retries(self._settings, once)

    async def _fetch_token_once(
        self, realm: str, parameters: Mapping[str, str], credentials: Credentials, post: bool
    ) -> TokenReply:
        given = {key: value for key, value in parameters.items() if value}
        basic = credentials.basic if not post else None
        more: dict[str, Any] = {"data": given} if post else {"params": _split_scopes(given)}
        if self._tls is not None and realm.startswith("https"):
            more["ssl"] = self._tls
        headers = {"Authorization": basic} if basic else {}
        proxy = self._settings.proxies.choose(realm)
        try:
            method = "POST" if post else "GET"
            async with self._session.request(method, realm, headers=headers, proxy=proxy, **more) as reply:
                body = await _up_to(reply, _ERROR_LIMIT)
        except _FAILURES as error:
            kind = Unreachable if _is_nowhere(error) else Broken
            raise kind(f'Get "{realm}": {_words(error)}') from None
        if reply.status in (400, 401, 403):
            raise refused(reply.status, "; ".join(str(answer) for answer in answers_of(body)))
        if reply.status != 200:
            raise of_answer(f"asking {realm} for a token", reply.status, body)
        try:
            return msgspec.json.decode(body, type=TokenReply)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Upstream(f"{realm} answered something that is no token") from None


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


async def _up_to(reply: aiohttp.ClientResponse, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while size < limit and (piece := await reply.content.read(limit - size)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _split_scopes(parameters: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each scope a parameter of its own, as token services take them in a query."""
    pairs = [(key, value) for key, value in parameters.items() if key != "scope"]
    return pairs + [("scope", scope) for scope in parameters.get("scope", "").split(" ") if scope]


def _is_nowhere(error: BaseException) -> bool:
    nowhere = (errno.ENETUNREACH, errno.EHOSTUNREACH)
    return isinstance(error, aiohttp.ClientConnectorDNSError) or (
        isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno in nowhere
    )


def _words(error: BaseException) -> str:
    """What failed, in the words that docker's users know."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {error.host}: {_dns_words(error.os_error)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"dial tcp {_address(error)}: connect: {_os_words(error.os_error)}"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "dial tcp: i/o timeout"
    return str(error) or type(error).__name__


def _dns_words(error: OSError) -> str:
    return "no such host" if error.errno == socket.EAI_NONAME else (error.strerror or str(error)).lower()


def _os_words(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _address(error: aiohttp.ClientConnectorError) -> str:
    """Host and port, the host as the address that was tried where it is told."""
    tried = _TRIED.search(str(error.os_error))
    host, port = (tried[1], tried[2]) if tried else (error.host, error.port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
