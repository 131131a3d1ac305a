"""TLS under a connection, with half-close: an ssl.SSLObject between two memory buffers.

    raw transport --bytes--> incoming --SSLObject--> data_received  ┐ the protocol above (a Connection)
                  <--bytes-- outgoing <--SSLObject-- write          ┘ sees TlsTransport as its transport

asyncio's own TLS closes both ways at the peer's close_notify and has no write_eof; here each way ends on its own:
the peer's close_notify is `eof_received`, and `write_eof` sends ours.

    handshaking ──▶ open ──▶ one way ended ──▶ closed            a failed or slow handshake: closed
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

__all__ = ["TlsLayer", "TlsTransport"]

HANDSHAKE_SECONDS = 30.0
_RECORDS = 256 * 1024


class TlsLayer(asyncio.Protocol):
    """The protocol of the raw transport; `above` makes the one that is served."""

    def __init__(
        self, context: ssl.SSLContext, above: Callable[[], asyncio.Protocol], server_side: bool = True
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._make_above = above
        self._above: asyncio.Protocol | None = None
        self._raw: asyncio.Transport = None  # type: ignore[assignment]  # set before anything else happens
        self._timer: asyncio.TimerHandle | None = None
        self._held: list[bytes] = []
        self._paused = self._ended = self._told_end = self._sent_end = False

    # what the raw transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._raw = transport
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, transport.abort)
        self._handshake()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._incoming.write(data)
        if self._above is None:
            self._handshake()
        else:
            self._deliver()

    def eof_received(self) -> bool:
        """The peer's end of the stream, in good order (after close_notify) or not: nothing more comes."""
        self._ended = True
        if self._above is None:
            return False
        self._deliver()
        return not self._raw.is_closing()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._above is not None:
            self._above.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._stop_timer()
        if self._above is not None:
            self._above.connection_lost(exc)

    # what the transport above calls

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if data and not self._sent_end and not self._raw.is_closing():
            self.tls.write(data)
            self._flush()

    def end(self) -> None:
        """Send our close_notify; the other way goes on."""
        if self._sent_end:
            return
        self._sent_end = True
        self._gather()
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass  # The peer's own close_notify is not there yet, or never comes.
        self._flush()

    def pause(self) -> None:
        """Take nothing more from the peer."""
        self._paused = True
        self._raw.pause_reading()

    def resume(self) -> None:
        """Go on, with what was held back first."""
        if not self._paused:
            return
        self._paused = False
        self._raw.resume_reading()
        asyncio.get_running_loop().call_soon(self._deliver)

    @property
    def raw(self) -> asyncio.Transport:
        """The transport below."""
        return self._raw

    # inside

    def _handshake(self) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError:
            self._flush()  # The alert that says why.
            self._raw.close()
            return
        self._stop_timer()
        self._flush()
        self._above = self._make_above()
        self._above.connection_made(TlsTransport(self))
        self._deliver()

    def _deliver(self) -> None:
        """Hand on what is decrypted, until the protocol above wants no more or there is no more."""
        assert self._above is not None
        self._gather()
        while self._held and not self._paused:
            self._above.data_received(self._held.pop(0))
        if self._ended and not self._held and not self._paused and not self._told_end:
            self._told_end = True
            if not self._above.eof_received():
                self.close()

    def _gather(self) -> None:
        """Decrypt all that has come."""
        try:
            while data := self.tls.read(_RECORDS):
                self._held.append(data)
            self._ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError:
            self._flush()
            self._raw.abort()
        else:
            return
        self._flush()

    def close(self) -> None:
        """Close both ways, after what was written has been sent."""
        if not self._raw.is_closing():
            self.end()
            self._raw.close()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class TlsTransport(asyncio.Transport):
    """What the protocol above writes to."""

    def __init__(self, layer: TlsLayer) -> None:
        super().__init__()
        self._layer = layer

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio.WriteTransport."""
        self._layer.write(data)

    def write_eof(self) -> None:
        """End our way alone."""
        self._layer.end()

    def can_write_eof(self) -> bool:
        """See asyncio.WriteTransport."""
        return True

    def pause_reading(self) -> None:
        """See asyncio.ReadTransport."""
        self._layer.pause()

    def resume_reading(self) -> None:
        """See asyncio.ReadTransport."""
        self._layer.resume()

    def close(self) -> None:
        """See asyncio.BaseTransport."""
        self._layer.close()

    def abort(self) -> None:
        """See asyncio.WriteTransport."""
        self._layer.raw.abort()

    def is_closing(self) -> bool:
        """See asyncio.BaseTransport."""
        return self._layer.raw.is_closing()

    def get_write_buffer_size(self) -> int:
        """See asyncio.WriteTransport."""
        return self._layer.raw.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the transport below, and "ssl_object"."""
        return self._layer.tls if name == "ssl_object" else self._layer.raw.get_extra_info(name, default)
