"""The head of a request: parsed by httptools, its end found exactly, its framing decided.

httptools reads on into the next message; a connection that may be taken over must not. So it gets the bytes up to the
empty line and no more, and bodies are cut by `framing`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import httptools

from sampan.http.errors import HttpError
from sampan.http.headers import Headers

HEAD_LIMIT = 1 << 20
"""Bytes of request line and headers together, as Go's server has it."""

_END = re.compile(rb"\n\r?\n")
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_CARRY = 2


@dataclass(slots=True)
class Head:
    """A parsed head. `length` and `chunked` say how the body ends; without either there is none."""

    method: str
    target: str
    version: str
    headers: Headers
    keep_alive: bool
    length: int = 0
    chunked: bool = False
    expect_continue: bool = False


@dataclass(slots=True)
class HeadParser:
    """Parses one head, fed piece by piece. States: reading, then done; a raised HttpError ends it."""

    started: bool = False
    _size: int = 0
    _tail: bytes = b""
    _target: list[bytes] = field(default_factory=list)
    _fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    _complete: bool = False
    _keep_alive: bool = False
    _parser: httptools.HttpRequestParser | None = None

    def feed(self, data: bytes) -> int | None:
        """Take `data`; returns where in it the head has ended, or None while it has not.

        Raises HttpError 400, 431 or 505 for a head that can't be right.
        """
        if not self.started:
            stripped = data.lstrip(b"\r\n")
            if not stripped:
                return None
            self.started = True
            return self._shifted(self._take(stripped), len(data) - len(stripped))
        return self._take(data)

    @staticmethod
    def _shifted(end: int | None, skipped: int) -> int | None:
        return None if end is None else end + skipped

    def _take(self, data: bytes) -> int | None:
        match = _END.search(self._tail + data if self._tail else data)
        end = len(data) if match is None else match.end() - len(self._tail)
        self._size += end
        if self._size > HEAD_LIMIT:
            raise HttpError(431, "")
        self._parse(data[:end])
        if match is None:
            if self._complete:
                raise HttpError(400, "")
            self._tail = (self._tail + data)[-_CARRY:]
            return None
        if not self._complete:
            raise HttpError(400, "")
        return end

    def _parse(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(_with_whole_line_ends(data, self._tail[-1:]))
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            self._refuse(str(error))

    def _refuse(self, reason: str) -> None:
        if self._complete and "Transfer-Encoding" in reason and "Content-Length" not in reason:
            return  # `head` says it better
        if "HTTP version" in reason:
            raise HttpError(505, "unsupported protocol version")
        raise HttpError(400, "")

    def on_url(self, url: bytes) -> None:
        """Called by httptools, once or in pieces."""
        self._target.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Called by httptools."""
        assert self._parser is not None
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()

    def head(self) -> Head:
        """The parsed head. Raises HttpError 400, 417, 501 or 505 when it asks for what can't be."""
        assert self._parser is not None, "fed first"
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise HttpError(
                400 if version == "0.9" else 505, "" if version == "0.9" else "unsupported protocol version"
            )
        head = Head(
            method=self._parser.get_method().decode("ascii"),
            target=_origin_form(b"".join(self._target)),
            version=version,
            headers=Headers(self._fields),
            keep_alive=self._keep_alive,
        )
        _check_host(head)
        _decide_framing(head)
        return head


def _with_whole_line_ends(data: bytes, before: bytes) -> bytes:
    """`data` with bare line feeds made whole, as a lenient reader may (RFC 9112, 2.2); `before` is the byte before."""
    if data.count(b"\n") == data.count(b"\r\n"):
        return data
    begun = 1 if before == b"\r" and data.startswith(b"\n") else 0
    return data[:begun] + _BARE_LINE_FEED.sub(b"\r\n", data[begun:])


def _origin_form(target: bytes) -> str:
    """`/path?query` of whatever form the request line has (RFC 9112, 3.2)."""
    text = target.decode("utf-8", "replace")
    if text.startswith("/"):
        return text
    scheme, separator, rest = text.partition("://")
    if separator and scheme.isalpha():
        return "/" + rest.partition("/")[2]
    return text


def _check_host(head: Head) -> None:
    hosts = len(head.headers.get_all("host"))
    if hosts == 0 and head.version == "1.1":
        raise HttpError(400, "missing required Host header")
    if hosts > 1:
        raise HttpError(400, "too many Host headers")


def _decide_framing(head: Head) -> None:
    """Read Content-Length, Transfer-Encoding and Expect (RFC 9112, 6; RFC 9110, 10.1.1)."""
    fields = head.headers
    for value in fields.get_all("expect"):
        if value.lower() != "100-continue":
            raise HttpError(417, "")
        head.expect_continue = head.version == "1.1"
    if encodings := fields.tokens("transfer-encoding"):
        if encodings != ["chunked"]:
            raise HttpError(501, "Unsupported transfer encoding")
        head.chunked = True
    elif length := fields.get("content-length"):
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            raise HttpError(400, "")
        head.length = int(length)
