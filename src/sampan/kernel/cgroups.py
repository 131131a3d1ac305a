"""Control groups of all three layouts: where a group's files are, what the host can limit, reading and removing.

    layout   mounts                                              a group `/docker/ID` is
    v1       each controller its own cgroup hierarchy            one directory in each hierarchy
    hybrid   v1 and beside it a cgroup2 ("unified")              the same; the cgroup2 is not for containers
    v2       one cgroup2 at /sys/fs/cgroup                       one directory

Groups are named by absolute paths below the hierarchies' roots, as in the OCI runtime spec's `linux.cgroupsPath`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CgroupLayout", "Limits", "available_limits", "detect", "processes", "read_counter", "remove"]


@dataclass(frozen=True)
class CgroupLayout:
    """The mounted hierarchies. `controllers` maps each controller to its mount point; `unified` is cgroup2's."""

    version: int
    controllers: Mapping[str, str] = field(default_factory=dict)
    unified: str | None = None

    @property
    def hybrid(self) -> bool:
        """Whether a cgroup2 is mounted beside v1 hierarchies: Debian 12's crun refuses to work where it sees one."""
        return self.version == 1 and self.unified is not None

    def directory(self, controller: str, path: str) -> Path | None:
        """The directory of group `path` that has the controller's files, None without that controller."""
        root = self.unified if self.version == 2 else self.controllers.get(controller)
        return Path(root + path) if root is not None else None

    def directories(self, path: str) -> list[Path]:
        """Every directory that group `path` may have, one per hierarchy."""
        roots = {self.unified} if self.version == 2 else {*self.controllers.values(), self.unified}
        return [Path(root + path) for root in sorted(filter(None, roots))]

    def oom_counter(self, path: str) -> Path | None:
        """The file in which a line `oom_kill N` counts the group's processes killed for want of memory."""
        directory = self.directory("memory", path)
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        return directory / name if directory else None


@dataclass(frozen=True)
class Limits:
    """What this kernel can limit for a container; the same questions as Docker's engine asks."""

    memory: bool = False
    swap: bool = False
    reservation: bool = False
    oom_kill_disable: bool = False
    swappiness: bool = False
    kernel_memory_tcp: bool = False
    cpu_shares: bool = False
    cpu_cfs: bool = False
    cpu_realtime: bool = False
    cpuset: bool = False
    cpus: str = ""
    mems: str = ""
    blkio_weight: bool = False
    blkio_weight_device: bool = False
    blkio_read_bps: bool = False
    blkio_write_bps: bool = False
    blkio_read_iops: bool = False
    blkio_write_iops: bool = False
    pids: bool = False
    devices: bool = False


def detect(mountinfo: str | None = None) -> CgroupLayout:
    """The layout that `mountinfo` (the text of /proc/self/mountinfo; by default this process's) shows."""
    text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
    controllers: dict[str, str] = {}
    unified = None
    for target, fstype, options in _mounts(text):
        if fstype == "cgroup2":
            unified = unified or target
        elif fstype == "cgroup":
            names = [name.removeprefix("name=") for name in options if name not in ("rw", "ro", "none", "xattr")]
            controllers.update({name: target for name in names if "=" not in name and name not in controllers})
    if controllers:
        return CgroupLayout(1, controllers, unified)
    found = _read(Path(unified or "/nonexistent") / "cgroup.controllers").split()
    return CgroupLayout(2, dict.fromkeys(found, unified or ""), unified)


def _mounts(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """(mount point, file system type, super block options) of each line of a mountinfo."""
    for line in text.splitlines():
        front, separator, back = line.partition(" - ")
        if separator:
            fstype, _, options = [*back.split(" ", 2), "", ""][:3]
            yield front.split(" ")[4], fstype, options.split(",")


def available_limits(layout: CgroupLayout) -> Limits:
    """Ask the files of the root groups (v1) or the list of controllers (v2)."""
    return _limits_v2(layout) if layout.version == 2 else _limits_v1(layout)


def _limits_v1(layout: CgroupLayout) -> Limits:
    def has(controller: str, name: str) -> bool:
        directory = layout.directory(controller, "/")
        return directory is not None and (directory / name).exists()

    def text(name: str) -> str:
        directory = layout.directory("cpuset", "/")
        return _read(directory / name).strip() if directory else ""

    return Limits(
        memory=has("memory", "memory.limit_in_bytes"),
        swap=has("memory", "memory.memsw.limit_in_bytes"),
        reservation=has("memory", "memory.soft_limit_in_bytes"),
        oom_kill_disable=has("memory", "memory.oom_control"),
        swappiness=has("memory", "memory.swappiness"),
        kernel_memory_tcp=has("memory", "memory.kmem.tcp.limit_in_bytes"),
        cpu_shares=has("cpu", "cpu.shares"),
        cpu_cfs=has("cpu", "cpu.cfs_quota_us"),
        cpu_realtime=has("cpu", "cpu.rt_period_us"),
        cpuset=has("cpuset", "cpuset.cpus"),
        cpus=text("cpuset.cpus"),
        mems=text("cpuset.mems"),
        blkio_weight=has("blkio", "blkio.weight"),
        blkio_weight_device=has("blkio", "blkio.weight_device"),
        blkio_read_bps=has("blkio", "blkio.throttle.read_bps_device"),
        blkio_write_bps=has("blkio", "blkio.throttle.write_bps_device"),
        blkio_read_iops=has("blkio", "blkio.throttle.read_iops_device"),
        blkio_write_iops=has("blkio", "blkio.throttle.write_iops_device"),
        pids="pids" in layout.controllers,
        devices="devices" in layout.controllers,
    )


def _limits_v2(layout: CgroupLayout) -> Limits:
    root = Path(layout.unified or "/nonexistent")
    memory, io = "memory" in layout.controllers, "io" in layout.controllers
    return Limits(
        memory=memory,
        swap=memory and any(root.glob("*/memory.swap.max")),
        reservation=memory,
        cpu_shares="cpu" in layout.controllers,
        cpu_cfs="cpu" in layout.controllers,
        cpuset="cpuset" in layout.controllers,
        cpus=_read(root / "cpuset.cpus.effective").strip(),
        mems=_read(root / "cpuset.mems.effective").strip(),
        blkio_weight=io,
        blkio_weight_device=io,
        blkio_read_bps=io,
        blkio_write_bps=io,
        blkio_read_iops=io,
        blkio_write_iops=io,
        pids="pids" in layout.controllers,
        devices=True,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def read_counter(path: Path, key: str) -> int:
    """The number after `key` in a file of `key value` lines; 0 when the file or the line is not there."""
    for line in _read(path).splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0


def processes(layout: CgroupLayout, path: str) -> list[int]:
    """The process ids in group `path` and the groups below it, in the order of their numbers."""
    directory = layout.directory("pids" if "pids" in layout.controllers else "devices", path)
    if directory is None:
        return []
    files = [Path(folder) / "cgroup.procs" for folder, _, _ in os.walk(directory)]
    return sorted({int(line) for file in files for line in _read(file).split()})


def remove(layout: CgroupLayout, path: str, *, kill: bool = False, wait: float = 1.0) -> bool:
    """Remove group `path` with those below it; True when nothing is left. The root groups are never touched.

    With `kill`, processes that are in it are killed first. A group whose last process just ended is busy for some
    milliseconds: it is tried again for `wait` seconds. Blocking: not for the event loop.
    """
    if path.strip("/") == "":
        raise ValueError("the root groups can't be removed")
    deadline = time.monotonic() + wait
    while True:
        if kill:
            _kill_all(layout, path)
        left = [directory for directory in layout.directories(path) if not _remove_tree(directory)]
        if not left or time.monotonic() >= deadline:
            return not left
        time.sleep(0.005)


def _kill_all(layout: CgroupLayout, path: str) -> None:
    for pid in processes(layout, path):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _remove_tree(directory: Path) -> bool:
    for folder, _, _ in os.walk(directory, topdown=False):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return False
    return not directory.exists()
