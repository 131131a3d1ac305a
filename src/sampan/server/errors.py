"""The one map from kinds of error to statuses, and the form of an error's reply."""

from __future__ import annotations

import errno
import logging

from sampan import errors
from sampan.http import ClientGone, HttpError, Response
from sampan.server.replies import JSON
from sampan.wire import codec
from sampan.wire.progress import ErrorResponse

log = logging.getLogger(__name__)

STATUSES: dict[type[errors.SampanError], int] = {
    errors.InvalidArgument: 400,
    errors.Unauthenticated: 401,
    errors.Denied: 403,
    errors.NotFound: 404,
    errors.NotModified: 304,
    errors.Conflict: 409,
    errors.NotImplementedYet: 501,
    errors.Unavailable: 503,
    errors.Exhausted: 500,
    errors.Upstream: 500,
    errors.DataLoss: 500,
    errors.Internal: 500,
}


def status_of(error: errors.SampanError) -> int:
    """The status of an error's kind; that of the nearest base for a subclass."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def message_reply(status: int, message: str) -> Response:
    """`{"message": ...}`, or nothing where the status has no body."""
    if status == 304:
        return Response(status)
    return Response(status, JSON, codec.encode(ErrorResponse(message=message)) + b"\n")


def error_reply(error: Exception, what: str) -> Response:
    """The reply to an error. What nobody meant to raise is logged, as of `what`, and not shown.

    Raises ClientGone again: nobody is there to be answered.
    """
    if isinstance(error, ClientGone):
        raise error
    if isinstance(error, errors.SampanError):
        status = status_of(error)
        if status == 500:
            log.error("%s: %s", what, error)
        return message_reply(status, str(error))
    if isinstance(error, HttpError):
        return message_reply(error.status, str(error))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        log.error("%s: %s", what, error)
        return message_reply(500, f"{error.filename or 'write'}: {(error.strerror or str(error)).lower()}")
    log.error("%s failed", what, exc_info=error)
    return message_reply(500, "internal error: the daemon's log says more")
