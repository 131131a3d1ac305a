"""An HTTP/1.1 server engine on httptools and `asyncio.Protocol`. A leaf: it knows nothing of containers.

    HttpServer ──accepts──▶ Connection (one per client; asyncio.Protocol)
                              │ Head        request line and headers, parsed by httptools
                              │ Framing     where a body ends: by length or by chunks
                              ▼
       handler(Request) ─────▶ Response     whole bytes, a stream (chunked) or a file (sendfile)
                        └────▶ Upgrade      the connection itself, as a Duplex with half-close both ways

A handler's coroutine always runs to its end, whether or not its client waits. What is cancelled when the client goes
away is the body of a streamed response, even while it waits for its next item; reading the rest of a request's body
raises, and a `Duplex` reads end-of-file and tells by `closed()`.
"""

from __future__ import annotations

from sampan.http.body import BodyReader
from sampan.http.duplex import Duplex
from sampan.http.errors import BodyTooLarge, ClientGone, HttpError
from sampan.http.headers import Headers
from sampan.http.messages import FileBody, Handler, PeerCredentials, Request, Response, Upgrade
from sampan.http.query import Query
from sampan.http.server import HttpServer

__all__ = [
    "BodyReader",
    "BodyTooLarge",
    "ClientGone",
    "Duplex",
    "FileBody",
    "Handler",
    "Headers",
    "HttpError",
    "HttpServer",
    "PeerCredentials",
    "Query",
    "Request",
    "Response",
    "Upgrade",
]
