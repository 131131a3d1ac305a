"""Statuses turned back into kinds of error. The other direction is the server's map."""

from __future__ import annotations

from sampan import errors


class Answered(errors.SampanError):
    """Mixed into every error that the daemon answered with, to tell them from those of the client's own."""

    status = 500


def from_status(status: int, message: str) -> errors.SampanError:
    """Return the error that an answer with `status` means."""
    if status in _KINDS:
        return _KINDS[status](message)
    return (_SERVER if status >= 500 else _CLIENT)(message)


def _answered(kind: type[errors.SampanError], status: int) -> type[errors.SampanError]:
    return type(f"Answered{kind.__name__}", (Answered, kind), {"status": status})


_KINDS = {
    status: _answered(kind, status)
    for status, kind in (
        (304, errors.NotModified),
        (400, errors.InvalidArgument),
        (401, errors.Unauthenticated),
        (403, errors.Denied),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (501, errors.NotImplementedYet),
        (503, errors.Unavailable),
    )
}
_CLIENT = _answered(errors.InvalidArgument, 400)
_SERVER = _answered(errors.Internal, 500)
