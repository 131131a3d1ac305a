"""What a configuration means on this machine, for each part of the daemon; values only, no object begins here."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sampan import __version__
from sampan.config import Config
from sampan.engine.containers.bundles import RuntimeSettings
from sampan.engine.containers.merge import Defaults
from sampan.engine.containers.spec.build import MASKED_PATHS
from sampan.engine.containers.spec.seccomp import Profile, decode_profile, default_profile
from sampan.engine.system import SystemFacts
from sampan.errors import InvalidArgument
from sampan.kernel.facts import HostFacts
from sampan.wire.containers import Ulimit

if TYPE_CHECKING:
    from sampan.images.remote import RemoteSettings

CERTIFICATES = (Path("/etc/sampan/certs.d"), Path("/etc/docker/certs.d"))
_CGROUP_PARENT = "sampan"
_GRACE = 5
_RUNTIMES = ("crun", "runc")
_INITS = ("tini-static", "catatonit")
_RUNTIME_ALIASES = {"io.containerd.runc.v2": "runc"}


def shutdown_patience(config: Config, own: Sequence[int]) -> float | None:
    """Seconds for the containers to end in when the daemon stops, None for as long as it takes: what is configured,
    or what the most patient container takes itself and a little more."""
    if config.shutdown_timeout < 0 or any(seconds < 0 for seconds in own):
        return None
    return max(config.shutdown_timeout, *(seconds + _GRACE for seconds in own), 0)


def runtime_settings(config: Config, host: HostFacts) -> RuntimeSettings:
    """How containers are run. Raises InvalidArgument for a runtime or profile that can't be had."""
    unmount = (host.cgroups.unified,) if host.cgroups.hybrid and host.cgroups.unified else ()
    return RuntimeSettings(
        runtimes=runtimes(config),
        host=host,
        cgroup_parent=cgroup_parent(config),
        seccomp=seccomp_profile(config.seccomp_profile),
        init_path=config.init_path or next(filter(None, map(shutil.which, _INITS)), ""),
        default_init=config.init,
        default_ulimits=tuple(
            Ulimit(name=name, soft=soft, hard=hard) for name, (soft, hard) in config.default_ulimits.items()
        ),
        slave=(mount_point_of(config.exec_root),),
        unmount=unmount,
    )


def container_defaults(config: Config, host: HostFacts) -> Defaults:
    """What a container gets where its creator says nothing."""
    return Defaults(
        log_driver=config.log_driver,
        log_opts=dict(config.log_opts),
        runtime=config.default_runtime,
        ipc_mode=config.default_ipc_mode,
        cgroupns_mode=config.default_cgroupns_mode or ("private" if host.cgroups.version == 2 else "host"),
        shm_size=config.default_shm_size,
        masked_paths=(*MASKED_PATHS, *host.thermal_paths),
    )


def remote_settings(config: Config) -> RemoteSettings:
    """How registries are spoken to. The client of registries is loaded when it is first needed: it is large."""
    from sampan.images.remote import Proxies, RemoteSettings

    return RemoteSettings(
        insecure=config.insecure_registries,
        mirrors=config.registry_mirrors,
        certificates=CERTIFICATES,
        proxies=Proxies.of(config.environment),
        downloads=config.max_concurrent_downloads,
        uploads=config.max_concurrent_uploads,
        attempts=config.max_download_attempts,
        agent=f"sampan/{__version__}",
    )


def system_facts(config: Config, host: HostFacts, settings: RuntimeSettings) -> SystemFacts:
    """What `info` tells of this daemon that doesn't change."""
    return SystemFacts(
        id=_daemon_id(config.data_root),
        host=host,
        root=config.data_root,
        runtimes=settings.runtimes,
        default_runtime=config.default_runtime,
        log_driver=config.log_driver,
        labels=config.labels,
        live_restore=config.live_restore,
        debug=config.debug,
        init_path=settings.init_path,
        environment=config.environment,
        insecure_registries=config.insecure_registries,
        mirrors=config.registry_mirrors,
    )


def live_attributes(config: Config, host: HostFacts) -> dict[str, str]:
    """The settings that a reload may change, as its event tells them, in dockerd's words."""
    runtimes = " ".join(f"{name}:{path}" for name, path in sorted(config.runtimes.items()))
    defaults = container_defaults(config, host)
    return {
        "name": host.hostname,
        "debug": json.dumps(config.debug),
        "default-cgroupns-mode": defaults.cgroupns_mode,
        "default-ipc-mode": defaults.ipc_mode,
        "default-runtime": config.default_runtime,
        "default-shm-size": str(config.default_shm_size),
        "insecure-registries": json.dumps(config.insecure_registries, separators=(",", ":")),
        "labels": json.dumps(config.labels, separators=(",", ":")),
        "live-restore": json.dumps(config.live_restore),
        "max-concurrent-downloads": str(config.max_concurrent_downloads),
        "max-concurrent-uploads": str(config.max_concurrent_uploads),
        "max-download-attempts": str(config.max_download_attempts),
        "registry-mirrors": json.dumps(config.registry_mirrors, separators=(",", ":")),
        "runtimes": runtimes,
        "shutdown-timeout": str(config.shutdown_timeout),
    }


def check(config: Config) -> None:
    """Raise InvalidArgument for what a configuration names and this machine does not have."""
    runtimes(config)
    seccomp_profile(config.seccomp_profile)


def cgroup_parent(config: Config) -> str:
    """The group that those of containers lie in."""
    return config.cgroup_parent or _CGROUP_PARENT


def runtimes(config: Config) -> dict[str, str]:
    """Runtimes by name: those found on the PATH, and the configured ones. Raises InvalidArgument without a default."""
    found = {name: path for name in _RUNTIMES if (path := shutil.which(name))}
    found |= config.runtimes
    found |= {alias: found[name] for alias, name in _RUNTIME_ALIASES.items() if name in found}
    if config.default_runtime not in found:
        raise InvalidArgument(
            f"the OCI runtime {config.default_runtime} is not there: install it, or name another by --default-runtime"
        )
    return found


def seccomp_profile(path: str) -> Profile | None:
    """The default profile: ours, a file's, or none for `unconfined`. Raises InvalidArgument."""
    if path == "unconfined":
        return None
    if not path or path == "builtin":
        return default_profile()
    try:
        return decode_profile(Path(path).read_bytes())
    except OSError as error:
        raise InvalidArgument(f"can't read the seccomp profile {path}: {error.strerror}") from None


def mount_point_of(path: Path) -> str:
    """The mount that holds a path."""
    while not path.is_mount():
        path = path.parent
    return str(path)


def _daemon_id(root: Path) -> str:
    """This data root's id, made once."""
    path = root / "engine-id"
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    path.write_text(f"{uuid.uuid4()}\n")
    return path.read_text().strip()
