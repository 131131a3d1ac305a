"""The daemon and its machine: /version, /info, /_ping."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sampan import __version__
from sampan.engine.containers.logs import DRIVERS
from sampan.kernel.facts import HostFacts
from sampan.wire.codec import format_time
from sampan.wire.system import (
    Commit,
    Component,
    IndexInfo,
    Info,
    PlatformName,
    PluginsInfo,
    RegistryServiceConfig,
    Runtime,
    SwarmInfo,
    Version,
)

API_VERSION = "1.51"
MIN_API_VERSION = "1.24"
INDEX = "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Counts:
    """How many containers there are, by what they do, and how many images."""

    running: int
    paused: int
    stopped: int
    images: int


@dataclass(frozen=True)
class SystemFacts:
    """What /info tells that does not change but by a reload of the settings."""

    id: str
    host: HostFacts
    root: Path
    runtimes: Mapping[str, str]
    default_runtime: str
    log_driver: str
    labels: Sequence[str]
    live_restore: bool
    debug: bool
    init_path: str
    environment: Mapping[str, str]
    insecure_registries: Sequence[str]
    mirrors: Sequence[str]


@dataclass
class System:
    """One per daemon; `counts` and `listeners` are asked anew each time, `facts` change when settings are reloaded."""

    facts: SystemFacts
    counts: Callable[[], Counts]
    listeners: Callable[[], int]

    def version(self) -> Version:
        """GET /version."""
        host = self.facts.host
        details = {
            "ApiVersion": API_VERSION,
            "Arch": host.architecture,
            "BuildTime": "",
            "Experimental": "false",
            "GitCommit": "",
            "GoVersion": "",
            "KernelVersion": host.kernel_release,
            "MinAPIVersion": MIN_API_VERSION,
            "Os": "linux",
            "PythonVersion": platform.python_version(),
        }
        return Version(
            platform=PlatformName(name="Sampan"),
            components=[Component(name="Engine", version=__version__, details=details)],
            version=__version__,
            api_version=API_VERSION,
            min_api_version=MIN_API_VERSION,
            os="linux",
            arch=host.architecture,
            kernel_version=host.kernel_release,
        )

    def info(self) -> Info:
        """GET /info."""
        facts, host, counts = self.facts, self.facts.host, self.counts()
        limits = host.limits
        return Info(
            id=facts.id,
            containers=counts.running + counts.paused + counts.stopped,
            containers_running=counts.running,
            containers_paused=counts.paused,
            containers_stopped=counts.stopped,
            images=counts.images,
            driver="overlay2",
            driver_status=[["Backing Filesystem", filesystem_of(facts.root)], ["Supports d_type", "true"]],
            plugins=PluginsInfo(
                volume=["local"], network=["bridge", "host", "null"], authorization=None, log=sorted(DRIVERS)
            ),
            memory_limit=limits.memory,
            swap_limit=limits.swap,
            kernel_memory_tcp=limits.kernel_memory_tcp,
            cpu_cfs_period=limits.cpu_cfs,
            cpu_cfs_quota=limits.cpu_cfs,
            cpu_shares=limits.cpu_shares,
            cpu_set=limits.cpuset,
            pids_limit=limits.pids,
            ipv4_forwarding=_flag("/proc/sys/net/ipv4/ip_forward"),
            debug=facts.debug,
            nfd=len(os.listdir("/proc/self/fd")),
            oom_kill_disable=limits.oom_kill_disable,
            n_goroutines=1,
            system_time=format_time(time.time_ns()),
            logging_driver=facts.log_driver,
            cgroup_driver="cgroupfs",
            cgroup_version=str(host.cgroups.version),
            n_events_listener=self.listeners(),
            kernel_version=host.kernel_release,
            operating_system=operating_system(),
            os_type="linux",
            architecture=host.machine,
            index_server_address=INDEX,
            registry_config=self._registries(),
            ncpu=host.cpus,
            mem_total=host.memory,
            docker_root_dir=str(facts.root),
            http_proxy=_proxy(facts.environment, "http_proxy"),
            https_proxy=_proxy(facts.environment, "https_proxy"),
            no_proxy=_proxy(facts.environment, "no_proxy"),
            name=host.hostname,
            labels=list(facts.labels),
            server_version=__version__,
            runtimes={name: Runtime(path=path) for name, path in facts.runtimes.items()},
            default_runtime=facts.default_runtime,
            swarm=SwarmInfo(),
            live_restore_enabled=facts.live_restore,
            init_binary=Path(facts.init_path).name,
            containerd_commit=Commit(),
            runc_commit=Commit(),
            init_commit=Commit(),
            security_options=self._security(),
        )

    def _registries(self) -> RegistryServiceConfig:
        mirrors = list(self.facts.mirrors)
        names = {
            name: IndexInfo(mirrors=[], name=name, secure=False)
            for name in self.facts.insecure_registries
            if "/" not in name
        }
        hub = IndexInfo(mirrors=mirrors, name="docker.io", official=True, secure=True)
        networks = [name for name in self.facts.insecure_registries if "/" in name]
        return RegistryServiceConfig(
            index_configs={"docker.io": hub, **names},
            insecure_registry_cidrs=["::1/128", "127.0.0.0/8", *networks],
            mirrors=mirrors or None,
        )

    def _security(self) -> list[str]:
        host = self.facts.host
        found = ["name=apparmor"] * host.apparmor + ["name=seccomp,profile=builtin"] * host.seccomp
        return found + ["name=cgroupns"] * (host.cgroups.version == 2)


def _proxy(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""


def _flag(path: str) -> bool:
    try:
        return Path(path).read_text().strip() == "1"
    except OSError:
        return False


def operating_system() -> str:
    """The distribution's name."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def filesystem_of(path: Path) -> str:
    """The type of the file system that holds a path, in docker's words (`extfs` for ext2 to ext4)."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, fstype, *_ = line.split(" ")
        if len(target) > len(best) and (str(path) + "/").startswith(target.rstrip("/") + "/"):
            best, kind = target, fstype
    return "extfs" if kind in ("ext2", "ext3", "ext4") else kind
