"""One call of an operation: what its handler decodes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeVar

from sampan.errors import InvalidArgument
from sampan.http import Request, Response
from sampan.server import compat
from sampan.server.filters import Filters, parse_filters
from sampan.server.nul import refuse_in_document
from sampan.server.replies import json_reply
from sampan.server.versions import NEWEST, Version
from sampan.wire import codec
from sampan.wire.numbers import whole

T = TypeVar("T")

BODY_LIMIT = 16 << 20
"""Bytes of a JSON body; a create request has some kilobytes."""

_WHOLE = re.compile(r"[+-]?[0-9]+")
_FALSE = frozenset(("", "0", "no", "false", "none"))


@dataclass(frozen=True)
class Call:
    """A request whose route and version are known. `operation` is the operation's id in the OpenAPI file, `params` are
    the names in the route's pattern."""

    request: Request
    operation: str = ""
    version: Version = NEWEST
    params: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """The value of a name in the pattern."""
        return self.params[name]

    def text(self, key: str, default: str = "") -> str:
        """The first value of a query key."""
        return self.request.query.get(key, default)

    def texts(self, key: str) -> list[str]:
        """Every value of a query key."""
        return self.request.query.get_all(key)

    def flag(self, key: str, default: bool = False) -> bool:
        """A boolean as dockerd reads it: all but nothing, 0, no, false, none is true; `default` where it is absent."""
        if key not in self.request.query:
            return default
        return self.text(key).strip().lower() not in _FALSE

    def strict_flag(self, key: str) -> bool:
        """A boolean as Go's ParseBool takes it. Raises InvalidArgument for other words."""
        value = self.text(key)
        if value in ("", "0", "f", "F", "false", "FALSE", "False"):
            return False
        if value in ("1", "t", "T", "true", "TRUE", "True"):
            return True
        raise InvalidArgument(f'invalid value for {key}: "{value}" is neither true nor false')

    def number(self, key: str, low: int = -(2**63), high: int = 2**63 - 1) -> int | None:
        """A whole number between `low` and `high`, None where it's absent or empty. Raises InvalidArgument."""
        value = self.text(key)
        if not value:
            return None
        return whole_number(key, value, low, high)

    def filters(self) -> Filters:
        """The `filters` parameter. Raises InvalidArgument when it is malformed."""
        return parse_filters(self.text("filters"))

    async def json(self, kind: type[T], empty: T | None = None) -> T:
        """The body as a document of type `kind`. No body at all gives `empty`, or is an error where that is None.

        Raises InvalidArgument for another Content-Type than JSON and for what `kind` can't be decoded from.
        """
        body = self.request.body
        content_type = self.request.headers.get("content-type", "")
        if content_type or body.length != 0:
            check_json_type(content_type or "")
        if body.length == 0 and empty is not None:
            return empty
        data = await body.read_all(BODY_LIMIT)
        refuse_in_document(data, "the request's body")
        try:
            return compat.request(self.operation, self.version, codec.decode(data, kind))
        except RecursionError:
            raise InvalidArgument("invalid JSON: it is nested too deeply") from None

    def reply(self, document: object, status: int = 200) -> Response:
        """A JSON reply, as clients of this version know it."""
        return json_reply(compat.response(self.operation, self.version, document), status)


def whole_number(key: str, value: str, low: int = -(2**63), high: int = 2**63 - 1) -> int:
    """`value` as a number between `low` and `high`. Raises InvalidArgument that names `key`."""
    if not _WHOLE.fullmatch(value):
        raise InvalidArgument(f'invalid value for {key}: "{value}" is not a whole number')
    number = whole(value)
    if number is None or not low <= number <= high:
        raise InvalidArgument(f'invalid value for {key}: "{value}" is out of range')
    return number


def check_json_type(content_type: str) -> None:
    """Raises InvalidArgument unless this Content-Type is JSON's."""
    media_type = content_type.partition(";")[0].strip().lower()
    if not media_type or media_type.count("/") != 1 or ";;" in content_type.replace(" ", ""):
        raise InvalidArgument(f"malformed Content-Type header ({content_type}): must be 'application/json'")
    if media_type != "application/json":
        raise InvalidArgument(f"unsupported Content-Type header ({content_type}): must be 'application/json'")
