"""Environment variables in the text of a Dockerfile instruction: $NAME, ${NAME}, ${NAME:-word}, ${NAME:+word}."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["expand"]

_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::(?P<rule>[-+])(?P<word>[^}]*))?\}|(?P<bare>\w+))")
_SPECIAL = {"": re.compile(r"([\s\"'\\$])"), '"': re.compile(r"([\"\\$])")}


def expand(text: str, values: Mapping[str, str], quoting: bool) -> str:
    """The text with its variables replaced, but for what single quotes and backslashes keep; unknown ones are empty.

    With `quoting`, what a variable brings along is quoted, so that it stays one word when the text is taken apart.
    """
    pieces, position, quote = [], 0, ""
    while position < len(text):
        one = text[position]
        if one == "\\" and quote != "'":
            pieces.append(text[position : position + 2])
            position += 2
            continue
        if one in ("'", '"') and quote in ("", one):
            quote = "" if quote else one
        found = _VARIABLE.match(text, position) if one == "$" and quote != "'" else None
        if found is None:
            pieces.append(one)
            position += 1
        else:
            value = _value(found, values)
            pieces.append(_SPECIAL[quote].sub(r"\\\1", value) if quoting else value)
            position = found.end()
    return "".join(pieces)


def _value(found: re.Match[str], values: Mapping[str, str]) -> str:
    value = values.get(found["braced"] or found["bare"], "")
    if found["rule"] == "-":
        return value or found["word"]
    if found["rule"] == "+":
        return found["word"] if value else ""
    return value
