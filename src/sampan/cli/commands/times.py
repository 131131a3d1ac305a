"""Times on the command line, for queries: unix seconds with a fraction."""

from __future__ import annotations

from sampan.errors import InvalidArgument
from sampan.wire.codec import SECOND, parse_time


def to_unix(text: str, what: str = "") -> str:
    """Return what the API's since and until take, "" for "". Raises InvalidArgument, naming the flag `what`."""
    if not text:
        return ""
    try:
        seconds, fraction = divmod(parse_time(text), SECOND)
    except InvalidArgument:
        prefix = f'invalid value for "{what}": ' if what else ""
        raise InvalidArgument(f'{prefix}failed to parse value as time or duration: "{text}"') from None
    return f"{seconds}.{fraction:09d}"
