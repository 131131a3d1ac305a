"""Checks of HostConfig's limits against what the kernel can limit. Pure; messages are those of Docker 28.5."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from sampan.errors import InvalidArgument
from sampan.kernel.facts import HostFacts
from sampan.wire.containers import Resources
from sampan.wire.numbers import whole

__all__ = ["check", "drop_unsupported", "numbers"]

R = TypeVar("R", bound=Resources)

_LEAST_MEMORY = 6 << 20
_MOST_CPUS = 8192
_NO_OOM_LIMIT = (
    "OOM killer is disabled for the container, but no memory limit is set, "
    "this can result in the system running out of resources."
)


def check(host: Resources, facts: HostFacts) -> Iterator[str]:
    """Yield warnings for limits that are dropped; raises InvalidArgument for one that can't be."""
    _check_memory(host)
    _check_cpu(host, facts)
    _check_cpuset(host, facts)
    _check_windows(host)
    for name, warning in _unsupported(host, facts):
        if getattr(host, name):
            yield warning
    if host.cpu_percent:
        yield "linux does not support CPU percent. Percent discarded."
    if host.oom_kill_disable and facts.limits.oom_kill_disable and not host.memory:
        yield _NO_OOM_LIMIT


def drop_unsupported(host: R, facts: HostFacts) -> R:
    """`host` without the limits that `check` warned of, and without values that mean "no limit"."""
    unset = Resources()
    changes: dict[str, Any] = {name: getattr(unset, name) for name, _ in _unsupported(host, facts)}
    if host.cpu_percent:
        changes["cpu_percent"] = 0
    if host.pids_limit is not None and host.pids_limit <= 0:
        changes["pids_limit"] = None
    if host.memory_swappiness == -1:
        changes["memory_swappiness"] = None
    return msgspec.structs.replace(host, kernel_memory=0, **changes)


def _unsupported(host: Resources, facts: HostFacts) -> Iterator[tuple[str, str]]:
    """(attribute, warning) for each limit that this kernel does not have."""
    able = facts.limits
    no = "Your kernel does not support "
    table = (
        ("memory", able.memory, f"{no}memory limit capabilities or the cgroup is not mounted. Limitation discarded."),
        (
            "memory_swap",
            able.swap or host.memory_swap <= 0,
            f"{no}swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
        ),
        (
            "memory_swappiness",
            able.swappiness or host.memory_swappiness == -1,
            f"{no}memory swappiness capabilities, or the cgroup is not mounted. Memory swappiness discarded.",
        ),
        (
            "memory_reservation",
            able.reservation,
            f"{no}memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
        ),
        (
            "kernel_memory_tcp",
            able.kernel_memory_tcp,
            f"{no}kernel memory TCP limit capabilities or the cgroup is not mounted. Limitation discarded.",
        ),
        ("oom_kill_disable", able.oom_kill_disable, f"{no}OomKillDisable. OomKillDisable discarded."),
        (
            "pids_limit",
            able.pids or (host.pids_limit or 0) <= 0,
            f"{no}PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
        ),
        ("cpu_shares", able.cpu_shares, f"{no}CPU shares or the cgroup is not mounted. Shares discarded."),
        ("cpu_period", able.cpu_cfs, f"{no}CPU cfs period or the cgroup is not mounted. Period discarded."),
        ("cpu_quota", able.cpu_cfs, f"{no}CPU cfs quota or the cgroup is not mounted. Quota discarded."),
        ("cpuset_cpus", able.cpuset, f"{no}cpuset or the cgroup is not mounted. Cpuset discarded."),
        ("cpuset_mems", able.cpuset, f"{no}cpuset or the cgroup is not mounted. Cpuset discarded."),
        (
            "blkio_weight",
            able.blkio_weight,
            f"{no}Block I/O weight or the cgroup is not mounted. Weight discarded.",
        ),
        (
            "blkio_weight_device",
            able.blkio_weight_device,
            f"{no}Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
        ),
        (
            "blkio_device_read_bps",
            able.blkio_read_bps,
            f"{no}BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
        ),
        (
            "blkio_device_write_bps",
            able.blkio_write_bps,
            f"{no}BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.",
        ),
        (
            "blkio_device_read_iops",
            able.blkio_read_iops,
            f"{no}IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.",
        ),
        (
            "blkio_device_write_iops",
            able.blkio_write_iops,
            f"{no}IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.",
        ),
    )
    return ((name, warning) for name, supported, warning in table if not supported)


def _check_memory(host: Resources) -> None:
    memory, swap, reservation = host.memory, host.memory_swap, host.memory_reservation
    if memory and memory < _LEAST_MEMORY:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if memory and swap > 0 and swap < memory:
        raise InvalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage")
    if not memory and swap > 0:
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    swappiness = host.memory_swappiness
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise InvalidArgument(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if reservation and reservation < _LEAST_MEMORY:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if memory and reservation > memory:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")


def _check_cpu(host: Resources, facts: HostFacts) -> None:
    for name, value in (("Period", host.cpu_period), ("Quota", host.cpu_quota)):
        if host.nano_cpus > 0 and value > 0:
            raise InvalidArgument(f"Conflicting options: Nano CPUs and CPU {name} cannot both be set")
    if host.nano_cpus and not 0 < host.nano_cpus <= facts.cpus * 10**9:
        raise InvalidArgument(
            f"range of CPUs is from 0.01 to {facts.cpus}.00, as there are only {facts.cpus} CPUs available"
        )
    if host.cpu_shares < 0:
        raise InvalidArgument(f"invalid CPU shares ({host.cpu_shares}): value must be a positive integer")
    if host.cpu_period and not 1_000 <= host.cpu_period <= 1_000_000:
        raise InvalidArgument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host.cpu_quota < 1_000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    runtime, period = host.cpu_realtime_runtime, host.cpu_realtime_period
    if (runtime or period) and not facts.limits.cpu_realtime:
        raise InvalidArgument("kernel does not support CPU real-time scheduler")
    if runtime and period and runtime > period:
        raise InvalidArgument("cpu real-time runtime cannot be higher than cpu real-time period")


def _check_cpuset(host: Resources, facts: HostFacts) -> None:
    if not facts.limits.cpuset:
        return
    kinds = (
        ("cpus", "CPUs", host.cpuset_cpus, facts.limits.cpus),
        ("mems", "memory nodes", host.cpuset_mems, facts.limits.mems),
    )
    for kind, name, asked, available in kinds:
        try:
            wanted = numbers(asked)
        except ValueError as error:
            raise InvalidArgument(f"Invalid value {asked} for cpuset {kind}: {error}") from None
        if not wanted <= numbers(available):
            raise InvalidArgument(f"Requested {name} are not available - requested {asked}, available: {available}")


def numbers(text: str) -> frozenset[int]:
    """The numbers of a list such as `0-3,7`. Raises ValueError with the part that can't be read."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, dash, last = part.partition("-")
        low, high = whole(first), whole(last) if dash else whole(first)
        if low is None or high is None or not first.isdigit():
            raise ValueError(f"invalid format: {part}")
        if max(low, high) > _MOST_CPUS:
            raise ValueError(f"value of out range, maximum is {_MOST_CPUS}")
        found.update(range(low, high + 1))
    return frozenset(found)


def _check_windows(host: Resources) -> None:
    if host.io_maximum_bandwidth:
        raise InvalidArgument("invalid option: QoS maximum bandwidth configuration is not supported on linux")
    if host.io_maximum_iops:
        raise InvalidArgument("invalid option: QoS maximum IOPs configuration is not supported on linux")
