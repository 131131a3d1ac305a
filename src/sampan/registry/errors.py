"""The registry's errors: the code table of the OCI distribution specification 1.1 ("Error Codes"), and one map.

RegistryError(code)  --reply-->  status of the code, {"errors": [{"code", "message", "detail"}]}
SampanError, OSError --failure--> the code that fits, else UNKNOWN (500, 503 and 507, which the table leaves open)
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from sampan.errors import (
    Conflict,
    DataLoss,
    Denied,
    Exhausted,
    InvalidArgument,
    NotFound,
    SampanError,
    Unauthenticated,
    Unavailable,
)
from sampan.http import BodyTooLarge, HttpError, Response

log = logging.getLogger(__name__)

CODES: dict[str, tuple[int, str]] = {
    "BLOB_UNKNOWN": (404, "blob unknown to registry"),
    "BLOB_UPLOAD_INVALID": (400, "blob upload invalid"),
    "BLOB_UPLOAD_UNKNOWN": (404, "blob upload unknown to registry"),
    "DIGEST_INVALID": (400, "provided digest did not match uploaded content"),
    "MANIFEST_BLOB_UNKNOWN": (400, "manifest references a manifest or blob unknown to registry"),
    "MANIFEST_INVALID": (400, "manifest invalid"),
    "MANIFEST_UNKNOWN": (404, "manifest unknown to registry"),
    "NAME_INVALID": (400, "invalid repository name"),
    "NAME_UNKNOWN": (404, "repository name not known to registry"),
    "SIZE_INVALID": (400, "provided length did not match content length"),
    "UNAUTHORIZED": (401, "authentication required"),
    "DENIED": (403, "requested access to the resource is denied"),
    "UNSUPPORTED": (405, "the operation is unsupported"),
    "TOOMANYREQUESTS": (429, "too many requests"),
    "UNKNOWN": (500, "unknown error"),
}
"""The table's codes with the status each has here; UNKNOWN is ours, for what is the server's fault."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE)
_KINDS: tuple[tuple[type[Exception], str, int], ...] = (
    (InvalidArgument, "UNSUPPORTED", 400),
    (Unauthenticated, "UNAUTHORIZED", 401),
    (Denied, "DENIED", 403),
    (NotFound, "NAME_UNKNOWN", 404),
    (Conflict, "BLOB_UPLOAD_INVALID", 409),
    (DataLoss, "DIGEST_INVALID", 400),
    (Exhausted, "UNKNOWN", 507),
    (Unavailable, "UNKNOWN", 503),
)


class RegistryError(SampanError):
    """An error that the client gets as it is: one code of the table, with its own status where that differs."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        detail: Any = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or CODES[code][1])
        self.code = code
        self.detail = detail
        self.status = CODES[code][0] if status is None else status
        self.headers = dict(headers or {})


def reply(error: RegistryError) -> Response:
    """The answer that tells of it."""
    entry = {"code": error.code, "message": str(error)}
    if error.detail is not None:
        entry["detail"] = error.detail
    body = msgspec.json.encode({"errors": [entry]})
    return Response(error.status, {"Content-Type": "application/json", **error.headers}, body)


def failure(error: Exception, what: str) -> RegistryError:
    """Any error as one of the table; what nobody meant to raise is logged and told without its text."""
    if isinstance(error, RegistryError):
        return error
    if isinstance(error, BodyTooLarge):
        return RegistryError("SIZE_INVALID", str(error), status=413)
    if isinstance(error, HttpError):
        return RegistryError("UNSUPPORTED", str(error), status=error.status)
    for kind, code, status in _KINDS:
        if isinstance(error, kind):
            return RegistryError(code, str(error), status=status)
    if isinstance(error, OSError):
        log.error("%s: %s", what, error)
        if error.errno in _FULL:
            return RegistryError("UNKNOWN", f"the registry can't store this: {error.strerror}", status=507)
        return RegistryError("UNKNOWN", f"the registry's storage failed: {error.strerror or error}", status=503)
    log.error("%s failed", what, exc_info=error)
    return RegistryError("UNKNOWN", "internal error")
