"""A container's configuration out of the user's request, the image's defaults and the daemon's defaults. Pure."""

from __future__ import annotations

import msgspec

from sampan.engine.containers.spec.build import MASKED_PATHS, READONLY_PATHS
from sampan.errors import InvalidArgument
from sampan.oci.documents import RunConfig
from sampan.wire.base import Empty
from sampan.wire.containers import ContainerConfig, CreateRequest, HealthConfig, HostConfig, LogConfig

_CONFIG_FIELDS = ContainerConfig.__struct_fields__


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon gives a container that asks for nothing. `shm_size` in bytes."""

    log_driver: str
    log_opts: dict[str, str]
    runtime: str
    ipc_mode: str
    cgroupns_mode: str
    shm_size: int
    masked_paths: tuple[str, ...] = MASKED_PATHS


def config_of(request: CreateRequest) -> ContainerConfig:
    """The request's part that is the container's own configuration."""
    return ContainerConfig(**{name: getattr(request, name) for name in _CONFIG_FIELDS})


def merge_image(config: ContainerConfig, image: RunConfig) -> ContainerConfig:
    """`config` completed by the image's: what the user set wins, field by field, env and labels key by key.

    The image's shell and triggers are for builds: docker gives them to no container, and so to no commit of one.

    Raises InvalidArgument when neither says what to run.
    """
    cmd, entrypoint = config.cmd, config.entrypoint
    if not entrypoint:
        if not cmd:
            cmd = image.cmd
        if entrypoint is None:
            entrypoint = image.entrypoint
    if entrypoint == [""]:
        entrypoint = None
    if not entrypoint and not cmd:
        raise InvalidArgument("no command specified")
    return msgspec.structs.replace(
        config,
        cmd=cmd,
        entrypoint=entrypoint,
        user=config.user or image.user,
        exposed_ports={port: Empty() for port in sorted({*config.exposed_ports, *(image.exposed_ports or ())})},
        env=_merge_env(config.env or [], image.env or []),
        healthcheck=_merge_health(config.healthcheck, image),
        labels=(image.labels or {}) | (config.labels or {}),
        stop_signal=config.stop_signal or image.stop_signal,
        volumes=_merge_volumes(config.volumes, image),
        working_dir=config.working_dir or image.working_dir,
    )


def _merge_env(user: list[str], image: list[str]) -> list[str]:
    keys = {entry.partition("=")[0] for entry in user}
    return user + [entry for entry in image if entry.partition("=")[0] not in keys]


def _merge_volumes(user: dict[str, Empty] | None, image: RunConfig) -> dict[str, Empty] | None:
    paths = {*(user or ()), *(image.volumes or ())}
    return {path: Empty() for path in sorted(paths)} if paths or user is not None else None


def _merge_health(user: HealthConfig | None, image: RunConfig) -> HealthConfig | None:
    if image.healthcheck is None:
        return user
    base = HealthConfig(
        test=image.healthcheck.test or [],
        interval=image.healthcheck.interval,
        timeout=image.healthcheck.timeout,
        start_period=image.healthcheck.start_period,
        start_interval=image.healthcheck.start_interval,
        retries=image.healthcheck.retries,
    )
    if user is None:
        return base
    given = {name: value for name in HealthConfig.__struct_fields__ if (value := getattr(user, name))}
    return msgspec.structs.replace(base, **given)


def complete_host(host: HostConfig, defaults: Defaults) -> HostConfig:
    """`host` with the daemon's defaults filled in, as inspect shows it."""
    log = host.log_config
    if not log.type:
        log = LogConfig(type=defaults.log_driver, config=defaults.log_opts | (log.config or {}))
    elif log.config is None:
        log = LogConfig(type=log.type, config={})
    network = host.network_mode if host.network_mode not in ("", "default") else "bridge"
    systempaths = any(
        option in ("systempaths=unconfined", "systempaths:unconfined") for option in host.security_opt or ()
    )
    bare = host.privileged or systempaths
    masked = host.masked_paths if host.masked_paths is not None else list(defaults.masked_paths)
    readonly = host.readonly_paths if host.readonly_paths is not None else list(READONLY_PATHS)
    return msgspec.structs.replace(
        host,
        log_config=log,
        network_mode=network,
        restart_policy=msgspec.structs.replace(host.restart_policy, name=host.restart_policy.name or "no"),
        ipc_mode=host.ipc_mode or defaults.ipc_mode,
        cgroupns_mode=host.cgroupns_mode or ("host" if host.privileged else defaults.cgroupns_mode),
        shm_size=host.shm_size or defaults.shm_size,
        runtime=host.runtime or defaults.runtime,
        memory_swap=_swap(host),
        oom_kill_disable=bool(host.oom_kill_disable),
        masked_paths=masked if not bare or host.masked_paths is not None else None,
        readonly_paths=readonly if not bare or host.readonly_paths is not None else None,
    )


def _swap(host: HostConfig) -> int:
    return host.memory * 2 if host.memory > 0 and host.memory_swap == 0 else host.memory_swap
