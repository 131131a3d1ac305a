"""What this machine is and can do, asked once at start: kernel, processor, control groups, security, own rights.

Everything that plans (spec, validation, info) takes a `HostFacts`, so that it stays pure and testable.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sampan.kernel.cgroups import CgroupLayout, Limits, available_limits, detect

__all__ = ["CAPABILITIES", "RLIMITS", "HostFacts", "gather"]

CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
        "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
        "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL "
        "SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
    ).split(" ")
)
"""All capabilities, in the order of their numbers."""

RLIMITS = {
    name: number
    for number, name in enumerate(
        "cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio rttime".split(" ")
    )
}
"""Names of resource limits as `ulimit` takes them -> the kernel's numbers."""

# The machine's name -> Go's.
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i686": "386",
    "loongarch64": "loong64",
    "mips64": "mips64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """The machine as far as containers depend on it. `hard_limits`: by rlimit name, RLIM_INFINITY (-1) for none.

    `thermal_paths` tell of the processors' temperature and are hidden from containers."""

    kernel_release: str
    kernel: tuple[int, int]
    machine: str
    architecture: str
    hostname: str
    cpus: int
    memory: int
    cgroups: CgroupLayout
    limits: Limits
    capabilities: tuple[str, ...] = CAPABILITIES
    seccomp: bool = True
    apparmor: bool = False
    selinux: bool = False
    hard_limits: Mapping[str, int] = field(default_factory=dict)
    oom_score_adj: int = 0
    thermal_paths: tuple[str, ...] = ()

    @property
    def recursive_read_only(self) -> bool:
        """Whether mount_setattr(2) can make a whole tree of mounts read-only."""
        return self.kernel >= (5, 12)


def gather() -> HostFacts:
    """Ask this machine. Reads some small files; takes under a millisecond."""
    uname = os.uname()
    layout = detect()
    return HostFacts(
        kernel_release=uname.release,
        kernel=kernel_version(uname.release),
        machine=uname.machine,
        architecture=_ARCHITECTURES.get(uname.machine, uname.machine),
        hostname=uname.nodename,
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        cgroups=layout,
        limits=available_limits(layout),
        capabilities=_capabilities(_status_field("CapEff")),
        seccomp=_status_field("Seccomp") != "",
        apparmor=_is_yes("/sys/module/apparmor/parameters/enabled"),
        selinux=Path("/sys/fs/selinux/enforce").exists(),
        hard_limits={name: resource.getrlimit(number)[1] for name, number in RLIMITS.items()},
        thermal_paths=tuple(sorted(map(str, Path("/sys/devices/system/cpu").glob("cpu*/thermal_throttle")))),
        oom_score_adj=int(Path("/proc/self/oom_score_adj").read_text()),
    )


def kernel_version(release: str) -> tuple[int, int]:
    """(major, minor) of a kernel release such as `6.1.0-13-amd64`."""
    major, minor, *_ = release.replace("-", ".").split(".")
    return int(major), int(minor)


def _capabilities(mask: str) -> tuple[str, ...]:
    bits = int(mask or "0", 16)
    return tuple(name for number, name in enumerate(CAPABILITIES) if bits >> number & 1)


def _status_field(name: str) -> str:
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


def _is_yes(path: str) -> bool:
    try:
        return Path(path).read_text().strip() == "Y"
    except OSError:
        return False
