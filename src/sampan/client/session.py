"""Requests to an engine: versions, errors, and connections that are used again.

negotiate: HEAD /_ping -> Api-Version; the lower of ours and theirs, at least 1.24, goes before every path
"""

from __future__ import annotations

from sampan import __version__
from sampan.client.errors import from_status
from sampan.client.http1 import Connection, Duplex, Head
from sampan.client.transport import Transport
from sampan.errors import SampanError, Unavailable, Upstream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import TypeVar

    T = TypeVar("T")
    Query = Mapping[str, object]
    Filters = Mapping[str, list[str]]
    Body = bytes | AsyncIterator[bytes] | None

API_VERSION = "1.51"
OLDEST_API_VERSION = "1.24"


class Session:
    """One engine as seen by one client."""

    def __init__(self, transport: Transport, version: str | None = None, user_agent: str | None = None) -> None:
        self.transport = transport
        self.version = version
        self.ping_headers: dict[str, str] = {}
        self._user_agent = user_agent or f"sampan/{__version__}"
        self._idle: list[Connection] = []

    async def negotiate(self) -> str:
        """Agree on a version if none was given; return it. Raises Unavailable when nobody listens."""
        if self.version is None:
            response = await self.request("HEAD", "/_ping", versioned=False)
            await response.read()
            self.ping_headers = response.headers
            self.version = _lower(response.headers.get("api-version") or OLDEST_API_VERSION, API_VERSION)
        return self.version

    async def request(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        versioned: bool = True,
    ) -> Response:
        """Send a request and return its successful answer. Raises the kind of error that the answer means."""
        target = await self._target(path, query, versioned)
        sent = self._headers(body, headers)
        connection, head = await self._exchange(method, target, sent, body)
        response = Response(self, connection, head, method)
        if head.status >= 400 or head.status == 304:
            raise from_status(head.status, await _message(response))
        return response

    async def upgrade(self, path: str, query: Query | None = None, body: bytes | None = None) -> Duplex:
        """POST (`body` is JSON) and take over the connection. Raises as `request` does."""
        target = await self._target(path, query, True)
        content = {} if body is None else {"Content-Type": "application/json"}
        sent = self._headers(body, {"Connection": "Upgrade", "Upgrade": "tcp", **content})
        connection, head = await self._exchange("POST", target, sent, body)
        if head.status not in (101, 200):
            raise from_status(head.status, await _message(Response(self, connection, head, "POST")))
        return Duplex(connection, head)

    async def json(self, type: type[T], method: str, path: str, query: Query | None = None, body: object = None) -> T:
        """Send `body` (a wire document, if not None) and return the answer read as `type`."""
        from sampan.wire import codec

        response = await self._document(method, path, query, body)
        try:
            return codec.decode(await response.read(), type)
        except SampanError as error:
            raise Upstream(f"the engine's answer to {method} {path} can't be read: {error}") from None

    async def call(self, method: str, path: str, query: Query | None = None, body: object = None) -> None:
        """Send `body` (a wire document, if not None) where nothing is answered."""
        response = await self._document(method, path, query, body)
        await response.read()

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().stream.close()

    async def give_back(self, connection: Connection) -> None:
        """Keep a connection whose answer was read to its end."""
        self._idle.append(connection)

    async def _document(self, method: str, path: str, query: Query | None, body: object) -> Response:
        if body is None:
            return await self.request(method, path, query)
        from sampan.wire import codec

        return await self.request(method, path, query, codec.encode(body), {"Content-Type": "application/json"})

    async def _target(self, path: str, query: Query | None, versioned: bool) -> str:
        prefix = f"/v{await self.negotiate()}" if versioned else ""
        return f"{self.transport.prefix}{prefix}{path}{encode_query(query)}"

    def _headers(self, body: Body, extra: Mapping[str, str] | None) -> dict[str, str]:
        headers = {"Host": "sampan", "User-Agent": self._user_agent, **(extra or {})}
        if isinstance(body, bytes):
            headers["Content-Length"] = str(len(body))
        elif body is not None:
            headers["Transfer-Encoding"] = "chunked"
        return headers

    async def _exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: Body
    ) -> tuple[Connection, Head]:
        while True:
            connection = await self._connection()
            try:
                head = await self._send(connection, method, target, headers, body)
            except (BrokenPipeError, ConnectionResetError):
                head = None
            if head:
                return connection, head
            await connection.stream.close()
            # An idle connection may have been closed meanwhile; a body that was an iterator can't be sent again.
            if not connection.reused or not (body is None or isinstance(body, bytes)):
                raise Unavailable(f"{self.transport} closed the connection without an answer")

    async def _send(
        self, connection: Connection, method: str, target: str, headers: Mapping[str, str], body: Body
    ) -> Head | None:
        if body is None or isinstance(body, bytes):
            await connection.send(method, target, headers, body or b"")
        else:
            await connection.send(method, target, headers)
            await connection.send_chunked(body)
        return await connection.head()

    async def _connection(self) -> Connection:
        if self._idle:
            connection = self._idle.pop()
            connection.reused = True
            return connection
        try:
            return Connection(await self.transport.connect())
        except UnicodeError as error:  # a part of the host's name is empty or too long to be asked for
            raise Unavailable(f"cannot connect to {self.transport}: there is no such host") from error
        except OSError as error:
            raise Unavailable(_unreachable(str(self.transport), error)) from error


class Response:
    """A successful answer whose body is still to be read."""

    def __init__(self, session: Session, connection: Connection, head: Head, method: str) -> None:
        self.status, self.headers = head.status, head.headers
        self._session, self._connection, self._keeps_alive = session, connection, head.keeps_alive
        self._body = connection.body(head, method)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces as they come."""
        async for piece in self._body:
            yield piece
        if self._keeps_alive:
            await self._session.give_back(self._connection)
        else:
            await self._connection.stream.close()

    async def read(self) -> bytes:
        """Return the whole body."""
        return b"".join([piece async for piece in self.chunks()])

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the lines of the body, without their ends, as they come."""
        rest = b""
        async for piece in self.chunks():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                if line.strip():
                    yield line
        if rest.strip():
            yield rest

    async def close(self) -> None:
        """Give up on the rest of the body."""
        await self._connection.stream.close()


def quote(text: str, safe: str = "") -> str:
    """Percent-encode `text` for a URL."""
    plain = _PLAIN | frozenset(safe.encode())
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))


def encode_query(query: Query | None) -> str:
    """Return `?a=b&c=d`, or "": None, False and empty ones are left out, True is 1, lists repeat, filters are JSON."""
    pairs: list[str] = []
    for key, value in (query or {}).items():
        for item in _values(value):
            pairs.append(f"{quote(key)}={quote(item)}")
    return "?" + "&".join(pairs) if pairs else ""


def _values(value: object) -> list[str]:
    if value is None or value is False or value == "" or value == {}:
        return []
    if value is True:
        return ["1"]
    if isinstance(value, list):
        return value
    return [_filters(value) if isinstance(value, dict) else str(value)]


def _filters(filters: Filters) -> str:
    import json

    return json.dumps({key: dict.fromkeys(values, True) for key, values in filters.items()}, separators=(",", ":"))


async def _message(response: Response) -> str:
    import json

    raw = await response.read()
    try:
        return str(json.loads(raw)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return raw.decode("utf-8", "replace").strip() or f"the engine answered with status {response.status}"


def _lower(one: str, other: str) -> str:
    return min(one, other, key=lambda version: [int(part) for part in version.split(".") if part.isdigit()])


def _unreachable(place: str, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"permission denied while connecting to {place}: join the socket's group or be root"
    return f"cannot connect to {place}: {error.strerror or error}. Is the daemon running?"


_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
