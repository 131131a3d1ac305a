"""Who a container's process is: `User` strings resolved against an image's own passwd and group files.

    ""            root's entry                    "daemon"     by name, with the groups that list it
    "8888"        by number, known or not         "5:7"        numbers, no further groups
    "www-data:audio"   names of both files        ":wheel"     root with another primary group

Pure: the two files come as text ("" when the image has none). The rules and words are those of Docker's engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sampan.errors import InvalidArgument

__all__ = ["User", "resolve_user"]

_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class User:
    """A process's identity. `groups` are the supplementary ones, the primary first, as Docker gives them."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = (0,)
    home: str = "/"


@dataclass(frozen=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(spec: str, passwd: str, group: str, group_add: Sequence[str] = ()) -> User:
    """Resolve `user[:group]` and the names or numbers of `group_add`.

    Raises InvalidArgument when a name is in neither file or a number is out of range.
    """
    user_part, _, group_part = spec.partition(":")
    groups = tuple(_groups(group))
    account = _find_account(user_part, tuple(_accounts(passwd)))
    gid, members_of = _primary_group(account, group_part, groups)
    extra = _unique(_group_id(name, groups) for name in group_add)
    return User(account.uid, gid, (gid, *members_of, *extra), account.home)


def _find_account(user: str, accounts: tuple[_Account, ...]) -> _Account:
    number = 0 if user == "" else _number(user)
    for account in accounts:
        if (user and account.name == user) or account.uid == number:
            return account
    if number is None:
        raise InvalidArgument(f"unable to find user {user}: no matching entries in passwd file")
    return _Account("", _checked(number), 0, "/")


def _primary_group(account: _Account, group: str, groups: tuple[_Group, ...]) -> tuple[int, tuple[int, ...]]:
    """The primary group, and those that list the account: only where no group was asked for."""
    if group:
        return _group_id(group, groups), ()
    if not account.name:
        return account.gid, ()
    return account.gid, tuple(entry.gid for entry in groups if account.name in entry.members)


def _group_id(name: str, groups: tuple[_Group, ...]) -> int:
    number = _number(name)
    for entry in groups:
        if entry.name == name or entry.gid == number:
            return entry.gid
    if number is None:
        raise InvalidArgument(f"unable to find group {name}: no matching entries in group file")
    return _checked(number)


def _checked(number: int) -> int:
    if not 0 <= number <= _LARGEST_ID:
        raise InvalidArgument(f"uids and gids must be in range 0-{_LARGEST_ID}")
    return number


def _number(text: str) -> int | None:
    digits = text[1:] if text[:1] in ("-", "+") else text
    return int(text) if digits.isascii() and digits.isdigit() else None


def _unique(numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(numbers))


def _fields(text: str) -> Iterator[list[str]]:
    """The colon-separated fields of each line, padded so that a short line is an entry with empty fields."""
    for line in text.splitlines():
        if line.strip():
            yield [*line.strip().split(":"), *[""] * 6]


def _accounts(text: str) -> Iterator[_Account]:
    for name, _, uid, gid, _, home, *_ in _fields(text):
        yield _Account(name, _number(uid) or 0, _number(gid) or 0, home)


def _groups(text: str) -> Iterator[_Group]:
    for name, _, gid, members, *_ in _fields(text):
        yield _Group(name, _number(gid) or 0, tuple(members.split(",")) if members else ())
