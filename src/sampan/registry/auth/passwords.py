"""Names and passwords in an htpasswd file, as bcrypt hashes (`htpasswd -B`).

A check costs tens of milliseconds by design, so it runs in a thread, few at a time, and what passed is remembered for
a while, as a keyed hash. The file is read again when it changes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sampan.errors import InvalidArgument

__all__ = ["Passwords", "basic_credentials"]

log = logging.getLogger(__name__)
REMEMBERED_FOR = 300.0
_REMEMBERED = 4096
_AT_ONCE = 2
_BCRYPT_LIMIT = 72
_NOBODY = b"$2b$10$19k93oCrmQM6sx9ROFzei.VcRgiBzEHJ.GuQWElRonbzXH2yaOQfy"
"""Compared with where there is no such user, so that the answer takes as long."""


class Passwords:
    """The users of one htpasswd file."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidArgument where the file can't be read or has a line that is not `name:bcrypt hash`."""
        self._path = path
        self._read_at = self._stamp()
        self._users = read_users(path)
        self._secret = secrets.token_bytes(32)
        self._passed: dict[bytes, float] = {}
        self._threads = ThreadPoolExecutor(_AT_ONCE, "bcrypt")

    async def check(self, name: str, password: str) -> bool:
        """Whether this is the user's password."""
        self._refresh()
        known = self._users.get(name)
        key = hmac.digest(self._secret, b"\0".join((name.encode(), password.encode(), known or b"")), hashlib.sha256)
        if self._passed.get(key, 0.0) > time.monotonic():
            return True
        fits = await asyncio.get_running_loop().run_in_executor(self._threads, _fits, password, known or _NOBODY)
        if not fits or known is None:
            return False
        if len(self._passed) >= _REMEMBERED:
            self._passed.clear()
        self._passed[key] = time.monotonic() + REMEMBERED_FOR
        return True

    def knows(self, name: str) -> bool:
        """Whether there is such a user (still)."""
        self._refresh()
        return name in self._users

    def _refresh(self) -> None:
        stamp = self._stamp()
        if stamp == self._read_at:
            return
        self._read_at = stamp
        try:
            self._users = read_users(self._path)
        except InvalidArgument as error:
            log.error("%s; the users read before stay", error)

    def _stamp(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self._path)
        except OSError:
            return (0, 0, 0)
        return found.st_mtime_ns, found.st_size, found.st_ino


def read_users(path: Path) -> dict[str, bytes]:
    """Names and hashes. Raises InvalidArgument."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"can't read the users in {path}: {error}") from None
    users: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, colon, hashed = text.partition(":")
        if not (name and colon and hashed.startswith(("$2a$", "$2b$", "$2y$"))):
            raise InvalidArgument(f"{path}, line {number}: not `name:hash` with a bcrypt hash (htpasswd -B makes them)")
        users[name] = hashed.encode()
    return users


def basic_credentials(field: str | None) -> tuple[str, str] | None:
    """Name and password of an Authorization field, None where it has none of the basic kind."""
    scheme, _, value = (field or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (name, password) if colon else ("", "")


def _fits(password: str, hashed: bytes) -> bool:
    import bcrypt

    try:
        return bcrypt.checkpw(password.encode()[:_BCRYPT_LIMIT], hashed)
    except ValueError:
        return False
