"""One rule for every string of a request: a NUL character stands in no name, path, argument, variable or value.

Headers with one are no HTTP and end before this; what an archive has in its names is the unpacking's to say.
"""

from __future__ import annotations

import re

from sampan.errors import InvalidArgument
from sampan.http import Request

__all__ = ["refuse_in_document", "refuse_in_target"]

# In JSON it can be written in just one way; a backslash before it may be that of another escape.
_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def refuse_in_document(document: bytes, what: str) -> None:
    """Raise InvalidArgument when the JSON `document`, `what` to people, has one."""
    if b"\\u0000" in document and _ESCAPED.search(document):
        raise _refusal(what)


def refuse_in_target(request: Request) -> None:
    """Raise InvalidArgument when the path or the query has one, in a JSON document as in plain text."""
    if "\0" in request.path:
        raise _refusal("the path")
    for key, value in request.query:
        if "\0" in key or "\0" in value:
            raise _refusal("the query")
        if value[:1] in ("{", "["):
            refuse_in_document(value.encode("utf-8", "replace"), f"the document of {key}")


def _refusal(what: str) -> InvalidArgument:
    return InvalidArgument(f"{what} has a NUL character in it, which no name, path or value can have")
