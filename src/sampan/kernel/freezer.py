"""Stopping and resuming all processes of a control group, and those of the groups below it.

v1    freezer.state     THAWED ──write FROZEN──▶ FREEZING ──all stopped──▶ FROZEN
v2    cgroup.freeze     0 ──write 1──▶ 1, and `frozen 1` in cgroup.events once all are stopped
"""

from __future__ import annotations

import time
from pathlib import Path

from sampan.kernel.cgroups import CgroupLayout, read_counter

__all__ = ["freeze", "is_frozen", "thaw"]

_PATIENCE = 2.0
_PAUSE = 0.001


def freeze(layout: CgroupLayout, path: str, patience: float = _PATIENCE) -> None:
    """Stop every process of group `path`; returns when the last one stands still, after `patience` seconds at most.

    Raises TimeoutError, with nothing frozen, when one can't be stopped (it waits for a disk, say); OSError.
    """
    file = _switch(layout, path)
    deadline = time.monotonic() + patience
    _set(layout, file, frozen=True)
    while not is_frozen(layout, path):
        if time.monotonic() >= deadline:
            _set(layout, file, frozen=False)
            raise TimeoutError(f"the processes of {path} did not stop within {patience:g} s")
        time.sleep(_PAUSE)
        if layout.version == 1:
            # A process that was made while the kernel went through the group is only found by asking again.
            _set(layout, file, frozen=True)


def thaw(layout: CgroupLayout, path: str) -> None:
    """Let the processes of group `path` go on. One that is not frozen does not mind. Raises OSError."""
    _set(layout, _switch(layout, path), frozen=False)


def is_frozen(layout: CgroupLayout, path: str) -> bool:
    """Whether all processes of group `path` are stopped; False when the group is gone."""
    file = _switch(layout, path)
    if layout.version == 2:
        return read_counter(file.with_name("cgroup.events"), "frozen") == 1
    try:
        return file.read_text().strip() == "FROZEN"
    except OSError:
        return False


def _switch(layout: CgroupLayout, path: str) -> Path:
    directory = layout.directory("freezer", path)
    if directory is None:
        raise FileNotFoundError("this kernel has no cgroup freezer")
    return directory / ("cgroup.freeze" if layout.version == 2 else "freezer.state")


def _set(layout: CgroupLayout, file: Path, *, frozen: bool) -> None:
    words = ("0", "1") if layout.version == 2 else ("THAWED", "FROZEN")
    # Not write_text: the file must not be made where there is no such group.
    with file.open("r+") as switch:
        switch.write(words[frozen])
