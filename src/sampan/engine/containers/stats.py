"""GET /containers/{id}/stats: what a container has used, once a second.

kernel's counters (Usage, Interface, system time) ─ render_stats ─> Stats      pure
a stream's sample tells the one before it too (precpu_stats), so that clients can show shares of a second
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sampan.kernel.usage import Interface, IoCounter, Usage
from sampan.wire.codec import format_time
from sampan.wire.stats import (
    BlkioEntry,
    BlkioStats,
    CPUStats,
    CPUUsage,
    MemoryStats,
    NetworkStats,
    PidsStats,
    Stats,
    ThrottlingData,
)

# Docker's word for no limit, on cgroup2 only.
_UNLIMITED_PROCESSES = (1 << 64) - 1


@dataclass(frozen=True)
class Sample:
    """What was counted at one moment; `at` and `system` in nanoseconds."""

    at: int
    usage: Usage
    interfaces: Sequence[Interface]
    system: int
    processors: int


@dataclass(frozen=True)
class Machine:
    """What a sample is shown against: all memory in bytes, and whether control groups are of version 2."""

    memory: int
    unified: bool


def idle_stats(container_id: str, name: str) -> Stats:
    """The sample of a container that does not run."""
    return Stats(id=container_id, name=f"/{name}", read=format_time(0), preread=format_time(0))


def render_stats(sample: Sample, before: Sample | None, machine: Machine) -> Stats:
    """The sample as the API tells it, without the container's name and id."""
    usage = sample.usage
    return Stats(
        read=format_time(sample.at),
        preread=format_time(before.at if before else 0),
        pids_stats=_processes(usage, machine.unified),
        blkio_stats=_blkio(usage, machine.unified),
        cpu_stats=_cpu(sample),
        precpu_stats=_cpu(before) if before else CPUStats(),
        memory_stats=_memory(usage, machine),
        networks={interface.name: _network(interface) for interface in sample.interfaces},
    )


def _processes(usage: Usage, unified: bool) -> PidsStats:
    limit = usage.processes_limit or (_UNLIMITED_PROCESSES if unified else 0)
    return PidsStats(current=usage.processes, limit=limit)


def _cpu(sample: Sample) -> CPUStats:
    usage = sample.usage
    return CPUStats(
        cpu_usage=CPUUsage(
            total_usage=usage.cpu,
            percpu_usage=list(usage.cpus),
            usage_in_kernelmode=usage.cpu_kernel,
            usage_in_usermode=usage.cpu_user,
        ),
        system_cpu_usage=sample.system,
        online_cpus=sample.processors,
        throttling_data=ThrottlingData(
            periods=usage.periods, throttled_periods=usage.throttled_periods, throttled_time=usage.throttled
        ),
    )


def _memory(usage: Usage, machine: Machine) -> MemoryStats:
    limit = usage.memory_limit
    return MemoryStats(
        usage=usage.memory,
        max_usage=0 if machine.unified else usage.memory_peak,
        stats=dict(usage.memory_stats),
        failcnt=usage.memory_failures,
        limit=min(limit, machine.memory) if limit else machine.memory,
    )


def _blkio(usage: Usage, unified: bool) -> BlkioStats:
    """cgroup2 counts bytes only in the words of docker's answer; of v1 the unused lists are empty, not null."""
    sizes = _entries(usage.io_bytes)
    if unified:
        return BlkioStats(io_service_bytes_recursive=sizes or None)
    return BlkioStats(
        io_service_bytes_recursive=sizes,
        io_serviced_recursive=_entries(usage.io_operations),
        io_queue_recursive=[],
        io_service_time_recursive=[],
        io_wait_time_recursive=[],
        io_merged_recursive=[],
        io_time_recursive=[],
        sectors_recursive=[],
    )


def _entries(counters: Iterable[IoCounter]) -> list[BlkioEntry]:
    return [BlkioEntry(major=c.major, minor=c.minor, op=c.operation, value=c.value) for c in counters]


def _network(interface: Interface) -> NetworkStats:
    return NetworkStats(
        rx_bytes=interface.rx_bytes,
        rx_packets=interface.rx_packets,
        rx_errors=interface.rx_errors,
        rx_dropped=interface.rx_dropped,
        tx_bytes=interface.tx_bytes,
        tx_packets=interface.tx_packets,
        tx_errors=interface.tx_errors,
        tx_dropped=interface.tx_dropped,
    )
