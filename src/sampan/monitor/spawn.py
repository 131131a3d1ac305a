"""Starting the OCI runtime, in a mount namespace of its own where there is something to mount or to hide.

The monitor has one thread, so it may itself step into a copy of its mount namespace, mount there, spawn, and step
back: the mounts live as long as the runtime and what it started, and none is ever seen outside.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Sequence

from sampan.kernel import syscalls
from sampan.kernel.mounts import attach_from, attach_within
from sampan.monitor.protocol import Message

_DEFAULT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)


class Spawner:
    """Spawns runtimes from the mount namespace `home` and with the limit of files that the monitor was started with."""

    def __init__(self, home: int, soft_limit: int | None) -> None:
        self._home = home
        soft, self._hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.soft_limit = soft if soft_limit is None else soft_limit
        self._limit_files(self._hard)

    def spawn(self, argv: Sequence[str], environment: dict[str, str], stdio: Sequence[int], plan: Message) -> int:
        """Start `argv` with `stdio` as 0 to 2; returns its pid, raises OSError.

        Of `plan`: `cwd`, and for the namespace `slave`, `unmount` and `mounts`.
        """
        cwd = plan.get("cwd") or "/"
        if not (plan.get("mounts") or plan.get("unmount")):
            return self._start(argv, environment, stdio, cwd)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        try:
            _arrange_mounts(plan)
            return self._start(argv, environment, stdio, cwd)
        finally:
            syscalls.return_to(self._home, syscalls.CLONE_NEWNS)

    def _start(self, argv: Sequence[str], environment: dict[str, str], stdio: Sequence[int], cwd: str) -> int:
        os.chdir(cwd)
        self._limit_files(self.soft_limit)
        try:
            return os.posix_spawn(
                argv[0],
                list(argv),
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(stdio)],
                setsigdef=_DEFAULT_SIGNALS,
            )
        finally:
            self._limit_files(self._hard)
            os.chdir("/")

    def _limit_files(self, soft: int) -> None:
        """Containers get the limit that the monitor was started with, the monitor itself all it may have."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, self._hard))


def _arrange_mounts(plan: Message) -> None:
    for target in plan.get("slave") or ():
        syscalls.mount(None, target, None, syscalls.MS_SLAVE)
    for target in plan.get("unmount") or ():
        syscalls.umount(target, syscalls.MNT_DETACH)
    for mount in plan.get("mounts") or ():
        if mount.get("pid"):
            attach_from(mount["pid"], mount["source"], mount["target"])
            continue
        if mount.get("within"):
            attach_within(mount["within"], mount["source"], mount["target"])
            continue
        os.chdir(mount.get("cwd") or "/")
        syscalls.mount(mount["source"], mount["target"], mount["fstype"], mount.get("flags") or 0, mount.get("data"))
