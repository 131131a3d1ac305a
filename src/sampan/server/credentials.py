"""Credentials in X-Registry-Auth and X-Registry-Config: JSON in base64url (Engine API, "Authentication")."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

from sampan.errors import InvalidArgument
from sampan.http import Request
from sampan.server.nul import refuse_in_document
from sampan.wire import codec
from sampan.wire.distribution import AuthConfig

T = TypeVar("T")


def registry_credentials(request: Request) -> AuthConfig | None:
    """What X-Registry-Auth holds. As in dockerd, a missing, empty or unreadable one means no credentials.

    Raises InvalidArgument for a NUL in them."""
    found = _document(request.headers.get("x-registry-auth"), AuthConfig)
    return None if found == AuthConfig() else found


def registry_config(request: Request) -> dict[str, AuthConfig]:
    """Credentials by registry, of X-Registry-Config; none when it is missing or unreadable."""
    return _document(request.headers.get("x-registry-config"), dict[str, AuthConfig]) or {}


def _document(text: str | None, kind: type[T]) -> T | None:
    if not text:
        return None
    try:
        document = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    refuse_in_document(document, "the credentials")
    try:
        return codec.decode(document, kind)
    except (InvalidArgument, RecursionError):
        return None
