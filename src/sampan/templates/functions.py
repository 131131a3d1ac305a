"""The functions of templates: Go's built-in ones, and docker's: json split join title lower upper pad truncate."""

from __future__ import annotations

import re

from sampan.templates.syntax import TemplateError
from sampan.templates.values import MISSING, field, show, to_json, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

VERB = re.compile(r"%([-+# 0]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")


def printf(form: str, *values: Any) -> str:
    """Format as Go's fmt.Sprintf: the verbs s v d q t x X f g e c T and %%, with flags, width and precision."""
    rest = list(values)

    def one(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        text = _verb(rest.pop(0), verb, precision, "+" in flags)
        if not width:
            return text
        if "-" in flags:
            return text.ljust(int(width))
        return text.zfill(int(width)) if "0" in flags else text.rjust(int(width))

    return VERB.sub(one, form)


def _verb(value: Any, verb: str, precision: str | None, plus: bool) -> str:
    if verb == "q":
        return to_json(show(value))
    if verb in "feg" and isinstance(value, int | float):
        return f"{float(value):.{precision or 6}{verb}}"
    if verb == "d" and isinstance(value, int):
        return f"{value:+d}" if plus else str(value)
    if verb in "xX":
        text = format(value, "x") if isinstance(value, int) else show(value).encode().hex()
        return text.upper() if verb == "X" else text
    if verb == "c" and isinstance(value, int):
        return chr(value)
    text = show(value)
    return text[: int(precision)] if precision and verb in "sv" else text


def index(value: Any, *keys: Any) -> Any:
    """Return value[key][key]...; a missing key of a map is the empty string (Go: the zero value)."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "")
        elif isinstance(value, list | tuple | str) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise TemplateError(f"error calling index: index out of range: {key}")
            value = value[key]
        elif value is None or value is MISSING:
            raise TemplateError("error calling index: index of untyped nil")
        else:
            value = field(value, str(key))
    return value


def slice_(value: Any, *bounds: int) -> Any:
    """Return value[low:high]."""
    low, high = (*bounds, *(0, len(value))[len(bounds) :])[:2]
    if not 0 <= low <= high <= len(value):
        raise TemplateError("error calling slice: index out of range")
    return value[low:high]


def all_of(*values: Any) -> Any:
    """Return the first false value, else the last."""
    return next((value for value in values if not truth(value)), values[-1])


def any_of(*values: Any) -> Any:
    """Return the first true value, else the last."""
    return next((value for value in values if truth(value)), values[-1])


def title(text: str) -> str:
    """Return `text` with the first letter of each word in upper case."""
    return re.sub(r"\b\w", lambda match: match[0].upper(), text)


def pad(text: str, before: int, after: int) -> str:
    """Return `text` between spaces, "" for ""."""
    return " " * before + text + " " * after if text else ""


def _compare(name: str, test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        try:
            return test(left, right)
        except TypeError:
            raise TemplateError(f"error calling {name}: incompatible types for comparison") from None

    return compare


def _length(value: Any) -> int:
    try:
        return len(value)
    except TypeError:
        raise TemplateError("error calling len: len of nil pointer or scalar") from None


def _print(*values: Any) -> str:
    """Join as fmt.Sprint: a space between neighbours where neither is a string."""
    text = ""
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            text += " "
        text += show(value)
    return text


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": all_of,
    "or": any_of,
    "not": lambda value: not truth(value),
    "len": _length,
    "index": index,
    "slice": slice_,
    "print": _print,
    "printf": printf,
    "println": lambda *values: " ".join(show(value) for value in values) + "\n",
    "eq": lambda left, *rights: any(left == right for right in rights),
    "ne": lambda left, right: left != right,
    "lt": _compare("lt", lambda left, right: left < right),
    "le": _compare("le", lambda left, right: left <= right),
    "gt": _compare("gt", lambda left, right: left > right),
    "ge": _compare("ge", lambda left, right: left >= right),
    "json": to_json,
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "join": lambda items, separator: separator.join(show(item) for item in items),
    "title": title,
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "pad": pad,
    "truncate": lambda text, length: text[:length],
}

HEADINGS: dict[str, Callable[..., Any]] = FUNCTIONS | {
    name: lambda *values: values[0]
    for name in ("json", "title", "lower", "upper", "truncate", "split", "join", "pad", "slice")
}
"""What the same functions do to the headings of a table: nothing."""
