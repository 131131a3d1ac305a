"""Requests on their way: where they go, over which proxy, with which TLS settings, and on through redirects.

    checked URL -> own place?  Authorization goes along          -> 3xx: the next URL, checked again, at most ten
                   elsewhere?  without it, and what it answers 401 to teaches nothing

Own is the scheme, host and port that the user named, or the same host when it redirects from http to https. What a
registry names besides (the token service, the stores that it redirects to) gets no more than what it is meant for.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp
from yarl import URL

from sampan.errors import Upstream
from sampan.images.remote.endpoints import Endpoint, tls_context
from sampan.images.remote.failures import Broken, Unreachable
from sampan.images.remote.settings import RemoteSettings

__all__ = ["FAILURES", "Body", "Wire", "make_session", "pieces_of", "up_to", "words_of"]

Body = bytes | Callable[[], AsyncIterator[bytes]] | None
"""A request's body; a stream is made anew for each try."""

FAILURES = (aiohttp.ClientError, TimeoutError, ConnectionError)
_TRIED = re.compile(r"Connect call failed \('([^']+)', (\d+)")
_MOST_REDIRECTS = 10
_TO_GET = (301, 302, 303)
_KEEPING = (307, 308)
_LEAST = 1024
"""Bytes that must come in each `read_timeout` seconds of waiting for a blob."""


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


class Wire:
    """The way to one endpoint, and from there to wherever it leads."""

    def __init__(self, session: aiohttp.ClientSession, settings: RemoteSettings, endpoint: Endpoint) -> None:
        self._session = session
        self._settings = settings
        self._endpoint = endpoint
        self._own = URL(endpoint.base)
        self._contexts: dict[str, ssl.SSLContext] = {}
        if self._own.scheme == "https":
            self._context(self._own)

    def is_own(self, url: URL) -> bool:
        """Whether credentials for the endpoint may go there."""
        return _leads_on(self._own, url)

    def is_safe(self, url: URL) -> bool:
        """Whether a secret may be sent there: not in clear where the endpoint itself is spoken to by TLS."""
        return (
            url.scheme == "https"
            or self._own.scheme == "http"
            or self._settings.is_insecure(url.host_port_subcomponent or "")
        )

    async def send(
        self, method: str, place: str, what: str, headers: Mapping[str, str], body: Body = None, secret: bool = False
    ) -> aiohttp.ClientResponse:
        """The answer to a request, after redirects. A `secret` body goes nowhere else than to `place`.

        `what` says in errors what was asked for. Raises Broken, Unreachable, Upstream.
        """
        first = url = checked(place, what)
        fields = dict(headers)
        for _ in range(_MOST_REDIRECTS):
            reply = await self._once(method, url, what, fields, body)
            following = _following(reply)
            if following is None:
                return reply
            reply.release()
            url = checked(following, what)
            if not _leads_on(first, url):
                fields.pop("Authorization", None)
                if secret:
                    raise Upstream(f"{what}: {first.host} redirects a secret to {url.host}, which does not get it")
            if reply.status not in _KEEPING and method not in ("GET", "HEAD"):
                raise Upstream(f"{what}: {first.host} redirects a {method} with status {reply.status}")
        raise Upstream(f"{what}: more than {_MOST_REDIRECTS} redirects")

    async def _once(
        self, method: str, url: URL, what: str, headers: Mapping[str, str], body: Body
    ) -> aiohttp.ClientResponse:
        more: dict[str, Any] = {"ssl": self._context(url)} if url.scheme == "https" else {}
        # The time that sending a large body takes is no sign of anything.
        limit = None if callable(body) else self._settings.document_timeout
        try:
            async with asyncio.timeout(limit):
                return await self._session.request(
                    method,
                    url,
                    headers=headers,
                    data=body() if callable(body) else body,
                    proxy=self._settings.proxies.choose(str(url)),
                    allow_redirects=False,
                    **more,
                )
        except aiohttp.InvalidURL as error:
            raise Upstream(f"{what}: {words_of(error)}") from None
        except UnicodeError:  # a part of the name is empty or too long to be asked for
            raise Unreachable(f"{self._knock(url)}: dial tcp: lookup {url.host}: no such host") from None
        except FAILURES as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                what = self._knock(url)
            kind = Unreachable if _is_nowhere(error) else Broken
            raise kind(f"{what}: {words_of(error)}") from None

    def _knock(self, url: URL) -> str:
        """Where docker knocks before it asks for anything."""
        return f'Get "{self._endpoint.base}/v2/"' if self.is_own(url) else f'Get "{url}"'

    async def document(self, reply: aiohttp.ClientResponse, limit: int) -> bytes:
        """At most `limit` bytes of a body, within the time that a document may take. Raises FAILURES."""
        async with asyncio.timeout(self._settings.document_timeout):
            return await up_to(reply, limit)

    def _context(self, url: URL) -> ssl.SSLContext:
        """The endpoint's settings, and those of the host where it is another."""
        host = url.host_port_subcomponent or ""
        if host not in self._contexts:
            self._contexts[host] = tls_context(self._endpoint, self._settings.certificates, host)
        return self._contexts[host]


def checked(place: str, what: str) -> URL:
    """A URL that something can be asked at. Raises Upstream."""
    try:
        url = URL(place, encoded=True)
        usable = url.scheme in ("http", "https") and url.host and url.user is None and url.password is None
        if usable and url.port is not None and all(char.isprintable() and char != " " for char in place):
            return url
    except ValueError:
        pass
    raise Upstream(f"{what}: the registry leads to {place[:200]!r}, which is no address of a registry")


async def pieces_of(reply: aiohttp.ClientResponse, patience: float) -> AsyncIterator[bytes]:
    """The body, in pieces as large as what has arrived; a break in it is Broken, and so is a trickle.

    `patience` is the time of waiting, in seconds, in which at least a kibibyte has to come.
    """
    loop = asyncio.get_running_loop()
    waited, came = 0.0, 0
    try:
        while True:
            begun = loop.time()
            piece = await reply.content.readany()
            if not piece:
                return
            waited += loop.time() - begun
            came += len(piece)
            if came >= _LEAST:
                waited, came = 0.0, 0
            elif waited > patience:
                raise Broken(f"the connection stalls: {came} bytes in {waited:.0f} seconds")
            yield piece
    except FAILURES as error:
        raise Broken(f"the connection broke: {words_of(error)}") from None


async def up_to(reply: aiohttp.ClientResponse, limit: int) -> bytes:
    """The first `limit` bytes of a body. Raises FAILURES."""
    pieces: list[bytes] = []
    size = 0
    while size < limit and (piece := await reply.content.read(limit - size)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def words_of(error: BaseException) -> str:
    """What failed, in the words that docker's users know."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {error.host}: {_dns_words(error.os_error)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"dial tcp {_address(error)}: connect: {_os_words(error.os_error)}"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "dial tcp: i/o timeout"
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


def _dns_words(error: OSError) -> str:
    return "no such host" if error.errno == socket.EAI_NONAME else (error.strerror or str(error)).lower()


def _os_words(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _address(error: aiohttp.ClientConnectorError) -> str:
    """Host and port, the host as the address that was tried where it is told."""
    tried = _TRIED.search(str(error.os_error))
    host, port = (tried[1], tried[2]) if tried else (error.host, error.port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _following(reply: aiohttp.ClientResponse) -> str | None:
    """Where an answer redirects to."""
    location = reply.headers.get("Location")
    if location is None or reply.status not in (*_TO_GET, *_KEEPING):
        return None
    try:
        return str(reply.url.join(URL(location, encoded=True)))
    except ValueError:
        return location


def _leads_on(origin: URL, url: URL) -> bool:
    same = (origin.scheme, origin.port) == (url.scheme, url.port)
    return origin.host == url.host and (same or (origin.scheme, url.scheme) == ("http", "https"))


def _is_nowhere(error: BaseException) -> bool:
    nowhere = (errno.ENETUNREACH, errno.EHOSTUNREACH)
    return isinstance(error, aiohttp.ClientConnectorDNSError) or (
        isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno in nowhere
    )
