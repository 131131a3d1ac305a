"""How a monitor becomes a newer one: execve of itself, its descriptors open, its state in a memory file.

    frozen state (JSON in a memfd) -- execve --> main(exec_root, memfd) -- Monitor.thaw

The process stays the same: children remain children, the daemon's connection and the lock are kept, T and the progress
file too. Only a monitor at rest does it: no start, no deletion under way, nothing queued.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from sampan.monitor.protocol import Message


def descriptors(state: Message) -> Iterable[int]:
    """All descriptors that a frozen state names."""
    yield from state["files"].values()
    yield from state["transit"].values()
    for process in state["processes"]:
        yield from process["files"].values()
        yield from (client["descriptor"] for client in process["clients"])


def become(argv: list[str], state: Message) -> None:
    """Replace this process; `argv` gets the state's descriptor as its last argument. Raises OSError, unchanged then."""
    memory = os.memfd_create("monitor-state", 0)
    kept = [*descriptors(state), memory]
    try:
        os.write(memory, json.dumps(state).encode())
        os.lseek(memory, 0, os.SEEK_SET)
        for descriptor in kept:
            os.set_inheritable(descriptor, True)
        os.execve(argv[0], [*argv, str(memory)], {})
    except OSError:
        os.close(memory)
        for descriptor in kept[:-1]:
            os.set_inheritable(descriptor, False)
        raise


def read_state(memory: int) -> Message:
    """The state that `become` left; its descriptors are closed at the next exec again."""
    with os.fdopen(memory, "rb") as file:
        state: Message = json.loads(file.read())
    for descriptor in descriptors(state):
        os.set_inheritable(descriptor, False)
    return state
