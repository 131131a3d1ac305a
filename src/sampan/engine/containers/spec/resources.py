"""`linux.resources` of the runtime spec from HostConfig's limits. Sizes in bytes, times in microseconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sampan.engine.containers.spec.plan import Device
from sampan.wire.containers import Resources, ThrottleDevice, WeightDevice

__all__ = ["device_rules", "parse_device_rule", "resources"]

_CPU_PERIOD = 100_000
_UNNAMED: Sequence[tuple[str, int | None, int | None, str]] = (
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", 1, 3, "rwm"),  # null
    ("c", 1, 5, "rwm"),  # zero
    ("c", 1, 7, "rwm"),  # full
    ("c", 1, 8, "rwm"),  # random
    ("c", 1, 9, "rwm"),  # urandom
    ("c", 5, 0, "rwm"),  # tty
    ("c", 5, 1, "rwm"),  # console
    ("c", 5, 2, "rwm"),  # ptmx
    ("c", 136, None, "rwm"),  # pseudo terminals
)
_EVERYTHING = {"allow": True, "access": "rwm"}
_NOTHING = {"allow": False, "access": "rwm"}

Numbers = Mapping[str, tuple[int, int]]


def resources(limits: Resources, devices: list[dict[str, Any]] | None, block_devices: Numbers) -> dict[str, Any]:
    """The section for `limits`; `block_devices` gives the numbers of the devices that blkio options name.

    `devices` are the rules of `device_rules`; None leaves the section without any (for an update).
    """
    sections = {
        "devices": devices,
        "memory": _memory(limits),
        "cpu": _cpu(limits),
        "pids": {"limit": limits.pids_limit} if limits.pids_limit and limits.pids_limit > 0 else {},
        "blockIO": _block_io(limits, block_devices),
    }
    return {name: section for name, section in sections.items() if section}


def _memory(limits: Resources) -> dict[str, Any]:
    section: dict[str, Any] = {}
    if limits.memory > 0:
        section["limit"] = limits.memory
    if limits.memory_reservation > 0:
        section["reservation"] = limits.memory_reservation
    if limits.memory_swap > 0 or (limits.memory_swap == -1 and limits.memory > 0):
        section["swap"] = limits.memory_swap
    if limits.memory_swappiness is not None and limits.memory_swappiness >= 0:
        section["swappiness"] = limits.memory_swappiness
    if limits.kernel_memory_tcp > 0:
        section["kernelTCP"] = limits.kernel_memory_tcp
    if limits.oom_kill_disable:
        section["disableOOMKiller"] = True
    return section


def _cpu(limits: Resources) -> dict[str, Any]:
    quota, period = limits.cpu_quota, limits.cpu_period
    if limits.nano_cpus > 0:
        quota, period = limits.nano_cpus * _CPU_PERIOD // 10**9, _CPU_PERIOD
    values = {
        "shares": limits.cpu_shares,
        "quota": max(quota, -1),  # anything below zero is no limit; crun knows -1 alone
        "period": period,
        "realtimeRuntime": limits.cpu_realtime_runtime,
        "realtimePeriod": limits.cpu_realtime_period,
        "cpus": limits.cpuset_cpus,
        "mems": limits.cpuset_mems,
    }
    return {name: value for name, value in values.items() if value}


def _block_io(limits: Resources, numbers: Numbers) -> dict[str, Any]:
    section: dict[str, Any] = {"weight": limits.blkio_weight} if limits.blkio_weight else {}
    lists: dict[str, Sequence[WeightDevice | ThrottleDevice] | None] = {
        "weightDevice": limits.blkio_weight_device,
        "throttleReadBpsDevice": limits.blkio_device_read_bps,
        "throttleWriteBpsDevice": limits.blkio_device_write_bps,
        "throttleReadIOPSDevice": limits.blkio_device_read_iops,
        "throttleWriteIOPSDevice": limits.blkio_device_write_iops,
    }
    return section | {name: [_rate(item, numbers) for item in items] for name, items in lists.items() if items}


def _rate(item: WeightDevice | ThrottleDevice, numbers: Numbers) -> dict[str, int]:
    major, minor = numbers[item.path]
    value = {"weight": item.weight} if isinstance(item, WeightDevice) else {"rate": item.rate}
    return {"major": major, "minor": minor, **value}


def device_rules(devices: Iterable[Device], rules: Iterable[str], *, privileged: bool) -> list[dict[str, Any]]:
    """What the device control group allows: everything when privileged; else the usual, `devices` and `rules`."""
    if privileged:
        return [_EVERYTHING]
    usual = [_rule(*numbers) for numbers in _UNNAMED]
    named = [_rule(device.kind, device.major, device.minor, device.access) for device in devices]
    return [_NOTHING, *usual, *named, *(parse_device_rule(rule) for rule in rules)]


def parse_device_rule(text: str) -> dict[str, Any]:
    """A rule such as `c 42:* rmw`; validated before (validate.py)."""
    kind, numbers, access = text.split(" ")
    major, _, minor = numbers.partition(":")
    return _rule(kind, _device_number(major), _device_number(minor), access)


def _device_number(text: str) -> int | None:
    return None if text == "*" else int(text)


def _rule(kind: str, major: int | None, minor: int | None, access: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"allow": True, "type": kind}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule | {"access": access}
