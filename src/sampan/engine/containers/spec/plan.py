"""The frozen inputs of `build`: all that a container's runtime spec depends on, already looked up.

ContainerConfig, HostConfig (merged, normalized) ─┐
User         (users.resolve_user)                 │
MountPlan    (mounts.plan_mounts)                 ├─> SpecPlan ─ build ─> config.json
Device       (devices.resolve_devices)            │
NamespacePaths, paths of files, HostFacts        ─┘
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sampan.engine.containers.spec.seccomp import Profile, default_profile
from sampan.engine.containers.spec.users import User
from sampan.kernel.facts import HostFacts
from sampan.wire.containers import ContainerConfig, HostConfig, Ulimit

__all__ = ["Device", "MountPlan", "NamespacePaths", "SpecPlan"]


@dataclass(frozen=True, kw_only=True)
class MountPlan:
    """A mount that the user asked for. `source` is a path on the host, for a tmpfs unused; `folder` tells what it is.

    `read_only_recursive`: True also makes what is mounted below the source read-only where the kernel can, None must
    have it so, False does not. `propagation` is "" for the runtime's own (private).
    """

    target: str
    source: str = ""
    tmpfs: bool = False
    folder: bool = True
    read_only: bool = False
    recursive: bool = True
    read_only_recursive: bool | None = True
    propagation: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device node in the container, and what its control group allows. `kind` is c or b."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int
    uid: int = 0
    gid: int = 0
    access: str = "rwm"


@dataclass(frozen=True, kw_only=True)
class NamespacePaths:
    """Namespaces to join, "" for a new one; `shm` is the /dev/shm that comes with a joined ipc namespace."""

    network: str = ""
    pid: str = ""
    ipc: str = ""
    shm: str = ""


@dataclass(frozen=True, kw_only=True)
class SpecPlan:
    """Everything `build` needs. Paths of files that are "" are not mounted; `init` is the init program's host path.

    `seccomp` is the daemon's default profile, None for no filter; a container's own option wins.
    """

    config: ContainerConfig
    host_config: HostConfig
    host: HostFacts
    user: User
    rootfs: str
    cgroup_path: str
    hostname: str
    hostname_path: str = ""
    hosts_path: str = ""
    resolv_conf_path: str = ""
    mounts: tuple[MountPlan, ...] = ()
    namespaces: NamespacePaths = NamespacePaths()
    devices: tuple[Device, ...] = ()
    block_devices: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    init: str | None = None
    seccomp: Profile | None = field(default_factory=default_profile)
    default_ulimits: tuple[Ulimit, ...] = ()
