"""Heads of replies, as bytes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

from sampan.http.errors import HttpError

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_date: tuple[int, str] = (0, "")


def http_date() -> str:
    """Now, as the Date field has it; formatted once a second."""
    global _date
    now = int(time.time())
    if now != _date[0]:
        _date = (now, formatdate(now, usegmt=True))
    return _date[1]


def render_head(version: str, status: int, headers: Mapping[str, str], extra: str, reason: str | None = None) -> bytes:
    """Status line and fields; `extra` is whole lines of the engine's own. Raises ValueError for a field with a line
    break in it: it would start another field, or the body."""
    phrase = _REASONS.get(status, "Status") if reason is None else reason
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if fields.count("\n") != len(headers) or fields.count("\r") != len(headers):
        raise ValueError(f"a header field has a line break in it: {dict(headers)!r}")
    return f"HTTP/{version} {status} {phrase}\r\n{fields}{extra}\r\n".encode("latin-1", "replace")


def render_refusal(error: HttpError) -> bytes:
    """The whole reply to a request that never got to the handler, in the words of Go's server."""
    words = f"{error.status} {_REASONS[error.status]}"
    if error.status == 501:
        line, body = words, str(error)
    else:
        line = body = f"{words}: {error}" if str(error) else words
    fields = "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    return f"HTTP/1.1 {line}\r\n{fields}\r\n{body}".encode("latin-1", "replace")
