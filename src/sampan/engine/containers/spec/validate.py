"""Checks of a create request: what can't be (400), what isn't there yet (501), what is dropped with a warning.

    CreateRequest + HostFacts ─ validate ─> warnings, or InvalidArgument / NotImplementedYet
    HostConfig    + HostFacts ─ adjust ───> HostConfig without the limits that this kernel does not have
    HostConfig    + HostFacts ─ check_start > InvalidArgument for what the host can't give now

Pure. Messages are those of Docker's engine 28.5. Mounts, volumes, log options and names are checked where they are
planned (containers/mounts.py, logs.py, names.py).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from sampan.engine.containers.spec import capabilities, limits
from sampan.engine.containers.spec.fields import refuse_unknown
from sampan.engine.containers.spec.mounts import merge_tmpfs_options
from sampan.engine.containers.spec.seccomp import decode_profile
from sampan.engine.containers.spec.security import parse_security_options
from sampan.engine.endpoints import check_endpoint
from sampan.engine.ports import wanted_ports
from sampan.errors import InvalidArgument
from sampan.kernel.facts import RLIMITS, HostFacts
from sampan.wire.containers import ContainerConfig, CreateRequest, HealthConfig, HostConfig, RestartPolicy, Ulimit
from sampan.wire.networks import EndpointSettings

__all__ = ["adjust", "check_restart_policy", "check_start", "validate"]

_MILLISECOND = 1_000_000
_POLICIES = ("", "no", "always", "unless-stopped", "on-failure")
_DEVICE_RULE = re.compile(r"[acb] (\d{1,10}|\*):(\d{1,10}|\*) [rwm]{1,3}", re.ASCII)
_HIDE_NOTHING = "label=disable"


def validate(request: CreateRequest, facts: HostFacts) -> list[str]:
    """Check a request to create a container; returns warnings for the client.

    Raises InvalidArgument with Docker's words, NotImplementedYet with the name of a field that isn't there yet.
    """
    host = request.host_config or HostConfig()
    refuse_unknown(request, host)
    _check_config(request)
    _check_namespaces(host)
    _check_network(request, host)
    _check_endpoints(request, host)
    _check_rights(host, facts)
    _check_rest(host)
    return [*limits.check(host, facts), *_network_warnings(request, host)]


def adjust(host: HostConfig, facts: HostFacts) -> HostConfig:
    """`host` as it is kept: dropped what a warning said is dropped, label=disable where labels make no sense."""
    options = host.security_opt
    if host.privileged or host.pid_mode == "host" or host.ipc_mode == "host":
        options = [*(options or ()), *([] if _HIDE_NOTHING in (options or ()) else [_HIDE_NOTHING])]
    return msgspec.structs.replace(limits.drop_unsupported(host, facts), security_opt=options)


def check_start(host: HostConfig, facts: HostFacts) -> None:
    """Refuse to start what would ask for more than this process may give. Raises InvalidArgument."""
    if host.device_requests:
        request = host.device_requests[0]
        wanted = " ".join("[" + " ".join(names or ()) + "]" for names in request.capabilities or ())
        raise InvalidArgument(f'could not select device driver "{request.driver}" with capabilities: [{wanted}]')
    if "CAP_SYS_RESOURCE" in facts.capabilities:
        return
    for limit in host.ulimits or ():
        _check_hard_limit(limit, facts.hard_limits.get(limit.name, -1))
    if host.oom_score_adj and host.oom_score_adj < facts.oom_score_adj:
        raise InvalidArgument(
            f"oom score adj {host.oom_score_adj} is lower than the daemon's own ({facts.oom_score_adj}), "
            "and the daemon lacks CAP_SYS_RESOURCE to lower it"
        )


def _check_hard_limit(limit: Ulimit, ceiling: int) -> None:
    if ceiling >= 0 and not 0 <= limit.hard <= ceiling:
        raise InvalidArgument(
            f"ulimit {limit.name}: the hard limit {limit.hard} is above the daemon's own ({ceiling}), "
            "and the daemon lacks CAP_SYS_RESOURCE to raise it"
        )


# --- the container's own configuration --------------------------------------------------------------------------------


def _check_config(config: ContainerConfig) -> None:
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path"
        )
    for entry in config.env or ():
        if not entry or entry.startswith("="):
            raise InvalidArgument(f"invalid environment variable: {entry}")
    if config.healthcheck:
        _check_health(config.healthcheck)


def _check_health(health: HealthConfig) -> None:
    durations = {
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
    }
    for name, value in durations.items():
        if value != 0 and value < _MILLISECOND:
            raise InvalidArgument(f"{name} in Healthcheck cannot be less than 1ms")
    if health.retries < 0:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")


# --- the host's part --------------------------------------------------------------------------------------------------


def _check_namespaces(host: HostConfig) -> None:
    _check_mode("IPC mode", host.ipc_mode, ("", "none", "private", "shareable", "host"), joins=True)
    if host.pid_mode == "container:":
        raise InvalidArgument("invalid PID mode: container:")
    _check_mode("PID mode", host.pid_mode, ("", "host"), joins=True)
    _check_mode("UTS mode", host.uts_mode, ("", "host"))
    _check_mode("cgroup namespace mode", host.cgroupns_mode, ("", "private", "host"))
    if host.isolation.lower() not in ("", "default"):
        raise InvalidArgument(f"invalid isolation ({host.isolation}): linux only supports 'default'")


def _check_network(config: ContainerConfig, host: HostConfig) -> None:
    if host.network_mode == "container:":
        raise InvalidArgument("invalid network mode: invalid container format container:<name|id>")
    if host.uts_mode == "host" and config.hostname:
        raise InvalidArgument("conflicting options: hostname and the UTS mode")
    if host.network_mode.startswith("container:"):
        _check_joined_network(config, host)
    if host.network_mode == "host" and host.links:
        raise InvalidArgument(
            "conflicting options: host type networking can't be used with links. "
            "This would result in undefined behavior"
        )
    wanted_ports(config, host)


def _check_endpoints(request: CreateRequest, host: HostConfig) -> None:
    given = (request.networking_config.endpoints_config if request.networking_config else None) or {}
    main = "bridge" if host.network_mode in ("", "default") else host.network_mode
    for name, asked in given.items():
        check_endpoint(name, asked or EndpointSettings())
    own, specific = request.mac_address, (given.get(main) or EndpointSettings()).mac_address
    if own and not main.startswith("container:"):
        check_endpoint(main, EndpointSettings(mac_address=own))
    if own and specific and own != specific:
        raise InvalidArgument(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, "
            "or be left empty"
        )


def _check_mode(what: str, mode: str, known: tuple[str, ...], joins: bool = False) -> None:
    if mode not in known and not (joins and mode.startswith("container:")):
        raise InvalidArgument(f"invalid {what}: {mode}")


def _check_rights(host: HostConfig, facts: HostFacts) -> None:
    for field, names in (("CapAdd", host.cap_add), ("CapDrop", host.cap_drop)):
        try:
            capabilities.normalize(names or (), facts.capabilities)
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid {field}: {error}") from None
    security = parse_security_options(host.security_opt or ())
    if security.seccomp not in ("", "builtin", "unconfined"):
        decode_profile(security.seccomp)
    for rule in host.device_cgroup_rules or ():
        if not _DEVICE_RULE.fullmatch(rule):
            raise InvalidArgument(f"invalid device cgroup rule format: '{rule}'")
    for limit in host.ulimits or ():
        _check_ulimit(limit)


def _check_ulimit(limit: Ulimit) -> None:
    if limit.name not in RLIMITS:
        raise InvalidArgument(f"invalid ulimit type: {limit.name}")
    if limit.hard != -1 and (limit.soft > limit.hard or limit.soft == -1):
        raise InvalidArgument(
            f"ulimit {limit.name}: the soft limit ({limit.soft}) must not be above the hard limit ({limit.hard})"
        )


def _check_rest(host: HostConfig) -> None:
    if host.storage_opt:
        _check_storage(host.storage_opt)
    if host.shm_size < 0:
        raise InvalidArgument("SHM size can not be less than 0")
    check_console_size(host.console_size)
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidArgument(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if "" in host.annotations:
        raise InvalidArgument("invalid Annotations: the empty string is not permitted as an annotation key")
    for options in host.tmpfs.values():
        merge_tmpfs_options([option for option in options.split(",") if option])
    check_restart_policy(host.restart_policy)
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    for entry in host.extra_hosts or ():
        _check_extra_host(entry)


def check_console_size(size: Sequence[int] | None) -> None:
    """Raise InvalidArgument unless it is none, or height and width."""
    if size and (len(size) > 2 or min(size) < 0):
        raise InvalidArgument("ConsoleSize must be [height, width]")


def _check_storage(options: Mapping[str, str]) -> None:
    for name in options:
        if name != "size":
            raise InvalidArgument(f"Unknown option {name}")
    raise InvalidArgument("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")


def check_restart_policy(policy: RestartPolicy) -> None:
    """Raises InvalidArgument for a policy that can't be."""
    if policy.name not in _POLICIES:
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{policy.name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if policy.maximum_retry_count and policy.name != "on-failure":
        also = " and cannot be negative" if policy.maximum_retry_count < 0 else ""
        raise InvalidArgument(f"invalid restart policy: maximum retry count can only be used with 'on-failure'{also}")
    if policy.maximum_retry_count < 0:
        raise InvalidArgument("invalid restart policy: maximum retry count cannot be negative")


def _check_extra_host(entry: str) -> None:
    name, separator, address = entry.partition(":")
    if not separator or not name:
        raise InvalidArgument(f'bad format for add-host: "{entry}"')
    if address != "host-gateway" and not _is_address(address):
        raise InvalidArgument(f'invalid IP address in add-host: "{address}"')


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_joined_network(config: ContainerConfig, host: HostConfig) -> None:
    """A container in another's network can't have what belongs to the network."""
    conflicts = (
        (config.hostname, "hostname and the network mode"),
        (host.links, "container type network can't be used with links. This would result in undefined behavior"),
        (host.dns, "dns and the network mode"),
        (host.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (host.port_bindings or host.publish_all_ports, "port publishing and the container type network mode"),
        (config.exposed_ports, "port exposing and the container type network mode"),
    )
    for given, what in conflicts:
        if given:
            raise InvalidArgument(f"conflicting options: {what}")


def _network_warnings(config: ContainerConfig, host: HostConfig) -> Iterator[str]:
    if config.mac_address:
        yield (
            "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
        )
    if host.network_mode == "host" and host.port_bindings:
        yield "Published ports are discarded when using host network mode"
