"""Numbers that people write into names, queries and options."""

from __future__ import annotations

import re

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")


def whole(text: str) -> int | None:
    """The number that ASCII digits with or without a sign stand for; None for everything else, and beyond 19 digits."""
    if not _WHOLE.fullmatch(text):
        text = _LEADING_ZEROS.sub("", text, count=1)
    return int(text) if _WHOLE.fullmatch(text) else None
