"""Requests and the two kinds of reply."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO

from sampan.http.body import NO_BODY, BodyReader
from sampan.http.duplex import Duplex
from sampan.http.headers import Headers
from sampan.http.query import Query, unescape


@dataclass(frozen=True)
class PeerCredentials:
    """Who is at the other end of a unix socket, as the kernel says (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


class Request:
    """One request: its head, and its body to be read."""

    def __init__(
        self,
        method: str,
        target: str,
        headers: Headers,
        *,
        version: str = "1.1",
        body: BodyReader = NO_BODY,
        peer: Callable[[], PeerCredentials | None] = lambda: None,
        scheme: str = "http",
        remote: Callable[[], str] = lambda: "",
    ) -> None:
        """`target` is the request line's, in origin form. Raises HttpError 400 when its path has a bad escape."""
        self.method = method
        self.target = target
        self.headers = headers
        self.version = version
        self.body = body
        self.scheme = scheme
        self.raw_path, _, self.raw_query = target.partition("?")
        self.path = unescape(self.raw_path)
        self._peer = peer
        self._remote = remote

    @cached_property
    def query(self) -> Query:
        """The parsed query. Raises HttpError 400 when it is malformed."""
        return Query(self.raw_query)

    @cached_property
    def peer(self) -> PeerCredentials | None:
        """The client's process and user on a unix socket; None on others."""
        return self._peer()

    @cached_property
    def remote(self) -> str:
        """The client's address on TCP, "" on a unix socket."""
        return self._remote()

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"


@dataclass
class FileBody:
    """`count` bytes of an open file from `offset` on (to its end when None), sent by sendfile where that works.

    The file is closed once it has been sent or the client has gone.
    """

    file: IO[bytes]
    offset: int = 0
    count: int | None = None

    def size(self) -> int:
        """How many bytes will be sent."""
        rest = max(0, os.fstat(self.file.fileno()).st_size - self.offset)
        return rest if self.count is None else min(rest, self.count)


@dataclass
class Response:
    """An ordinary reply. A stream is sent in chunks unless `headers` has its Content-Length; each item leaves at once.

    The head of a streamed reply is sent before the first item is asked for.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] | FileBody = b""


@dataclass
class Upgrade:
    """A reply that takes the connection over. `run` gets it once the head has been written; it ends with `run`.

    `status` 101 switches protocols; 200 says that raw bytes follow (docker's attach without `Upgrade:`).
    `reason` replaces the status's usual words.
    """

    run: Callable[[Duplex], Awaitable[None]]
    status: int = 101
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


Handler = Callable[[Request], Awaitable[Response | Upgrade]]
