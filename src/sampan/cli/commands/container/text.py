"""Small pieces of values on the command line."""

from __future__ import annotations

from sampan.errors import InvalidArgument


def csv(text: str) -> list[str]:
    """Return the fields of one CSV record."""
    if '"' not in text:
        return text.split(",")
    import csv as csv_module

    return next(csv_module.reader([text]), [])


def pair(text: str, separator: str = "=") -> tuple[str, str]:
    """Return what is before and after the first separator."""
    key, _, value = text.partition(separator)
    return key, value


def integer(text: str, what: str) -> int:
    """Return a number. Raises InvalidArgument, naming `what` it is for."""
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"invalid {what}: {text}: must be an integer") from None
