"""From flags to the body of POST /containers/create. Pure but for the files that flags name."""

from __future__ import annotations

import os

from sampan.cli.commands.container import networking, ports, readers
from sampan.cli.commands.container.text import pair
from sampan.errors import InvalidArgument
from sampan.wire.base import Empty
from sampan.wire.containers import (
    CreateRequest,
    HealthConfig,
    HostConfig,
    LogConfig,
    NetworkingConfig,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.cli.flags import Arguments


def build(arguments: Arguments, environ: Mapping[str, str]) -> CreateRequest:
    """Return the request that the flags and words ask for. Raises InvalidArgument."""
    image, *command = arguments.words
    exposed, bindings = ports.publish(arguments.texts("publish"))
    volumes, binds = _volumes(arguments.texts("volume"))
    request = CreateRequest(
        hostname=arguments.text("hostname"),
        domainname=arguments.text("domainname"),
        user=arguments.text("user"),
        exposed_ports=exposed | ports.expose(arguments.texts("expose")),
        tty=arguments.truth("tty"),
        open_stdin=arguments.truth("interactive"),
        env=environment(arguments, environ) or None,
        cmd=command or None,
        healthcheck=_health(arguments),
        image=image,
        volumes=volumes,
        working_dir=arguments.text("workdir"),
        entrypoint=[arguments.text("entrypoint")] if arguments.given("entrypoint") else None,
        labels=_labels(arguments),
        stop_signal=arguments.text("stop-signal"),
        stop_timeout=arguments.number("stop-timeout") if arguments.given("stop-timeout") else None,
        host_config=_host(arguments),
        networking_config=NetworkingConfig(endpoints_config=networking.endpoints(arguments)),
    )
    _attach(request, arguments)
    assert request.host_config is not None
    request.host_config.port_bindings = bindings
    request.host_config.binds = binds or None
    return request


def _attach(request: CreateRequest, arguments: Arguments) -> None:
    streams = [stream.lower() for stream in arguments.texts("attach")]
    for stream in streams:
        if stream not in ("stdin", "stdout", "stderr"):
            raise InvalidArgument("valid streams are STDIN, STDOUT and STDERR")
    if not streams:
        streams = ["stdout", "stderr", *(["stdin"] if request.open_stdin else [])]
    request.attach_stdin, request.attach_stdout, request.attach_stderr = (
        stream in streams for stream in ("stdin", "stdout", "stderr")
    )
    request.stdin_once = request.open_stdin and request.attach_stdin


def _host(arguments: Arguments) -> HostConfig:
    text, number, truth = arguments.text, arguments.number, arguments.truth
    security, masked, readonly = _security(arguments.texts("security-opt"))
    host = HostConfig(
        container_id_file=text("cidfile"),
        log_config=_logging(arguments),
        network_mode=networking.mode(arguments),
        restart_policy=readers.restart_policy(text("restart")),
        auto_remove=truth("rm"),
        volume_driver=text("volume-driver"),
        volumes_from=arguments.texts("volumes-from") or None,
        annotations=dict(pair(item) for item in arguments.texts("annotation")),
        cap_add=_capabilities(arguments.texts("cap-add")),
        cap_drop=_capabilities(arguments.texts("cap-drop")),
        cgroupns_mode=_mode(text("cgroupns"), "cgroupns: invalid CGROUP", ("host", "private")),
        dns=arguments.texts("dns"),
        dns_options=arguments.texts("dns-option"),
        dns_search=arguments.texts("dns-search"),
        extra_hosts=arguments.texts("add-host") or None,
        group_add=arguments.texts("group-add") or None,
        ipc_mode=text("ipc"),
        links=arguments.texts("link") or None,
        oom_score_adj=number("oom-score-adj"),
        pid_mode=_mode(text("pid"), "pid: invalid PID", ("host",), "container:"),
        privileged=truth("privileged"),
        publish_all_ports=truth("publish-all"),
        readonly_rootfs=truth("read-only"),
        security_opt=security,
        storage_opt=_options(arguments.texts("storage-opt"), "invalid storage option"),
        tmpfs=dict(pair(item, ":") for item in arguments.texts("tmpfs")),
        uts_mode=_mode(text("uts"), "uts: invalid UTS", ("host",)),
        userns_mode=_mode(text("userns"), "userns: invalid USER", ("host",)),
        shm_size=number("shm-size"),
        sysctls=dict(arguments.values("sysctl")),
        runtime=text("runtime"),
        isolation=text("isolation"),
        mounts=arguments.values("mount"),
        masked_paths=masked,
        readonly_paths=readonly,
        init=truth("init") if arguments.given("init") else None,
    )
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        raise InvalidArgument("conflicting options: cannot specify both --restart and --rm")
    _resources(host, arguments)
    return host


def _resources(host: HostConfig, arguments: Arguments) -> None:
    text, number = arguments.text, arguments.number
    swappiness = number("memory-swappiness")
    if swappiness != -1 and not 0 <= swappiness <= 100:
        raise InvalidArgument(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    host.cpu_shares, host.memory, host.nano_cpus = number("cpu-shares"), number("memory"), number("cpus")
    host.cgroup_parent, host.blkio_weight = text("cgroup-parent"), number("blkio-weight")
    host.blkio_weight_device = arguments.values("blkio-weight-device")
    host.blkio_device_read_bps = arguments.values("device-read-bps")
    host.blkio_device_write_bps = arguments.values("device-write-bps")
    host.blkio_device_read_iops = arguments.values("device-read-iops")
    host.blkio_device_write_iops = arguments.values("device-write-iops")
    host.cpu_period, host.cpu_quota = number("cpu-period"), number("cpu-quota")
    host.cpu_realtime_period, host.cpu_realtime_runtime = number("cpu-rt-period"), number("cpu-rt-runtime")
    host.cpuset_cpus, host.cpuset_mems = text("cpuset-cpus"), text("cpuset-mems")
    host.devices = [readers.device(item) for item in arguments.texts("device")]
    host.device_cgroup_rules = arguments.texts("device-cgroup-rule") or None
    host.device_requests = arguments.values("gpus") or None
    host.memory_reservation, host.memory_swap = number("memory-reservation"), number("memory-swap")
    host.memory_swappiness, host.oom_kill_disable = swappiness, arguments.truth("oom-kill-disable")
    host.pids_limit = number("pids-limit")
    host.ulimits = sorted({limit.name: limit for limit in arguments.values("ulimit")}.values(), key=lambda u: u.name)
    host.cpu_count, host.cpu_percent = number("cpu-count"), number("cpu-percent")
    host.io_maximum_iops, host.io_maximum_bandwidth = number("io-maxiops"), number("io-maxbandwidth")


def environment(arguments: Arguments, environ: Mapping[str, str]) -> list[str]:
    """Return the variables of --env-file and --env; those without a value take it from ours. Raises InvalidArgument."""
    found: list[str] = []
    for path in arguments.texts("env-file"):
        for line in _lines(path):
            if "=" in line:
                found.append(line)
            elif line in environ:
                found.append(f"{line}={environ[line]}")
    for item in arguments.texts("env"):
        found.append(f"{item}={environ[item]}" if "=" not in item and item in environ else item)
    return found


def _labels(arguments: Arguments) -> dict[str, str]:
    lines = [line for path in arguments.texts("label-file") for line in _lines(path) if "=" in line]
    return dict(pair(item) for item in [*lines, *arguments.texts("label")])


def _lines(path: str) -> list[str]:
    """Return the lines of a file of variables, without comments. Raises InvalidArgument."""
    try:
        with open(path, encoding="utf-8-sig") as file:  # noqa: PTH123
            lines = [line.rstrip("\n").rstrip("\r").lstrip() for line in file]
    except UnicodeDecodeError:
        raise InvalidArgument(f"env file {path} contains invalid utf8 bytes") from None
    except OSError as error:
        raise InvalidArgument(f"open {path}: {(error.strerror or str(error)).lower()}") from None
    kept = [line for line in lines if line and not line.startswith("#")]
    for line in kept:
        name = line.partition("=")[0]
        if not name or any(space in name for space in " \t"):
            raise InvalidArgument(f"invalid env file ({path}): variable '{name}' contains whitespaces")
    return kept


def _health(arguments: Arguments) -> HealthConfig | None:
    names = ("health-cmd", "health-interval", "health-timeout", "health-start-period", "health-start-interval")
    given = any(arguments.number(name) for name in names[1:]) or bool(arguments.text("health-cmd"))
    if arguments.truth("no-healthcheck"):
        if given or arguments.number("health-retries"):
            raise InvalidArgument("--no-healthcheck conflicts with --health-* options")
        return HealthConfig(test=["NONE"])
    for name in (*names[1:], "health-retries"):
        if arguments.number(name) < 0:
            raise InvalidArgument(f"--{name} cannot be negative")
    if not given and not arguments.number("health-retries"):
        return None
    return HealthConfig(
        test=["CMD-SHELL", arguments.text("health-cmd")] if arguments.text("health-cmd") else [],
        interval=arguments.number("health-interval"),
        timeout=arguments.number("health-timeout"),
        start_period=arguments.number("health-start-period"),
        start_interval=arguments.number("health-start-interval"),
        retries=arguments.number("health-retries"),
    )


def _volumes(specs: list[str]) -> tuple[dict[str, Empty], list[str]]:
    volumes: dict[str, Empty] = {}
    binds: list[str] = []
    for spec in specs:
        source, colon, rest = spec.partition(":")
        if not spec:
            raise InvalidArgument("invalid empty volume spec")
        if not colon:
            volumes[spec] = Empty()
        elif source.startswith("."):
            binds.append(f"{os.path.abspath(source)}:{rest}")
        else:
            binds.append(spec)
    return volumes, binds


def _logging(arguments: Arguments) -> LogConfig:
    driver = arguments.text("log-driver")
    options = dict(pair(item) for item in arguments.texts("log-opt"))
    if driver == "none" and options:
        raise InvalidArgument("invalid logging opts for driver none")
    return LogConfig(type=driver, config=options)


def _security(options: list[str]) -> tuple[list[str] | None, list[str] | None, list[str] | None]:
    """Return (options, masked paths, read-only paths), with a seccomp profile's file put in place of its name."""
    kept: list[str] = []
    unconfined = False
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            key, equals, value = option.partition(":")
        if not equals and key != "no-new-privileges":
            raise InvalidArgument(f'Invalid --security-opt: "{option}"')
        if option in ("systempaths=unconfined",):
            unconfined = True
        elif key == "seccomp" and value not in ("unconfined", "builtin"):
            kept.append(f"seccomp={_profile(value)}")
        else:
            kept.append(option)
    return (kept if options else None), ([] if unconfined else None), ([] if unconfined else None)


def _profile(path: str) -> str:
    import json

    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return json.dumps(json.load(file), separators=(",", ":"))
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise InvalidArgument(f"opening seccomp profile ({path}) failed: open {path}: {words}") from None
    except ValueError as error:
        raise InvalidArgument(f"compacting json for seccomp profile ({path}) failed: {error}") from None


def _capabilities(names: list[str]) -> list[str] | None:
    """Return names in upper case with CAP_, sorted, ALL first, each once; None for none."""
    made = {
        name if name in ("ALL", "RESET") or name.startswith("CAP_") else f"CAP_{name}" for name in map(str.upper, names)
    }
    return sorted(made, key=lambda name: (name != "ALL", name)) or None


def _mode(text: str, what: str, allowed: tuple[str, ...], prefix: str = "\0") -> str:
    if text and text not in allowed and not (text.startswith(prefix) and text != prefix):
        raise InvalidArgument(f"--{what} mode")
    return text


def _options(items: list[str], message: str) -> dict[str, str]:
    if any("=" not in item for item in items):
        raise InvalidArgument(message)
    return dict(pair(item) for item in items)
