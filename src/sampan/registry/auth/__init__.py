"""Who asks, and what they may do.

    Authenticator.authenticate(request) -> Access        (raises UNAUTHORIZED for wrong credentials)
    Access.allows(repository, action)                    pull, push, delete; `*` as the repository is the catalog

Bodies: Everyone (no authentication at all), policy.Basic (htpasswd and rules), tokens.Bearer (our token service).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sampan.http import Request

__all__ = ["ACTIONS", "Access", "Authenticator", "Everyone"]

ACTIONS = ("pull", "push", "delete")
ANONYMOUS = "anonymous"
"""Stands for everyone in rules; the user of a token that was given without credentials."""
CATALOG = "*"
"""Stands for the catalog where a repository's name is asked for."""


class Access(Protocol):
    """What the sender of one request may do. `user` is "" for nobody in particular."""

    @property
    def user(self) -> str: ...

    def allows(self, name: str, action: str) -> bool: ...

    def sees(self, name: str) -> bool:
        """Whether the catalog shows a repository."""


class Authenticator(Protocol):
    """Looks at a request's credentials."""

    async def authenticate(self, request: Request) -> Access:
        """Raises RegistryError UNAUTHORIZED, with the challenge, for credentials that are wrong."""

    def challenge(self, request: Request, name: str = "", action: str = "") -> str:
        """The WWW-Authenticate field that says how to get the right to `action` on `name`."""

    def may_ever(self, access: Access, name: str, action: str) -> bool:
        """Whether the same user could do it with other credentials (a token of another scope)."""

    def closed(self) -> bool:
        """Whether `/v2/` itself needs credentials, so that clients learn how to log in."""


@dataclass(frozen=True)
class _Anything:
    user: str = ""

    def allows(self, name: str, action: str) -> bool:
        return True

    def sees(self, name: str) -> bool:
        return True


class Everyone:
    """No authentication: everyone may do everything."""

    async def authenticate(self, request: Request) -> Access:
        """See Authenticator."""
        return _Anything()

    def challenge(self, request: Request, name: str = "", action: str = "") -> str:
        """See Authenticator; never asked."""
        return "Basic"

    def may_ever(self, access: Access, name: str, action: str) -> bool:
        """See Authenticator."""
        return True

    def closed(self) -> bool:
        """See Authenticator."""
        return False
