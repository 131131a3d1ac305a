"""Request fields that a registry reads: ranges, conditions, accepted types, pages (RFC 9110, RFC 8288)."""

from __future__ import annotations

import re
from urllib.parse import quote

from sampan.http import Request
from sampan.registry.errors import RegistryError

__all__ = ["accepts", "byte_range", "content_range", "next_link", "not_modified", "page"]

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")
_CONTENT_RANGE = re.compile(r"(?:bytes )?(\d{1,19})-(\d{1,19})(?:/(?:\d+|\*))?")
PAGE_LIMIT = 10_000
"""The most entries in one page."""


def byte_range(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """First and last byte asked for, None for all of it; several ranges, other units and a stale If-Range are all.

    Raises 416 where the range ends before it begins or is outside of the `size` bytes (RFC 9110, 15.5.17).
    """
    match = _RANGE.fullmatch((request.headers.get("range") or "").replace(" ", ""))
    if match is None or match[1] == match[2] == "" or request.headers.get("if-range", etag) != etag:
        return None
    if match[1]:
        first, last = int(match[1]), int(match[2] or size - 1)
    else:
        first, last = max(0, size - int(match[2])), size - 1
    last = min(last, size - 1)
    if first > last:
        raise RegistryError(
            "UNSUPPORTED",
            f"the range is outside of the blob's {size} bytes",
            status=416,
            headers={"Content-Range": f"bytes */{size}"},
        )
    return first, last


def content_range(request: Request) -> int | None:
    """Where the chunk in a request begins, None when it does not say. Raises BLOB_UPLOAD_INVALID, SIZE_INVALID."""
    text = request.headers.get("content-range")
    if text is None:
        return None
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None or int(match[2]) < int(match[1]) - 1:
        raise RegistryError("BLOB_UPLOAD_INVALID", f"malformed Content-Range {text!r}: it is FIRST-LAST")
    announced = int(match[2]) - int(match[1]) + 1
    if request.body.length is not None and request.body.length != announced:
        raise RegistryError("SIZE_INVALID", f"Content-Range {text} does not fit Content-Length {request.body.length}")
    return int(match[1])


def not_modified(request: Request, etag: str) -> bool:
    """Whether the client has this already (If-None-Match)."""
    known = request.headers.get("if-none-match")
    if known is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    return "*" in tags or etag in tags


def accepts(request: Request, media_type: str) -> bool:
    """Whether the client takes this type; no Accept field takes all."""
    wanted = ",".join(request.headers.get_all("accept"))
    ranges = [element.partition(";")[0].strip() for element in wanted.split(",")]
    if not any(ranges):
        return True
    kind = media_type.partition("/")[0]
    return any(offered in (media_type, "*/*", f"{kind}/*") for offered in ranges)


def page(request: Request) -> tuple[int | None, str]:
    """How many entries are asked for, and after which. Raises UNSUPPORTED (400)."""
    count, last = request.query.get("n"), request.query.get("last")
    if not count:
        return None, last
    if not (count.isascii() and count.isdigit() and len(count) < 10):
        raise RegistryError("UNSUPPORTED", f"n is {count!r}, and must be a whole number", status=400)
    return min(int(count), PAGE_LIMIT), last


def next_link(path: str, count: int | None, last: str, more: str = "") -> dict[str, str]:
    """The Link field that leads to the next page."""
    number = "" if count is None else f"n={count}&"
    return {"Link": f'<{path}?{number}last={quote(last, safe="")}{more}>; rel="next"'}
