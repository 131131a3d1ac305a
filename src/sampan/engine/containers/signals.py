"""Signals by name and number, as docker takes them."""

from __future__ import annotations

import signal

from sampan.errors import InvalidArgument
from sampan.wire.numbers import whole

_RTMIN, _RTMAX = 34, 64
_NAMES = {s.name.removeprefix("SIG"): int(s) for s in signal.Signals if s.name not in ("SIGRTMIN", "SIGRTMAX")}
_NAMES |= {"RTMIN": _RTMIN, "RTMAX": _RTMAX, "CLD": int(signal.SIGCHLD), "POLL": int(signal.SIGIO)}
_NAMES |= {f"RTMIN+{n}": _RTMIN + n for n in range(1, 16)}
_NAMES |= {f"RTMAX-{n}": _RTMAX - n for n in range(1, 15)}

# What a process without a handler survives: these do not end it.
_HARMLESS = frozenset(
    {
        signal.SIGCHLD,
        signal.SIGCONT,
        signal.SIGURG,
        signal.SIGWINCH,
        signal.SIGSTOP,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
    }
)


def parse_signal(text: str) -> int:
    """The number of `9`, `KILL`, `SIGKILL` or `sigrtmin+3`. Raises InvalidArgument."""
    given = whole(text)
    if given is not None and 1 <= given <= _RTMAX:
        return given
    if given:
        raise InvalidArgument(f"the linux daemon does not support signal {text}")
    number = _NAMES.get(text.upper().removeprefix("SIG"), 0)
    if not number:
        raise InvalidArgument(f"invalid signal: {text}")
    return number


def ends_by_default(number: int) -> bool:
    """Whether the signal's default action is to end a process."""
    return number not in _HARMLESS
