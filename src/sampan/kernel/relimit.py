"""Changing the limits of a living control group: the OCI runtime spec's `linux.resources`, as files to write.

    resources ─ v1_files / v2_files ─> [(controller, file, value), ...] ─ relimit ─> written, or all as it was

Only what the section names is written. Devices and huge pages can't be changed so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sampan.kernel.cgroups import CgroupLayout

__all__ = ["RelimitFailed", "relimit"]

File = tuple[str, str, str]
Resources = Mapping[str, Any]
_THROTTLES = {
    "throttleReadBpsDevice": ("blkio.throttle.read_bps_device", "rbps"),
    "throttleWriteBpsDevice": ("blkio.throttle.write_bps_device", "wbps"),
    "throttleReadIOPSDevice": ("blkio.throttle.read_iops_device", "riops"),
    "throttleWriteIOPSDevice": ("blkio.throttle.write_iops_device", "wiops"),
}


class RelimitFailed(OSError):
    """The kernel refused a value; every limit is as it was."""


def relimit(layout: CgroupLayout, path: str, resources: Resources) -> None:
    """Give group `path` the limits of `resources`. Raises RelimitFailed."""
    directories = {name: layout.directory(name, path) for name in ("memory", "cpu", "cpuset", "pids", "blkio")}
    memory, cpu = directories["memory"] or Path("/nonexistent"), directories["cpu"] or Path("/nonexistent")
    if layout.version == 2:
        files = list(_v2_files(resources, _text(memory / "memory.max"), _text(cpu / "cpu.max")))
    else:
        files = list(_v1_files(resources, _text(memory / "memory.limit_in_bytes")))
    _write_all([((directories[controller] or Path("/nonexistent")) / name, value) for controller, name, value in files])


def _write_all(files: list[tuple[Path, str]]) -> None:
    done: list[tuple[Path, str]] = []
    for file, value in files:
        try:
            before = _text(file)
            _write(file, value)
        except OSError as error:
            for written, old in reversed(done):
                _restore(written, old)
            raise RelimitFailed(error.errno, f"{file.name} can't be {value}: {error.strerror}") from error
        done.append((file, before))


def _write(file: Path, value: str) -> None:
    with file.open("r+") as opened:
        opened.write(value)


def _restore(file: Path, value: str) -> None:
    try:
        _write(file, value.strip())
    except OSError:
        # What the kernel took a moment ago it may refuse now; the first failure is what the caller hears of.
        pass


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _v1_files(resources: Resources, current_limit: str) -> Iterator[File]:
    yield from _v1_memory(resources.get("memory", {}), int(current_limit or 0))
    cpu = resources.get("cpu", {})
    for key, name in (
        ("shares", "cpu.shares"),
        ("period", "cpu.cfs_period_us"),
        ("quota", "cpu.cfs_quota_us"),
        ("realtimePeriod", "cpu.rt_period_us"),
        ("realtimeRuntime", "cpu.rt_runtime_us"),
    ):
        if key in cpu:
            yield "cpu", name, str(cpu[key])
    yield from _cpuset(cpu)
    yield from _pids(resources)
    block = resources.get("blockIO", {})
    if "weight" in block:
        yield "blkio", "blkio.bfq.weight", str(block["weight"])
    for key, (name, _) in _THROTTLES.items():
        for device in block.get(key, ()):
            yield "blkio", name, f"{device['major']}:{device['minor']} {device['rate']}"


def _v1_memory(memory: Resources, current_limit: int) -> Iterator[File]:
    """The limit must never be above the limit with swap, so which of them is written first depends on both."""
    limit = ("memory", "memory.limit_in_bytes", str(memory.get("limit", "")))
    swap = ("memory", "memory.memsw.limit_in_bytes", str(memory.get("swap", "")))
    grows = memory.get("swap", 0) == -1 or memory.get("swap", 0) > current_limit
    yield from (file for file in ((swap, limit) if grows else (limit, swap)) if file[2])
    if "reservation" in memory:
        yield "memory", "memory.soft_limit_in_bytes", str(memory["reservation"])


def _v2_files(resources: Resources, current_limit: str, current_cpu: str) -> Iterator[File]:
    yield from _v2_memory(resources.get("memory", {}), current_limit)
    cpu = resources.get("cpu", {})
    if "shares" in cpu:
        yield "cpu", "cpu.weight", str(1 + (max(2, cpu["shares"]) - 2) * 9999 // 262142)
    if "quota" in cpu or "period" in cpu:
        quota, _, period = (current_cpu.strip() or "max 100000").partition(" ")
        if "quota" in cpu:
            quota = str(cpu["quota"]) if cpu["quota"] > 0 else "max"
        yield "cpu", "cpu.max", f"{quota} {cpu.get('period', period)}"
    yield from _cpuset(cpu)
    yield from _pids(resources)
    block = resources.get("blockIO", {})
    if "weight" in block:
        yield "blkio", "io.weight", f"default {1 + (block['weight'] - 10) * 9999 // 990}"
    for key, (_, name) in _THROTTLES.items():
        for device in block.get(key, ()):
            yield "blkio", "io.max", f"{device['major']}:{device['minor']} {name}={device['rate']}"


def _v2_memory(memory: Resources, current_limit: str) -> Iterator[File]:
    """cgroup2 counts swap alone, the runtime spec counts memory and swap together."""
    limit = memory.get("limit", int(current_limit) if current_limit.strip().isdecimal() else 0)
    if "swap" in memory:
        swap = memory["swap"]
        yield "memory", "memory.swap.max", "max" if swap == -1 else str(max(0, swap - limit))
    if "limit" in memory:
        yield "memory", "memory.max", str(limit) if limit > 0 else "max"
    if "reservation" in memory:
        yield "memory", "memory.low", str(memory["reservation"])


def _cpuset(cpu: Resources) -> Iterator[File]:
    for key in ("cpus", "mems"):
        if key in cpu:
            yield "cpuset", f"cpuset.{key}", cpu[key]


def _pids(resources: Resources) -> Iterator[File]:
    limit = resources.get("pids", {}).get("limit")
    if limit is not None:
        yield "pids", "pids.max", str(limit) if limit > 0 else "max"
