"""Who may do what, by rules; and basic authentication on top of them.

A rule gives `actions` on the repositories that match one of its patterns to its users. What no rule gives is denied.
`*` in a pattern is anything within one part of a name, `**` anything. Users are names, "*" for whoever logged in,
"anonymous" for everyone. Without rules, whoever may log in may do everything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sampan.errors import InvalidArgument
from sampan.http import Request
from sampan.registry.auth import ACTIONS, ANONYMOUS, CATALOG, Access
from sampan.registry.auth.passwords import Passwords, basic_credentials
from sampan.registry.errors import RegistryError

__all__ = ["Basic", "Policy", "Rule", "UserAccess"]


@dataclass(frozen=True)
class Rule:
    """One rule; see the module."""

    repositories: tuple[str, ...]
    users: tuple[str, ...]
    actions: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises InvalidArgument for an action that there is not."""
        unknown = set(self.actions) - set(ACTIONS)
        if unknown:
            raise InvalidArgument(f"unknown action {min(unknown)!r} in a rule: there are {', '.join(ACTIONS)}")

    @cached_property
    def _names(self) -> re.Pattern[str]:
        return re.compile("|".join(_pattern(text) for text in self.repositories))

    def covers(self, user: str) -> bool:
        """Whether it speaks of `user` ("" is nobody in particular)."""
        return ANONYMOUS in self.users or (bool(user) and ("*" in self.users or user in self.users))

    def gives(self, user: str, name: str, action: str) -> bool:
        """Whether it lets `user` do `action`."""
        return action in self.actions and self.covers(user) and self._names.fullmatch(name) is not None


@dataclass(frozen=True)
class Policy:
    """All rules."""

    rules: tuple[Rule, ...] = ()

    def allows(self, user: str, name: str, action: str) -> bool:
        """Whether `user` ("" is nobody in particular) may do `action` on the repository `name`, or see the catalog."""
        if name == CATALOG:
            return bool(user) or any(rule.covers("") for rule in self.rules)
        if not self.rules:
            return bool(user)
        return any(rule.gives(user, name, action) for rule in self.rules)

    def allowed(self, user: str, name: str, actions: Sequence[str]) -> list[str]:
        """Those of `actions` that `user` may do; `*` asks for all there are."""
        wanted = ACTIONS if "*" in actions else actions
        return [action for action in wanted if self.allows(user, name, action)]


@dataclass(frozen=True)
class UserAccess:
    """What the rules give one user."""

    user: str
    policy: Policy

    def allows(self, name: str, action: str) -> bool:
        """See Access."""
        return self.policy.allows(self.user, name, action)

    def sees(self, name: str) -> bool:
        """See Access."""
        return self.allows(name, "pull")


class Basic:
    """Basic authentication (RFC 7617): names and passwords with every request."""

    def __init__(self, passwords: Passwords, policy: Policy, realm: str = "registry") -> None:
        self._passwords = passwords
        self._policy = policy
        self._realm = realm

    async def authenticate(self, request: Request) -> Access:
        """See Authenticator."""
        given = basic_credentials(request.headers.get("authorization"))
        if given is None:
            return UserAccess("", self._policy)
        if not await self._passwords.check(*given):
            challenge = {"WWW-Authenticate": self.challenge(request)}
            raise RegistryError("UNAUTHORIZED", "unknown user or wrong password", headers=challenge)
        return UserAccess(given[0], self._policy)

    def challenge(self, request: Request, name: str = "", action: str = "") -> str:
        """See Authenticator."""
        return f'Basic realm="{self._realm}", charset="UTF-8"'

    def may_ever(self, access: Access, name: str, action: str) -> bool:
        """See Authenticator."""
        return access.allows(name, action)

    def closed(self) -> bool:
        """See Authenticator."""
        return True


def _pattern(text: str) -> str:
    parts = re.split(r"(\*\*|\*)", text)
    return "".join({"**": ".*", "*": "[^/]*"}.get(part) or re.escape(part) for part in parts)
