"""Waiting for a state: by looking again, with a limit that a busy machine does not reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str = "", seconds: float = 60) -> T:
    """Poll until `condition()` gives something true, and return it. `what` says in words what is waited for."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what or condition}: still not so after {seconds} s"
        time.sleep(0.02)
    return value
