"""The query of a URL, as strict as Go's `url.ParseQuery`: a bad escape or a semicolon is an error, `+` is a space."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from sampan.http.errors import HttpError

_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)


def unescape(text: str) -> str:
    """Undo percent-encoding. Bytes that are not UTF-8 become U+FFFD. Raises HttpError 400 for a bad escape."""
    if "%" not in text:
        return text
    if bad := _BAD_ESCAPE.search(text):
        raise HttpError(400, f'invalid URL escape "{bad.group()}"')
    return unquote_to_bytes(text).decode("utf-8", "replace")


class Query:
    """The keys and values of a query, in order; a key may come several times. Keys keep their case."""

    __slots__ = ("_pairs",)

    def __init__(self, raw: str = "") -> None:
        """Parse `raw`, the part of a URL after `?`. Raises HttpError 400 for a malformed one."""
        self._pairs = [self._pair(part) for part in raw.split("&") if part] if raw else []

    @staticmethod
    def _pair(part: str) -> tuple[str, str]:
        if ";" in part:
            raise HttpError(400, "invalid semicolon separator in query")
        key, _, value = part.replace("+", " ").partition("=")
        return unescape(key), unescape(value)

    def get(self, key: str, default: str = "") -> str:
        """The first value of `key`, else `default`."""
        return next((value for name, value in self._pairs if name == key), default)

    def get_all(self, key: str) -> list[str]:
        """Every value of `key`, in order."""
        return [value for name, value in self._pairs if name == key]

    def __contains__(self, key: str) -> bool:
        return any(name == key for name, _ in self._pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __repr__(self) -> str:
        return f"Query({self._pairs!r})"
