"""Whether a container's first process runs its program yet, or still the runtime's preparations.

The runtime has answered a start a moment before the kernel executes the program. A signal in between meets the
runtime's own code as process 1, where the kernel drops what has no handler: a stop would be lost.
"""

from __future__ import annotations

import asyncio
import os
import time

_FRESH = 5_000_000_000
"""Nanoseconds after a start in which the program may not be there yet."""
_LOOKS = 2000
"""Once a millisecond, at most."""
_PAUSE = 0.001


async def begun(pid: int, started_at: int, runtime: str) -> None:
    """Wait until the process executes another program than the runtime's, or is gone.

    Nothing is waited for when the start is a while ago, and never long: a container may run the runtime itself.
    """
    if time.time_ns() - started_at > _FRESH:
        return
    for _ in range(_LOOKS):
        if not is_runtime(pid, runtime):
            return
        await asyncio.sleep(_PAUSE)


def is_runtime(pid: int, runtime: str) -> bool:
    """Whether a process still executes the runtime: its file, or the copy in memory that it makes of itself."""
    try:
        program = os.readlink(f"/proc/{pid}/exe")
        if program.startswith("/memfd:"):
            return os.path.basename(runtime) in program or "runc" in program
        return os.path.samestat(os.stat(f"/proc/{pid}/exe"), os.stat(runtime))
    except OSError:
        return False
