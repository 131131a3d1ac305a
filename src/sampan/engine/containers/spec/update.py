"""POST /containers/{id}/update as a plan: the new configuration, and what the runtime has to change. Pure.

    HostConfig + UpdateRequest ─ plan_update ─> Update(host_config, resources, warnings), or a refusal with nothing done

A field that is sent with its zero value is left as it is (clients send every field). What can change: CPU, memory,
processes, block weight and the restart policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from sampan.engine.containers.spec import limits
from sampan.engine.containers.spec.resources import resources
from sampan.engine.containers.spec.validate import check_restart_policy
from sampan.errors import Conflict
from sampan.kernel.facts import HostFacts
from sampan.wire.containers import HostConfig, UpdateRequest

__all__ = ["Update", "plan_update"]

_CHANGEABLE = (
    "blkio_weight",
    "cpu_shares",
    "nano_cpus",
    "cpu_period",
    "cpu_quota",
    "cpuset_cpus",
    "cpuset_mems",
    "memory",
    "memory_swap",
    "memory_reservation",
    "cpu_realtime_period",
    "cpu_realtime_runtime",
)
_UNLIMITED = {"limit": -1}


@dataclass(frozen=True)
class Update:
    """`resources` is the runtime spec's section with just what changes, {} when nothing in the kernel does."""

    host_config: HostConfig
    resources: dict[str, Any]
    warnings: list[str]


def plan_update(host: HostConfig, request: UpdateRequest, facts: HostFacts, container_id: str) -> Update:
    """Raises InvalidArgument for a value that can't be, Conflict for one that contradicts what is set already."""
    if request.restart_policy.name:  # without one its count means nothing, whatever it is
        check_restart_policy(request.restart_policy)
    warnings = list(limits.check(_with_memory(request, host), facts))
    changes = _changes(limits.drop_unsupported(request, facts))
    if reason := _contradiction(host, request, changes):
        raise Conflict(f"Cannot update container {container_id}: {reason}")
    kernel = dict(changes)
    if request.pids_limit is not None:
        changes["pids_limit"] = max(request.pids_limit, 0)
    if request.restart_policy.name:
        changes["restart_policy"] = request.restart_policy
    updated = msgspec.structs.replace(host, **changes)
    return Update(updated, _resources(updated, kernel, request.pids_limit), warnings)


def _with_memory(request: UpdateRequest, host: HostConfig) -> UpdateRequest:
    """A new limit of memory and swap together is measured against the memory that the container has already."""
    if request.memory_swap > 0 and not request.memory:
        return msgspec.structs.replace(request, memory=host.memory)
    return request


def _changes(request: UpdateRequest) -> dict[str, Any]:
    return {name: value for name in _CHANGEABLE if (value := getattr(request, name))}


def _contradiction(host: HostConfig, request: UpdateRequest, changes: dict[str, Any]) -> str:
    """Why the update can't be beside what is set, "" when it can."""
    for name, field in (("Period", "cpu_period"), ("Quota", "cpu_quota")):
        if changes.get("nano_cpus", 0) > 0 and getattr(host, field) > 0:
            return f"Conflicting options: Nano CPUs cannot be updated as CPU {name} has already been set"
        if changes.get(field, 0) > 0 and host.nano_cpus > 0:
            return f"Conflicting options: CPU {name} cannot be updated as NanoCPUs has already been set"
    if changes.get("memory", host.memory_swap) > host.memory_swap and "memory_swap" not in changes:
        return (
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    if request.restart_policy.name not in ("", "no") and host.auto_remove:
        return "Restart policy cannot be updated because AutoRemove is enabled for the container"
    return ""


def _resources(updated: HostConfig, changed: dict[str, Any], pids_limit: int | None) -> dict[str, Any]:
    """The changed values alone; memory and swap always together, since the kernel checks one against the other."""
    if "memory" in changed or "memory_swap" in changed:
        changed |= {"memory": updated.memory, "memory_swap": updated.memory_swap}
    section = resources(HostConfig(**changed), None, {})
    if pids_limit is not None:
        section["pids"] = {"limit": pids_limit} if pids_limit > 0 else _UNLIMITED
    return section
