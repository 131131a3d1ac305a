"""What the daemon does between two monitors: starts the next one, finds the runtimes that the last one left, and
reaps what fell to it as the subreaper above."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sampan.kernel import pidfd as kernel_pidfd

_START_SECONDS = 10.0
_REAP_PAUSE = 0.005
_REAP_PATIENCE = 2.5  # less than the monitor's for an exit
_KEPT_STATUSES = 4096


def monitor_command(exec_root: Path) -> list[str]:
    """The command of this version's monitor: no site packages, nothing from the environment."""
    package_root = str(Path(__file__).resolve().parents[2])
    code = (
        f"import sys; sys.path.insert(0, {package_root!r}); from sampan.monitor.main import main; main(*sys.argv[1:])"
    )
    return [sys.executable, "-I", "-S", "-c", code, str(exec_root)]


async def spawn_monitor(exec_root: Path) -> subprocess.Popen[bytes]:
    """Start a monitor in a session of its own and wait until it listens."""
    process = subprocess.Popen(  # noqa: ASYNC220 (a vfork; asyncio's own would hold a thread as long as it lives)
        monitor_command(exec_root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout as ready, suppress(TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(ready.readline), _START_SECONDS)
    return process


def find_runtime(argv: Sequence[str]) -> int | None:
    """The pid of the process that runs exactly this command, if any."""
    wanted = b"\0".join(map(os.fsencode, argv)) + b"\0"
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "cmdline").read_bytes() == wanted:
                    return int(entry.name)
    return None


async def ended(pidfd: int) -> None:
    """Wait until a process has ended."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(pidfd, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(pidfd)


class Orphans:
    """Processes that a dead monitor left, reaped as they end; those that are not our children are left to others."""

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self._watched: dict[int, int] = {}

    def watch(self, pid: int) -> None:
        """Reap `pid` when it has ended, if it is ours."""
        if pid in self._watched:
            return
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return
        self._watched[pid] = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._ended, pid)

    def watch_session(self, session: int) -> None:
        """Reap our children that are of a dead monitor's session: runtimes, and what was left to it."""
        for pid in _children():
            with suppress(OSError):
                if os.getsid(pid) == session:
                    self.watch(pid)

    def _ended(self, pid: int) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._watched[pid])
        self._reap(pid, loop.time() + _REAP_PATIENCE)

    def _reap(self, pid: int, deadline: float) -> None:
        """Reap it, or see that others have. Its runtime may be its parent for a moment yet: then it falls to us."""
        if pid not in self._watched:
            return
        loop = asyncio.get_running_loop()
        status = _status_of(pid, self._watched[pid])
        if status is None and loop.time() < deadline:
            loop.call_later(_REAP_PAUSE, self._reap, pid, deadline)
            return
        os.close(self._watched.pop(pid))
        if status is not None:
            self.statuses[pid] = status
        while len(self.statuses) > _KEPT_STATUSES:
            del self.statuses[next(iter(self.statuses))]

    def close(self) -> None:
        for descriptor in self._watched.values():
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)
        self._watched.clear()


def _status_of(pid: int, descriptor: int) -> int | None:
    with suppress(ChildProcessError):
        found, status = os.waitpid(pid, os.WNOHANG)
        return status if found else None
    return kernel_pidfd.exit_status(descriptor)


def _children() -> list[int]:
    """Children of any of our threads."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found
