"""`build`: a container's OCI runtime spec (config.json) as Docker 28.5 would make it, from a frozen plan. Pure.

The sections, as in the OCI runtime spec 1.2: process, root, hostname, mounts, linux (namespaces, resources, seccomp,
devices, paths), annotations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sampan.engine.containers.spec import capabilities, mounts, resources, seccomp
from sampan.engine.containers.spec.plan import Device, SpecPlan
from sampan.engine.containers.spec.security import SecurityOptions, parse_security_options
from sampan.kernel.facts import CAPABILITIES
from sampan.wire.containers import ContainerConfig

__all__ = ["MASKED_PATHS", "READONLY_PATHS", "build", "environment"]

_VERSION = "1.0.0"
_DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROC_MASKED = "asound acpi interrupts kcore keys latency_stats timer_list timer_stats sched_debug scsi"
MASKED_PATHS = (
    *(f"/proc/{name}" for name in _PROC_MASKED.split(" ")),
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = tuple(f"/proc/{name}" for name in ("bus", "fs", "irq", "sys", "sysrq-trigger"))


def build(plan: SpecPlan) -> dict[str, Any]:
    """The runtime spec as a document. Raises InvalidArgument for a wish that this kernel can't fulfil."""
    spec: dict[str, Any] = {
        "ociVersion": _VERSION,
        "process": _process(plan),
        "root": {"path": plan.rootfs, "readonly": plan.host_config.readonly_rootfs},
        "mounts": mounts.spec_mounts(plan),
        "linux": _linux(plan),
    }
    if plan.host_config.uts_mode != "host":
        spec["hostname"] = plan.hostname
    if plan.host_config.annotations:
        spec["annotations"] = plan.host_config.annotations
    return spec


# --- process ----------------------------------------------------------------------------------------------------------


def _process(plan: SpecPlan) -> dict[str, Any]:
    config, user = plan.config, plan.user
    granted = _capabilities(plan)
    process: dict[str, Any] = {
        "terminal": config.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": [*(["/sbin/docker-init", "--"] if plan.init else []), *(config.entrypoint or ()), *(config.cmd or ())],
        "env": environment(config, plan.hostname),
        "cwd": config.working_dir or "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), granted),
    }
    height, width = (*(plan.host_config.console_size or ()), 0, 0)[:2]
    if config.tty and (height or width):
        process["consoleSize"] = {"height": height, "width": width}
    return process | dict(_process_options(plan))


def _process_options(plan: SpecPlan) -> Iterator[tuple[str, Any]]:
    security = _security(plan)
    if security.no_new_privileges:
        yield "noNewPrivileges", True
    if security.apparmor and plan.host.apparmor:
        yield "apparmorProfile", security.apparmor
    if limits := _rlimits(plan):
        yield "rlimits", limits
    if plan.host_config.oom_score_adj or _may_set_zero(plan):
        yield "oomScoreAdj", plan.host_config.oom_score_adj


def _may_set_zero(plan: SpecPlan) -> bool:
    """Whether the default score is ours to set: lowering one's own needs a right that not every machine gives."""
    return plan.host.oom_score_adj <= 0 or "CAP_SYS_RESOURCE" in plan.host.capabilities


def environment(config: ContainerConfig, hostname: str) -> list[str]:
    """The environment: PATH, HOSTNAME and, with a terminal, TERM, then the container's own; a bare name unsets."""
    found = {"PATH": _DEFAULT_PATH, "HOSTNAME": f"HOSTNAME={hostname}"}
    if config.tty:
        found["TERM"] = "TERM=xterm"
    for entry in config.env or ():
        name, separator, _ = entry.partition("=")
        if separator:
            found[name] = entry
        else:
            found.pop(name, None)
    return list(found.values())


def _capabilities(plan: SpecPlan) -> list[str]:
    host, available = plan.host_config, plan.host.capabilities
    return capabilities.granted(
        capabilities.normalize(host.cap_add or (), available),
        capabilities.normalize(host.cap_drop or (), CAPABILITIES),
        privileged=host.privileged,
        available=available,
    )


def _rlimits(plan: SpecPlan) -> list[dict[str, Any]]:
    """The user's limits over the daemon's defaults; the defaults never ask for more than this process has."""
    found = {limit.name: (limit.soft, limit.hard) for limit in plan.default_ulimits}
    for name, (soft, hard) in found.items():
        ceiling = plan.host.hard_limits.get(name, -1)
        found[name] = (_lower(soft, ceiling), _lower(hard, ceiling))
    found |= {limit.name: (limit.soft, limit.hard) for limit in plan.host_config.ulimits or ()}
    return [_rlimit(name, soft, hard) for name, (soft, hard) in sorted(found.items())]


def _lower(value: int, ceiling: int) -> int:
    if ceiling < 0:
        return value
    return ceiling if value < 0 else min(value, ceiling)


def _rlimit(name: str, soft: int, hard: int) -> dict[str, Any]:
    unlimited = 2**64
    return {"type": f"RLIMIT_{name.upper()}", "hard": hard % unlimited, "soft": soft % unlimited}


# --- linux ------------------------------------------------------------------------------------------------------------


def _linux(plan: SpecPlan) -> dict[str, Any]:
    host = plan.host_config
    rules = resources.device_rules(plan.devices, host.device_cgroup_rules or (), privileged=host.privileged)
    section: dict[str, Any] = {
        "sysctl": _sysctls(plan),
        "cgroupsPath": plan.cgroup_path,
        "resources": resources.resources(host, rules, plan.block_devices),
        "namespaces": list(_namespaces(plan)),
        "devices": [_device(device) for device in plan.devices],
        "maskedPaths": _paths(plan, host.masked_paths, (*MASKED_PATHS, *plan.host.thermal_paths)),
        "readonlyPaths": _paths(plan, host.readonly_paths, READONLY_PATHS),
        "rootfsPropagation": _root_propagation(plan),
        "seccomp": _seccomp(plan),
    }
    return {name: value for name, value in section.items() if value}


def _namespaces(plan: SpecPlan) -> Iterator[dict[str, str]]:
    host, paths = plan.host_config, plan.namespaces
    yield {"type": "mount"}
    if host.network_mode != "host":
        yield _namespace("network", paths.network)
    if host.uts_mode != "host":
        yield {"type": "uts"}
    if host.pid_mode != "host":
        yield _namespace("pid", paths.pid)
    if host.ipc_mode != "host":
        yield _namespace("ipc", paths.ipc)
    if host.cgroupns_mode == "private":
        yield {"type": "cgroup"}


def _namespace(kind: str, path: str) -> dict[str, str]:
    return {"type": kind, "path": path} if path else {"type": kind}


def _sysctls(plan: SpecPlan) -> dict[str, str]:
    host = plan.host_config
    found: dict[str, str] = {}
    if host.network_mode != "host" and not host.network_mode.startswith("container:"):
        found["net.ipv4.ip_unprivileged_port_start"] = "0"
        found["net.ipv4.ping_group_range"] = "0 2147483647"
    if plan.config.domainname and host.uts_mode != "host":
        found["kernel.domainname"] = plan.config.domainname
    return found | host.sysctls


def _device(device: Device) -> dict[str, Any]:
    return {
        "path": device.path,
        "type": device.kind,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def _paths(plan: SpecPlan, asked: Sequence[str] | None, default: Sequence[str]) -> list[str]:
    if asked is not None:
        return list(asked)
    return [] if plan.host_config.privileged else list(default)


def _root_propagation(plan: SpecPlan) -> str:
    """The root must not be more private than the mounts whose changes are to travel."""
    asked = {mount.propagation.removeprefix("r") for mount in plan.mounts}
    if "shared" in asked:
        return "shared"
    return "rslave" if "slave" in asked else ""


def _seccomp(plan: SpecPlan) -> dict[str, Any] | None:
    if plan.host_config.privileged and not _security(plan).seccomp:
        return None
    profile = _profile(plan)
    if profile is None or not plan.host.seccomp:
        return None
    return seccomp.resolve(profile, frozenset(_capabilities(plan)), plan.host.architecture, plan.host.kernel)


def _profile(plan: SpecPlan) -> seccomp.Profile | None:
    match _security(plan).seccomp:
        case "":
            return plan.seccomp
        case "unconfined":
            return None
        case "builtin":
            return seccomp.default_profile()
        case document:
            return seccomp.decode_profile(document)


def _security(plan: SpecPlan) -> SecurityOptions:
    return parse_security_options(plan.host_config.security_opt or ())
