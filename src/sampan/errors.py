"""The kinds of error that Sampan raises. A leaf: it knows neither HTTP nor errno.

    SampanError
    ├── InvalidArgument      what the caller sent can't be right
    ├── Unauthenticated      credentials are missing or wrong
    ├── Denied               the caller may not do this
    ├── NotFound             the named thing is not there
    ├── NotModified          it is already as asked
    ├── Conflict             the thing's present state forbids it
    ├── NotImplementedYet    a feature that isn't there
    ├── Exhausted            disk, memory, descriptors or addresses ran out
    ├── Unavailable          try again later: shutting down, a peer is away
    ├── Upstream             a registry or other remote answered something unusable
    ├── DataLoss             stored or received bytes are not what they should be
    └── Internal             a bug or a broken machine

Raise the kind with a message that says what was wrong and what to do. The borders (HTTP routes, the command line)
turn kinds into statuses and exit codes, each by one map of its own.
"""

from __future__ import annotations

__all__ = [
    "Conflict",
    "DataLoss",
    "Denied",
    "Exhausted",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "NotImplementedYet",
    "NotModified",
    "SampanError",
    "Unauthenticated",
    "Unavailable",
    "Upstream",
]


class SampanError(Exception):
    """Base of every error raised on purpose; `str(error)` is the message for the person."""


class InvalidArgument(SampanError):
    """What the caller sent can't be right: malformed, out of range, contradictory."""


class Unauthenticated(SampanError):
    """Credentials are missing or wrong."""


class Denied(SampanError):
    """The caller is known, and may not do this."""


class NotFound(SampanError):
    """The named thing is not there."""


class NotModified(SampanError):
    """The thing already is as asked (starting a running container)."""


class Conflict(SampanError):
    """The thing's present state, or another thing, forbids it."""


class NotImplementedYet(SampanError):
    """A known feature that this version does not have; the message names it."""


class Exhausted(SampanError):
    """Something ran out: disk, memory, descriptors, addresses."""


class Unavailable(SampanError):
    """Not now: the daemon is shutting down, or a peer is away."""


class Upstream(SampanError):
    """A remote side (a registry, a proxy) answered something unusable."""


class DataLoss(SampanError):
    """Bytes stored or received are not what their digest or length says."""


class Internal(SampanError):
    """A bug, or a machine that does not do what it must."""
