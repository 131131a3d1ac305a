"""Platforms on the command line."""

from __future__ import annotations

from sampan.errors import InvalidArgument


def platform_json(text: str) -> str:
    """Return `os[/arch[/variant]]` as the JSON that queries take, "" for "". Raises InvalidArgument."""
    if not text:
        return ""
    import json

    parts = text.split("/")
    if len(parts) > 3 or not all(parts):
        raise InvalidArgument(f'invalid platform "{text}": use os[/arch[/variant]]')
    keys = ("os", "architecture", "variant")
    return json.dumps(dict(zip(keys, parts, strict=False)), separators=(",", ":"))
