"""Token authentication as docker's clients know it, and the service that gives the tokens.

    /v2/... without a token -> 401, Bearer realm="https://host/token", service, scope
    /token with a password, a refresh token or nothing -> JWT (ES256) with what the rules give of the scope asked for
    /v2/... with it -> what it says, until it expires

Any replica with the same key takes the tokens of any other.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from sampan.errors import InvalidArgument
from sampan.http import Request, Response
from sampan.registry.auth import ANONYMOUS, CATALOG, Access
from sampan.registry.auth.passwords import Passwords, basic_credentials
from sampan.registry.auth.policy import Policy, UserAccess
from sampan.registry.errors import RegistryError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = ["Bearer", "TokenAccess", "TokenService", "load_key"]

LIFETIME = 300
"""Seconds that a token is good for."""
REFRESH_LIFETIME = 30 * 24 * 3600
_LEEWAY = 10
_FORM_LIMIT = 64 << 10
_ALGORITHM = "ES256"


def load_key(path: Path) -> EllipticCurvePrivateKey:
    """The signing key in a PEM file; made when there is none. Raises InvalidArgument, OSError."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if not path.exists():
        _make_key(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise InvalidArgument(f"can't use the token key {path}: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidArgument(f"the token key {path} must be an EC key of the curve P-256")
    return key


def _make_key(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    content = ec.generate_private_key(ec.SECP256R1()).private_bytes(serialization.Encoding.PEM, *form)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123
        file.write(content)
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # Another process made one meanwhile.
    finally:
        temporary.unlink()


@dataclass(frozen=True)
class TokenAccess:
    """What a token gives: repository by repository."""

    user: str
    granted: dict[str, frozenset[str]]
    policy: Policy

    def allows(self, name: str, action: str) -> bool:
        """See Access."""
        return action in self.granted.get(name, ())

    def sees(self, name: str) -> bool:
        """See Access. A token for the catalog names no repositories: the rules say which its user may read."""
        return self.policy.allows("" if self.user == ANONYMOUS else self.user, name, "pull")


class TokenService:
    """Gives tokens, and reads them."""

    def __init__(
        self,
        key: EllipticCurvePrivateKey,
        passwords: Passwords | None,
        policy: Policy,
        service: str = "sampan-registry",
        lifetime: int = LIFETIME,
    ) -> None:
        self._key = key
        self._public = key.public_key()
        self._id = _key_id(key)
        self._passwords = passwords
        self.policy = policy
        self.service = service
        self._lifetime = lifetime

    async def handle(self, request: Request) -> Response:
        """GET (docker's way) and POST (OAuth 2.0's) of /token. Raises RegistryError UNAUTHORIZED."""
        if request.method == "POST":
            form = (await request.body.read_all(_FORM_LIMIT)).decode("utf-8", "replace")
            fields = parse_qsl(form, keep_blank_values=True)
        elif request.method == "GET":
            fields = list(request.query)
        else:
            raise RegistryError("UNSUPPORTED", headers={"Allow": "GET, POST"})
        values = dict(reversed(fields))
        user = await self._who(request, values)
        scopes = [scope for name, text in fields if name == "scope" for scope in text.split(" ") if scope]
        answer = self._answer(user, scopes, bool(user) and _wants_refresh(values))
        return Response(200, {"Content-Type": "application/json", "Cache-Control": "no-store"}, answer)

    def read(self, token: str) -> TokenAccess | None:
        """What a token gives, None when it is not one of ours or has expired."""
        claims = self._claims(token, self.service)
        if claims is None:
            return None
        granted: dict[str, frozenset[str]] = {}
        for entry in claims.get("access", ()):
            name = CATALOG if entry["type"] == "registry" else entry["name"]
            granted[name] = granted.get(name, frozenset()) | frozenset(entry["actions"])
        return TokenAccess(claims["sub"] or ANONYMOUS, granted, self.policy)

    async def _who(self, request: Request, values: dict[str, str]) -> str:
        given = basic_credentials(request.headers.get("authorization"))
        grant = values.get("grant_type", "") if request.method == "POST" else ""
        if grant == "refresh_token":
            claims = self._claims(values.get("refresh_token", ""), "refresh")
            user = str(claims["sub"]) if claims else ""
            if not user or self._passwords is None or not self._passwords.knows(user):
                raise RegistryError("UNAUTHORIZED", "the refresh token is not good (any more): log in again")
            return user
        if grant == "password":
            given = values.get("username", ""), values.get("password", "")
        if given is None:
            return ""
        if self._passwords is None or not await self._passwords.check(*given):
            raise RegistryError("UNAUTHORIZED", "incorrect username or password")
        return given[0]

    def _answer(self, user: str, scopes: list[str], refresh: bool) -> bytes:
        now = int(time.time())
        token = self._sign(user, self.service, now + self._lifetime, access=self._grants(user, scopes))
        answer: dict[str, Any] = {
            "token": token,
            "access_token": token,
            "expires_in": self._lifetime,
            "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        }
        if refresh:
            answer["refresh_token"] = self._sign(user, "refresh", now + REFRESH_LIFETIME)
        return msgspec.json.encode(answer)

    def _grants(self, user: str, scopes: list[str]) -> list[dict[str, Any]]:
        granted = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            wanted = actions.split(",")
            if kind == "repository" and (allowed := self.policy.allowed(user, name, wanted)):
                granted.append({"type": kind, "name": name, "actions": allowed})
            elif scope == "registry:catalog:*" and self.policy.allows(user, CATALOG, CATALOG):
                granted.append({"type": kind, "name": name, "actions": [CATALOG]})
        return granted

    def _sign(self, user: str, audience: str, expires: int, **more: Any) -> str:
        import jwt

        now = int(time.time())
        claims = {
            "iss": self.service,
            "sub": user,
            "aud": audience,
            "exp": expires,
            "nbf": now - _LEEWAY,
            "iat": now,
            "jti": secrets.token_hex(8),
            **more,
        }
        return jwt.encode(claims, self._key, _ALGORITHM, headers={"kid": self._id})

    def _claims(self, token: str, audience: str) -> dict[str, Any] | None:
        import jwt

        try:
            return jwt.decode(
                token,
                self._public,
                [_ALGORITHM],
                audience=audience,
                issuer=self.service,
                leeway=_LEEWAY,
                options={"require": ["exp", "sub", "aud", "iss"]},
            )
        except jwt.PyJWTError:
            return None


class Bearer:
    """Authentication by the service's tokens. A name and password are taken too, for clients that know nothing else."""

    def __init__(self, tokens: TokenService, passwords: Passwords | None, realm: str = "") -> None:
        """`realm` is where clients get tokens, as they see it; by default /token of the host they asked for."""
        self._tokens = tokens
        self._passwords = passwords
        self._realm = realm

    async def authenticate(self, request: Request) -> Access:
        """See Authenticator."""
        field = request.headers.get("authorization")
        scheme, _, value = (field or "").partition(" ")
        if scheme.lower() == "bearer":
            access = self._tokens.read(value.strip())
            if access is None:
                raise self._refused(request, "the token is not good (any more)", 'error="invalid_token"')
            return access
        given = basic_credentials(field)
        if given is None:
            return UserAccess("", self._tokens.policy)
        if self._passwords is None or not await self._passwords.check(*given):
            raise self._refused(request, "unknown user or wrong password")
        return UserAccess(given[0], self._tokens.policy)

    def challenge(self, request: Request, name: str = "", action: str = "") -> str:
        """See Authenticator."""
        realm = self._realm or f"{request.scheme}://{request.headers.get('host', '')}/token"
        parts = [f'Bearer realm="{realm}"', f'service="{self._tokens.service}"']
        if action == CATALOG:
            parts.append('scope="registry:catalog:*"')
        elif name and action:
            wanted = "pull,push" if action == "push" else action
            parts.append(f'scope="repository:{name}:{wanted}"')
        if (request.headers.get("authorization") or "").lower().startswith("bearer"):
            parts.append('error="insufficient_scope"')
        return ",".join(parts)

    def closed(self) -> bool:
        """See Authenticator."""
        return True

    def may_ever(self, access: Access, name: str, action: str) -> bool:
        """See Authenticator."""
        user = "" if access.user == ANONYMOUS else access.user
        return self._tokens.policy.allows(user, name, action)

    def _refused(self, request: Request, message: str, more: str = "") -> RegistryError:
        challenge = self.challenge(request).partition(',error="')[0]
        field = f"{challenge},{more}" if more else challenge
        return RegistryError("UNAUTHORIZED", message, headers={"WWW-Authenticate": field})


def _wants_refresh(values: dict[str, str]) -> bool:
    return values.get("offline_token") == "true" or values.get("access_type") == "offline"


def _key_id(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_key().public_bytes(serialization.Encoding.DER, form)).hexdigest()[:16]
