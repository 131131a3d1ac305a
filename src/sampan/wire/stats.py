"""Resource usage of a container: times RFC 3339, CPU in nanoseconds. Engine API 1.51, ContainerStatsResponse."""

# ruff: noqa: RUF012

from __future__ import annotations

from sampan.wire.base import Document, always, always_new


class PidsStats(Document, kw_only=True):
    """Number of processes and threads."""

    current: int = 0
    limit: int = 0


class BlkioEntry(Document, kw_only=True):
    """A counter of a block device."""

    major: int = always(0)
    minor: int = always(0)
    op: str = always("")
    value: int = always(0)


class BlkioStats(Document, kw_only=True):
    """Counters of block devices."""

    io_service_bytes_recursive: list[BlkioEntry] | None = always(None)
    io_serviced_recursive: list[BlkioEntry] | None = always(None)
    io_queue_recursive: list[BlkioEntry] | None = always(None)
    io_service_time_recursive: list[BlkioEntry] | None = always(None)
    io_wait_time_recursive: list[BlkioEntry] | None = always(None)
    io_merged_recursive: list[BlkioEntry] | None = always(None)
    io_time_recursive: list[BlkioEntry] | None = always(None)
    sectors_recursive: list[BlkioEntry] | None = always(None)


class StorageStats(Document, kw_only=True):
    """Only Windows fills it."""

    read_count_normalized: int = 0
    read_size_bytes: int = 0
    write_count_normalized: int = 0
    write_size_bytes: int = 0


class CPUUsage(Document, kw_only=True):
    """CPU time used."""

    total_usage: int = always(0)
    percpu_usage: list[int] = []
    usage_in_kernelmode: int = always(0)
    usage_in_usermode: int = always(0)


class ThrottlingData(Document, kw_only=True):
    """How often and how long a quota held the container back."""

    periods: int = always(0)
    throttled_periods: int = always(0)
    throttled_time: int = always(0)


class CPUStats(Document, kw_only=True):
    """CPU time of the container and of the whole machine."""

    cpu_usage: CPUUsage = always_new(CPUUsage)
    system_cpu_usage: int = 0
    online_cpus: int = 0
    throttling_data: ThrottlingData = always_new(ThrottlingData)


class MemoryStats(Document, kw_only=True):
    """Memory in bytes; `stats` as the kernel names them."""

    usage: int = 0
    max_usage: int = 0
    stats: dict[str, int] = {}
    failcnt: int = 0
    limit: int = 0
    commitbytes: int = 0
    commitpeakbytes: int = 0
    privateworkingset: int = 0


class NetworkStats(Document, kw_only=True):
    """Counters of one interface."""

    rx_bytes: int = always(0)
    rx_packets: int = always(0)
    rx_errors: int = always(0)
    rx_dropped: int = always(0)
    tx_bytes: int = always(0)
    tx_packets: int = always(0)
    tx_errors: int = always(0)
    tx_dropped: int = always(0)
    endpoint_id: str = ""
    instance_id: str = ""


class Stats(Document, kw_only=True):
    """A sample of GET /containers/{id}/stats; a one-shot sample has neither name nor id."""

    name: str = ""
    id: str = ""
    read: str = always("")
    preread: str = always("")
    pids_stats: PidsStats = always_new(PidsStats)
    blkio_stats: BlkioStats = always_new(BlkioStats)
    num_procs: int = always(0)
    storage_stats: StorageStats = always_new(StorageStats)
    cpu_stats: CPUStats = always_new(CPUStats)
    precpu_stats: CPUStats = always_new(CPUStats)
    memory_stats: MemoryStats = always_new(MemoryStats)
    networks: dict[str, NetworkStats] = {}
