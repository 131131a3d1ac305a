"""The settings of a daemon, checked: what is out of range, contradictory or not there yet is refused by name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampan.config.options import OPTIONS
from sampan.errors import InvalidArgument, NotImplementedYet

DEFAULT_SOCKET = "unix:///run/sampan/sampan.sock"
LONGEST_EXEC_ROOT = 85
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")


@dataclass(frozen=True)
class Config:
    """The daemon's settings, checked. Attribute names are the flags' with underscores; `inert` ones are left out."""

    hosts: tuple[str, ...]
    data_root: Path
    exec_root: Path
    pidfile: Path
    group: str
    group_is_default: bool
    debug: bool
    log_level: str
    log_format: str
    labels: tuple[str, ...]
    live_restore: bool
    shutdown_timeout: int
    default_runtime: str
    runtimes: Mapping[str, str]
    log_driver: str
    log_opts: Mapping[str, str]
    init: bool
    init_path: str
    bridge: str
    bip: str
    mtu: int
    default_shm_size: int
    default_ipc_mode: str
    default_cgroupns_mode: str
    default_ulimits: Mapping[str, tuple[int, int]]
    cgroup_parent: str
    no_new_privileges: bool
    seccomp_profile: str
    dns: tuple[str, ...]
    dns_opts: tuple[str, ...]
    dns_search: tuple[str, ...]
    insecure_registries: tuple[str, ...]
    registry_mirrors: tuple[str, ...]
    max_concurrent_downloads: int
    max_concurrent_uploads: int
    max_download_attempts: int
    environment: Mapping[str, str] = field(repr=False)


def _refuse_later(settings: Mapping[str, Any]) -> None:
    for option in OPTIONS:
        if option.later and settings[option.dest] not in (option.default, None, [], ""):
            raise NotImplementedYet(f"--{option.flag} is not there yet")


def checked(settings: Mapping[str, Any], group_is_default: bool) -> Config:
    """The settings by their options' names, as a Config. Raises InvalidArgument, NotImplementedYet."""
    _refuse_later(settings)
    hosts = tuple(settings["host"] or [DEFAULT_SOCKET])
    for host in hosts:
        _check_host(host)
    if settings["log_level"] not in LOG_LEVELS:
        raise InvalidArgument(f"log level {settings['log_level']!r} is none of {', '.join(LOG_LEVELS)}")
    if settings["log_format"] not in ("text", "json"):
        raise InvalidArgument(f"log format {settings['log_format']!r} is neither text nor json")
    if settings["storage_driver"] != "overlay2":
        raise InvalidArgument(f"storage driver {settings['storage_driver']!r} is not overlay2, the only one there is")
    if settings["bip"] and settings["bridge"]:
        raise InvalidArgument("--bip and --bridge exclude one another: the bridge you name keeps its own address")
    for name in ("max_concurrent_downloads", "max_concurrent_uploads", "max_download_attempts"):
        if settings[name] < 1:
            raise InvalidArgument(f"--{name.replace('_', '-')} must be at least 1")
    if settings["mtu"] < 0:
        raise InvalidArgument(f"invalid default MTU: {settings['mtu']}")
    return Config(
        hosts=hosts,
        data_root=_absolute(settings["data_root"]),
        exec_root=_exec_root(settings["exec_root"]),
        pidfile=_absolute(settings["pidfile"]),
        group=settings["group"],
        group_is_default=group_is_default,
        debug=settings["debug"] or settings["log_level"] == "debug",
        log_level="debug" if settings["debug"] else settings["log_level"],
        log_format=settings["log_format"],
        labels=_labels(settings["label"] or ()),
        live_restore=settings["live_restore"],
        shutdown_timeout=settings["shutdown_timeout"],
        default_runtime=settings["default_runtime"],
        runtimes=_mapping("add-runtime", settings["add_runtime"]),
        log_driver=settings["log_driver"],
        log_opts=_mapping("log-opt", settings["log_opt"]),
        init=settings["init"],
        init_path=settings["init_path"],
        bridge=settings["bridge"],
        bip=settings["bip"],
        mtu=settings["mtu"],
        default_shm_size=parse_size(settings["default_shm_size"]),
        default_ipc_mode=_one_of("default-ipc-mode", settings["default_ipc_mode"], ("private", "shareable")),
        default_cgroupns_mode=_one_of(
            "default-cgroupns-mode", settings["default_cgroupns_mode"], ("", "host", "private")
        ),
        default_ulimits={k: _ulimit(k, v) for k, v in _mapping("default-ulimit", settings["default_ulimit"]).items()},
        cgroup_parent=settings["cgroup_parent"],
        no_new_privileges=settings["no_new_privileges"],
        seccomp_profile=settings["seccomp_profile"],
        dns=tuple(settings["dns"] or ()),
        dns_opts=tuple(settings["dns_opt"] or ()),
        dns_search=tuple(settings["dns_search"] or ()),
        insecure_registries=tuple(settings["insecure_registry"] or ()),
        registry_mirrors=tuple(settings["registry_mirror"] or ()),
        max_concurrent_downloads=settings["max_concurrent_downloads"],
        max_concurrent_uploads=settings["max_concurrent_uploads"],
        max_download_attempts=settings["max_download_attempts"],
        environment=dict(os.environ),
    )


def _check_host(host: str) -> None:
    scheme, separator, rest = host.partition("://")
    if not separator or scheme not in ("unix", "tcp", "fd"):
        raise InvalidArgument(f"can't listen on {host!r}: write unix://PATH, tcp://HOST:PORT or fd://")
    if scheme != "unix":
        raise NotImplementedYet(f"listening on {scheme}:// is not there yet; use unix://PATH")
    if not rest.startswith("/"):
        raise InvalidArgument(f"can't listen on {host!r}: the socket's path must be absolute")
    if len(rest.encode()) > 107:
        raise InvalidArgument(f"can't listen on {host!r}: a unix socket's path has at most 107 bytes")


def _absolute(text: str) -> Path:
    return Path(os.path.abspath(text))


def _exec_root(text: str) -> Path:
    path = _absolute(text)
    if len(os.fsencode(path)) > LONGEST_EXEC_ROOT:
        raise InvalidArgument(
            f"the exec root {path} is too long: sockets lie below it, so {LONGEST_EXEC_ROOT} bytes at most"
        )
    return path


def _one_of(flag: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise InvalidArgument(f"--{flag} {value!r} is none of {', '.join(a for a in allowed if a)}")
    return value


def _labels(labels: Sequence[str]) -> tuple[str, ...]:
    known: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not equals or not key:
            raise InvalidArgument(f"bad attribute format: {label}: a label is KEY=VALUE")
        if known.setdefault(key, value) != value:
            raise InvalidArgument(f"conflict labels for {key}={value} and {key}={known[key]}")
    return tuple(dict.fromkeys(labels))


def _mapping(flag: str, value: list[str] | dict[str, str] | None) -> dict[str, str]:
    if isinstance(value, dict):
        return {k: str(v) for k, v in value.items()}
    pairs = {}
    for item in value or ():
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise InvalidArgument(f"--{flag} {item!r} must be KEY=VALUE")
        pairs[key] = text
    return pairs


def _ulimit(name: str, text: str) -> tuple[int, int]:
    soft, _, hard = text.partition(":")
    try:
        return int(soft), int(hard or soft)
    except ValueError:
        raise InvalidArgument(f"ulimit {name}={text!r} must be SOFT[:HARD] in whole numbers") from None


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?", re.IGNORECASE)


def parse_size(text: str | int) -> int:
    """Bytes of `64m`, `1.5GiB`, `4096`; units are powers of 1024. Raises InvalidArgument."""
    match = _SIZE.fullmatch(str(text).strip())
    if not match:
        raise InvalidArgument(f"invalid size: '{text}'")
    return int(float(match[1]) * 1024 ** " kmgtp".index(match[2].lower() or " "))
