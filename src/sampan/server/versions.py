"""API versions: `1.51` as a tuple that compares."""

from __future__ import annotations

Version = tuple[int, ...]

OLDEST: Version = (1, 24)
NEWEST: Version = (1, 51)


def parse_version(text: str) -> Version:
    """The version in `text` (digits and dots). As in Go's comparison, an empty part counts as 0, and so do missing
    ones: trailing zeros are cut off."""
    parts = [int(part[:9]) if part else 0 for part in text.split(".")]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def format_version(version: Version) -> str:
    """`1.51`."""
    return ".".join(str(part) for part in version)
