"""Credentials and tokens for one registry (docker's token authentication; RFC 6749 where a refresh token is known).

    request --401 + WWW-Authenticate--> Basic:  send the name and password
                                        Bearer: get a token for the scope at the realm, keep it until it expires

A token is kept per scope. It is thrown away when it is refused, so that one that expires during a pull is renewed.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec

from sampan.errors import Unauthenticated, Upstream

__all__ = ["Authorizer", "Challenge", "Credentials", "Scope", "parse_challenges"]

_PARAMETER = re.compile(r'\b(\w++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s,"]++))\s*+(?:,|$)')
_SCHEME = re.compile(r"(?:^|,)\s*(Basic|Bearer)(?:\s+|$)", re.IGNORECASE)
_TOKEN = re.compile(r"[\x21-\x7e]+")
_DEFAULT_LIFETIME = 60.0
_MARGIN = 5.0
_CLIENT = "sampan"


@dataclass(frozen=True)
class Credentials:
    """What somebody has for a registry: name and password, or a refresh token, or a token that is used as it is."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"

    @property
    def basic(self) -> str | None:
        """The Authorization field of basic authentication."""
        if not self.username:
            return None
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class Scope:
    """What a request needs, as token services name it."""

    name: str
    actions: tuple[str, ...]

    def __str__(self) -> str:
        return f"repository:{self.name}:{','.join(self.actions)}"


CATALOG = "registry:catalog:*"


@dataclass(frozen=True)
class Challenge:
    """One of the ways in that a WWW-Authenticate field offers."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def way(self) -> tuple[str, str, str]:
        """What tells one way in from another; the rest is of one request (its scope, an error)."""
        return self.scheme, self.parameters.get("realm", ""), self.parameters.get("service", "")


class TokenReply(msgspec.Struct):
    """A token service's answer."""

    token: str = ""
    access_token: str = ""
    refresh_token: str = ""
    expires_in: float | None = None


Fetch = Callable[[str, Mapping[str, str], Credentials, bool], Awaitable[TokenReply]]
"""Ask a token service: realm, parameters, credentials, whether by POST. Given in by whoever has connections."""


def parse_challenges(fields: list[str]) -> list[Challenge]:
    """The challenges in WWW-Authenticate fields (RFC 9110, 11.6.1)."""
    found = []
    for text in fields:
        starts = list(_SCHEME.finditer(text))
        ends = [*(other.start() for other in starts[1:]), len(text)]
        for match, end in zip(starts, ends, strict=False):
            rest = text[match.end() : end]
            values = {key.lower(): quoted or plain for key, quoted, plain in _PARAMETER.findall(rest.strip() + ",")}
            found.append(Challenge(match[1].lower(), values))
    return found


class Authorizer:
    """The credentials for one registry, and the tokens they brought."""

    def __init__(self, credentials: Credentials | None, fetch: Fetch) -> None:
        self._credentials = credentials or Credentials()
        self._fetch = fetch
        self._challenge: Challenge | None = None
        self._learned = 0.0
        self._fetching = asyncio.Lock()
        self._tokens: dict[tuple[str, ...], tuple[str, float, float]] = {}
        """By scopes: the token, until when it is good, when it was fetched."""

    async def header(self, scopes: tuple[str, ...]) -> str | None:
        """The Authorization field for a request in these scopes; None before the registry said what it wants."""
        if self._credentials.registry_token:
            return f"Bearer {self._credentials.registry_token}"
        if self._challenge is None:
            return None
        if self._challenge.scheme == "basic":
            return self._credentials.basic
        return f"Bearer {await self._token(self._challenge, scopes)}"

    def forget(self, begun: float) -> bool:
        """Forget what the registry wants, unless that was learned since `begun` (a monotonic time)."""
        if self._challenge is None or self._learned >= begun:
            return False
        self._learn(None)
        return True

    def _learn(self, challenge: Challenge | None) -> None:
        """Tokens are good only for the way in that they were got by."""
        if challenge is None or self._challenge is None or challenge.way != self._challenge.way:
            self._tokens.clear()
        self._challenge, self._learned = challenge, time.monotonic()

    def challenged(self, fields: list[str], scopes: tuple[str, ...], sent: str | None, begun: float) -> bool:
        """Learn from a 401; whether another try can help: `sent` is the field that was refused.

        It can't when the token was fetched since `begun` (a monotonic time), for this very request.
        """
        challenges = parse_challenges(fields)
        by_scheme = {challenge.scheme: challenge for challenge in reversed(challenges)}
        chosen = by_scheme.get("bearer") or by_scheme.get("basic")
        if chosen is None or self._credentials.registry_token:
            return False
        moved = self._challenge is not None and self._challenge.way != chosen.way
        self._learn(chosen)
        if chosen.scheme == "basic":
            return self._credentials.basic is not None and sent != self._credentials.basic
        token, _, fetched = self._tokens.get(scopes, ("", 0.0, 0.0))
        if moved or sent is None or sent != f"Bearer {token}":
            return True  # Without a token, with another service's, or with one that was replaced meanwhile.
        del self._tokens[scopes]
        return fetched < begun

    async def log_in(self) -> str:
        """Check the credentials against what the registry asked for; returns a refresh token, "" without one."""
        if self._challenge is None or self._challenge.scheme == "basic":
            return ""
        reply = await self._ask(self._challenge, (), offline=True)
        return reply.refresh_token

    async def _token(self, challenge: Challenge, scopes: tuple[str, ...]) -> str:
        async with self._fetching:
            return self._kept(scopes) or await self._fetched(challenge, scopes)

    def _kept(self, scopes: tuple[str, ...]) -> str:
        token, until, _ = self._tokens.get(scopes, ("", 0.0, 0.0))
        return token if time.monotonic() < until else ""

    async def _fetched(self, challenge: Challenge, scopes: tuple[str, ...]) -> str:
        reply = await self._ask(challenge, scopes)
        token = reply.token or reply.access_token
        if not _TOKEN.fullmatch(token):
            raise Upstream("the token service's answer has no token")
        lifetime = max(_DEFAULT_LIFETIME, reply.expires_in or 0)
        now = time.monotonic()
        self._tokens[scopes] = (token, now + lifetime - _MARGIN, now)
        return token

    async def _ask(self, challenge: Challenge, scopes: tuple[str, ...], offline: bool = False) -> TokenReply:
        parameters = challenge.parameters
        realm = parameters.get("realm")
        if not realm:
            raise Upstream("the registry asks for a token and does not say where to get it")
        wanted = {"service": parameters.get("service", ""), "scope": " ".join(scopes)}
        credentials = self._credentials
        if credentials.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token, "client_id": _CLIENT}
            return await self._fetch(realm, {**wanted, **form}, credentials, True)
        more = {"account": credentials.username} if credentials.username else {}
        if offline:
            more |= {"offline_token": "true", "client_id": _CLIENT}
        return await self._fetch(realm, {**wanted, **more}, credentials, False)


def refused(status: int, told: str) -> Unauthenticated:
    """The error that a token service's refusal is."""
    return Unauthenticated(told or f"the token service answered with status {status}")
