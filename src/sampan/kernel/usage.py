"""What a control group has used, read from its files in either layout; what interfaces and processors counted.

    v1    memory.usage_in_bytes, memory.stat, cpuacct.usage, cpu.stat, blkio.throttle.*, pids.current
    v2    memory.current, memory.stat, cpu.stat, io.stat, pids.current

Numbers are as the kernel counts them; times are turned into nanoseconds. A file that is not there counts as nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sampan.kernel.cgroups import CgroupLayout

__all__ = ["Interface", "IoCounter", "Usage", "interfaces", "read_usage", "system_cpu_time"]

_SECOND = 10**9
_TICK = _SECOND // os.sysconf("SC_CLK_TCK")
_UNLIMITED_V1 = 1 << 62
_V1_STATS = frozenset(
    "cache rss rss_huge mapped_file dirty writeback pgpgin pgpgout pgfault pgmajfault inactive_anon active_anon "
    "inactive_file active_file unevictable".split(" ")
)


@dataclass(frozen=True)
class IoCounter:
    """Bytes or operations of one kind (`Read`, `Write`, ...) on one block device."""

    major: int
    minor: int
    operation: str
    value: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """One sample. Sizes in bytes, times in nanoseconds; a limit of 0 is none. `cpus` is empty on v2."""

    processes: int = 0
    processes_limit: int = 0
    cpu: int = 0
    cpu_user: int = 0
    cpu_kernel: int = 0
    cpus: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled: int = 0
    memory: int = 0
    memory_peak: int = 0
    memory_limit: int = 0
    memory_failures: int = 0
    memory_stats: Mapping[str, int] = field(default_factory=dict)
    io_bytes: tuple[IoCounter, ...] = ()
    io_operations: tuple[IoCounter, ...] = ()


@dataclass(frozen=True)
class Interface:
    """Counters of a network interface."""

    name: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


def read_usage(layout: CgroupLayout, path: str) -> Usage | None:
    """A sample of group `path`; None when the group is gone."""
    directory = layout.directory("memory", path)
    if directory is None or not directory.exists():
        return None
    return _read_v2(directory) if layout.version == 2 else _read_v1(layout, path)


def _read_v1(layout: CgroupLayout, path: str) -> Usage:
    def at(controller: str, name: str) -> Path:
        return (layout.directory(controller, path) or Path("/nonexistent")) / name

    throttling = _pairs(at("cpu", "cpu.stat"))
    times = _pairs(at("cpuacct", "cpuacct.stat"))
    memory = _pairs(at("memory", "memory.stat"))
    limit = _number(at("memory", "memory.limit_in_bytes"))
    return Usage(
        processes=_number(at("pids", "pids.current")),
        processes_limit=_number(at("pids", "pids.max")),
        cpu=_number(at("cpuacct", "cpuacct.usage")),
        cpu_user=times.get("user", 0) * _TICK,
        cpu_kernel=times.get("system", 0) * _TICK,
        cpus=tuple(map(int, _text(at("cpuacct", "cpuacct.usage_percpu")).split())),
        periods=throttling.get("nr_periods", 0),
        throttled_periods=throttling.get("nr_throttled", 0),
        throttled=throttling.get("throttled_time", 0),
        memory=_number(at("memory", "memory.usage_in_bytes")),
        memory_peak=_number(at("memory", "memory.max_usage_in_bytes")),
        memory_limit=0 if limit >= _UNLIMITED_V1 else limit,
        memory_failures=_number(at("memory", "memory.failcnt")),
        memory_stats={key: value for key, value in memory.items() if _is_shown(key)},
        io_bytes=tuple(_counters_v1(at("blkio", "blkio.throttle.io_service_bytes_recursive"))),
        io_operations=tuple(_counters_v1(at("blkio", "blkio.throttle.io_serviced_recursive"))),
    )


def _is_shown(key: str) -> bool:
    return key.removeprefix("total_") in _V1_STATS or key.startswith("hierarchical_")


def _counters_v1(file: Path) -> Iterator[IoCounter]:
    """Lines such as `254:0 Read 4096`; the last one is a sum over devices."""
    for line in _text(file).splitlines():
        device, _, rest = line.partition(" ")
        major, colon, minor = device.partition(":")
        operation, _, value = rest.partition(" ")
        if colon and value:
            yield IoCounter(int(major), int(minor), operation, int(value))


def _read_v2(directory: Path) -> Usage:
    cpu = _pairs(directory / "cpu.stat")
    counters = list(_counters_v2(directory / "io.stat"))
    return Usage(
        processes=_number(directory / "pids.current"),
        processes_limit=_number(directory / "pids.max"),
        cpu=cpu.get("usage_usec", 0) * 1000,
        cpu_user=cpu.get("user_usec", 0) * 1000,
        cpu_kernel=cpu.get("system_usec", 0) * 1000,
        periods=cpu.get("nr_periods", 0),
        throttled_periods=cpu.get("nr_throttled", 0),
        throttled=cpu.get("throttled_usec", 0) * 1000,
        memory=_number(directory / "memory.current"),
        memory_peak=_number(directory / "memory.peak"),
        memory_limit=_number(directory / "memory.max"),
        memory_failures=_pairs(directory / "memory.events").get("oom", 0),
        memory_stats=_pairs(directory / "memory.stat"),
        io_bytes=tuple(counter for key, counter in counters if key in ("rbytes", "wbytes")),
        io_operations=tuple(counter for key, counter in counters if key in ("rios", "wios")),
    )


def _counters_v2(file: Path) -> Iterator[tuple[str, IoCounter]]:
    """Lines such as `254:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`."""
    for line in _text(file).splitlines():
        device, *pairs = line.split(" ")
        major, colon, minor = device.partition(":")
        for key, _, value in (pair.partition("=") for pair in pairs if colon):
            if key in ("rbytes", "wbytes", "rios", "wios"):
                operation = "read" if key.startswith("r") else "write"
                yield key, IoCounter(int(major), int(minor), operation, int(value))


def interfaces(pid: int) -> list[Interface]:
    """The interfaces that process `pid` sees, loopback left out; none when the process is gone."""
    found = []
    for line in _text(Path(f"/proc/{pid}/net/dev")).splitlines()[2:]:
        name, _, numbers = line.partition(":")
        values = list(map(int, numbers.split()))
        if name.strip() != "lo":
            found.append(Interface(name.strip(), *values[0:4], *values[8:12]))
    return found


def system_cpu_time() -> int:
    """The time that all processors together have counted since the boot, in nanoseconds, idle time included."""
    line = _text(Path("/proc/stat")).split("\n", 1)[0]
    # Guest time is part of user time, and not counted again.
    return sum(map(int, line.split()[1:9])) * _TICK


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _number(file: Path) -> int:
    """A file with one number; `max` is no limit: 0."""
    text = _text(file).strip()
    return int(text) if text.isdecimal() else 0


def _pairs(file: Path) -> dict[str, int]:
    """A file of `key number` lines."""
    lines = (line.split() for line in _text(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in lines if len(pair) == 2 and pair[1].isdecimal()}
