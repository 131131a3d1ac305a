"""What can go wrong on a connection, told apart by who has to act on it.

HttpError         answered by the engine, as plain text, unless the handler answers it first
└── BodyTooLarge  a body that is longer than its reader takes
ClientGone        nobody is there to be answered
"""

from __future__ import annotations


class HttpError(Exception):
    """A request that gets this status. `str(error)` is a message fit for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BodyTooLarge(HttpError):
    """The request's body is longer than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"request body is larger than {limit} bytes")
        self.limit = limit


class ClientGone(ConnectionError):
    """The client closed the connection before it had sent or taken all of it."""
