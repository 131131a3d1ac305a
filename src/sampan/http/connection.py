"""One client's connection: requests in, replies out, one after the other.

                      head whole              body whole
    ┌─▶ _read_head ─────────────▶ _read_body ───────────▶ _hold (pipelined requests wait)
    │        │ malformed               │ malformed           │
    │        ▼                         ▼                     │ reply sent
    │     refused ──▶ _drop (lingering) ◀── not kept alive ──┤
    └──────────────────────────── kept alive ────────────────┤
                                                             └─ Upgrade: a Duplex gets the input

Each of these names is the method that takes what the client sends in that state. Replies are written by the task that
runs the handler; there is one task per request, and one request at a time.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from typing import Protocol

from sampan.http.body import NO_BODY, BodyReader
from sampan.http.buffer import ByteBuffer
from sampan.http.duplex import Duplex
from sampan.http.errors import ClientGone, HttpError
from sampan.http.flow import WriteFlow
from sampan.http.framing import ChunkedFraming, Framing, LengthFraming
from sampan.http.hangup import HangupWatch
from sampan.http.head import Head, HeadParser
from sampan.http.messages import Handler, PeerCredentials, Request, Response, Upgrade
from sampan.http.render import render_refusal
from sampan.http.writer import ReplyWriter, release

log = logging.getLogger(__name__)

HELD_LIMIT = 64 * 1024
"""Bytes of pipelined requests that are kept before reading pauses."""
DISCARD_LIMIT = 256 * 1024
"""Bytes of a body nobody read that are taken in to keep the connection alive."""
LINGER_SECONDS = 0.5
"""How long a client that still sends may take to notice our end, so that it can read the reply."""


class Context(Protocol):
    """What connections share: the server."""

    handler: Handler
    hangups: HangupWatch
    connections: set[Connection]
    closing: bool
    scheme: str
    head_timeout: float
    loop: asyncio.AbstractEventLoop


class Connection(asyncio.Protocol):
    """See the module's drawing. Made by the server for each client."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set before anything else happens
        self._input: Callable[[bytes], None] = self._read_head
        self._parser = HeadParser()
        self._framing: Framing | None = None
        self._body: ByteBuffer | None = None
        self._held = b""
        self._duplex: Duplex | None = None
        self._task: asyncio.Task[None] | None = None
        self._flow: WriteFlow = None  # type: ignore[assignment]  # likewise
        self._writer: ReplyWriter = None  # type: ignore[assignment]  # likewise
        self._keep_alive = False
        self._eof = False
        self._timer: asyncio.TimerHandle | None = None
        self._discarded = 0

    # what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._flow = WriteFlow(transport)
        self._writer = ReplyWriter(transport, self._flow)
        self._context.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._input(data)

    def eof_received(self) -> bool:
        """The client ended its side; whoever still owes it a reply goes on until it hangs up altogether."""
        self._eof = True
        if self._task is None:
            return False
        if self._framing is not None and self._body is not None:
            self._body.end(HttpError(400, "unexpected EOF: the client ended before the request's body was whole"))
        if self._duplex is not None:
            self._duplex.input_ended()
        elif self._writer.streaming and not self._tells_half_close():
            return False
        self._context.hangups.watch(self._fd(), self._transport.abort)
        return True

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._flow.pause()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._flow.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._flow.end()
        self._context.connections.discard(self)
        self._context.hangups.forget(self._fd())
        self._stop_timer()
        if self._body is not None:
            self._body.end(ClientGone("the client closed the connection before the request's body was whole"))
        if self._duplex is not None:
            self._duplex.connection_lost()
        if self._writer.streaming and self._task is not None:
            self._task.cancel()

    # what the server calls

    def shut_down(self) -> asyncio.Task[None] | None:
        """Take no further request; returns the task of the one in flight, if any."""
        self._keep_alive = False
        if self._task is None:
            self._transport.close()
        return self._task

    def abort(self) -> None:
        """Drop the connection, and the request in flight with it."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    # input, by state

    def _read_head(self, data: bytes) -> None:
        try:
            end = self._parser.feed(data)
            if end is None:
                self._start_timer()
                return
            self._stop_timer()
            head = self._parser.head()
            self._parser = HeadParser()
            self._begin(head, data[end:])
        except HttpError as error:
            self._refuse(error)

    def _begin(self, head: Head, rest: bytes) -> None:
        request = self._request(head)
        self._keep_alive = head.keep_alive and not self._context.closing
        self._input = self._hold if self._framing is None else self._read_body
        if rest:
            self._input(rest)
        self._task = self._context.loop.create_task(self._serve(head, request))

    def _request(self, head: Head) -> Request:
        body = NO_BODY
        if head.chunked or head.length:
            body = self._open_body(head)
        return Request(
            head.method,
            head.target,
            head.headers,
            version=head.version,
            body=body,
            peer=self._peer_credentials,
            scheme=self._scheme,
            remote=self._remote,
        )

    def _open_body(self, head: Head) -> BodyReader:
        self._framing = ChunkedFraming() if head.chunked else LengthFraming(head.length)
        self._body = ByteBuffer(self._transport.pause_reading, self._transport.resume_reading)
        length = None if head.chunked else head.length
        return BodyReader(self._body, length, self._ask_for_body if head.expect_continue else None)

    def _ask_for_body(self) -> None:
        if not self._flow.lost:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _read_body(self, data: bytes) -> None:
        assert self._framing is not None and self._body is not None
        try:
            rest = self._framing.feed(data, self._body.feed)
        except HttpError as error:
            self._body.end(error)
            self._keep_alive = False
            self._input = self._drop
            return
        if rest is not None:
            self._framing = None
            self._body.end()
            self._input = self._hold
            if rest:
                self._hold(rest)

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > HELD_LIMIT:
            self._transport.pause_reading()

    def _drop(self, data: bytes) -> None:
        """Lingering: what still comes in is of no interest."""

    def _discard(self, data: bytes) -> None:
        """The reply was sent and nobody wants the rest of the body: take it in so that the next request is found."""
        assert self._framing is not None
        self._discarded += len(data)
        try:
            rest = self._framing.feed(data, self._drop)
        except HttpError:
            rest = None
            self._discarded = DISCARD_LIMIT + 1
        if rest is not None:
            self._next(rest)
        elif self._discarded > DISCARD_LIMIT:
            self._linger()

    # replies

    async def _serve(self, head: Head, request: Request) -> None:
        try:
            reply = await self._answer(request)
            if self._flow.lost and isinstance(reply, Response):
                await release(reply.body)
            elif isinstance(reply, Upgrade):
                await self._take_over(head, reply)
            else:
                await self._reply(head, request, reply)
        except (ClientGone, ConnectionError):
            self._transport.abort()
        except Exception:
            log.exception("replying to %s %s failed", head.method, request.raw_path)
            self._keep_alive = False
        self._finish()

    async def _answer(self, request: Request) -> Response | Upgrade:
        try:
            return await self._context.handler(request)
        except HttpError as error:
            return Response(error.status, {"Content-Type": "text/plain; charset=utf-8"}, str(error).encode())
        except ClientGone:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            log.exception("the handler of %s %s failed", request.method, request.raw_path)
            return Response(500, {"Content-Type": "text/plain; charset=utf-8"}, b"internal error\n")

    async def _reply(self, head: Head, request: Request, reply: Response) -> None:
        self._keep_alive = self._keep_alive and self._may_discard(request.body)
        if self._eof and not isinstance(reply.body, bytes) and not self._tells_half_close():
            await release(reply.body)
            raise ClientGone("the client closed the connection")
        kept = await self._writer.write(head, reply, self._keep_alive)
        self._keep_alive = self._keep_alive and kept

    def _may_discard(self, body: BodyReader) -> bool:
        """Whether the connection can be kept although the handler may have left some of the body."""
        if body.complete:
            return True
        return not body.unasked and (body.length or 0) <= DISCARD_LIMIT

    async def _take_over(self, head: Head, upgrade: Upgrade) -> None:
        self._keep_alive = False
        buffer = ByteBuffer(self._transport.pause_reading, self._transport.resume_reading)
        self._duplex = Duplex(self._transport, buffer, self._flow.drain, self._linger)
        if self._flow.lost:
            self._duplex.connection_lost()
        else:
            self._writer.write_upgrade(upgrade)
            self._redirect_input(buffer)
        await upgrade.run(self._duplex)

    def _redirect_input(self, buffer: ByteBuffer) -> None:
        """From now on input is the duplex's, once the rest of the request's own body has passed."""
        held, self._held = self._held, b""
        framing = self._framing

        def after_body(data: bytes) -> None:
            assert framing is not None
            try:
                rest = framing.feed(data, self._drop)
            except HttpError:
                buffer.end()
                self._input = self._drop
                return
            if rest is not None:
                self._input = buffer.feed
                buffer.feed(rest)

        self._input = buffer.feed if framing is None else after_body
        self._transport.resume_reading()
        buffer.feed(held)
        if self._eof:
            buffer.end()

    # between requests

    def _finish(self) -> None:
        self._task = None
        if self._flow.lost or self._transport.is_closing():
            self._context.connections.discard(self)
            return
        if not self._keep_alive or (self._eof and not self._held):
            self._linger()
        elif self._framing is not None:
            self._discarded = 0
            self._input = self._discard
            self._transport.resume_reading()
        else:
            self._next(self._held)

    def _next(self, data: bytes) -> None:
        self._framing = self._body = None
        self._held = b""
        self._input = self._read_head
        self._transport.resume_reading()
        if data:
            self._read_head(data)
        if self._eof and self._task is None:
            self._transport.close()

    def _refuse(self, error: HttpError) -> None:
        self._transport.write(render_refusal(error))
        self._linger()

    def _linger(self) -> None:
        """End our side and give the client time to end its own: closing with input unread would reset the connection,
        and the reply with it."""
        self._stop_timer()
        self._input = self._drop
        if self._eof or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._timer = self._context.loop.call_later(LINGER_SECONDS, self._transport.close)

    # about the socket

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self._context.loop.call_later(self._context.head_timeout, self._transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _socket(self) -> socket.socket:
        found: socket.socket = self._transport.get_extra_info("socket")
        return found

    def _fd(self) -> int:
        return self._socket().fileno()

    @property
    def _scheme(self) -> str:
        encrypted = self._transport.get_extra_info("ssl_object") is not None
        return "https" if encrypted else self._context.scheme

    def _tells_half_close(self) -> bool:
        return self._socket().family == socket.AF_UNIX

    def _remote(self) -> str:
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    def _peer_credentials(self) -> PeerCredentials | None:
        if not self._tells_half_close():
            return None
        data = self._socket().getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return PeerCredentials(*struct.unpack("3i", data))


def _is_cancelled() -> bool:
    """Whether this task was cancelled, and not something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
