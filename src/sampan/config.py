"""What sampand is told: dockerd's flags, and a JSON file with dockerd's keys.

`OPTIONS` is the one table: each option's flag, its key in the file, its kind and its default. A directive may stand on
the command line or in the file, not in both. An option that sampand knows but can't honour yet is refused when it is
set; one that is without meaning here (dockerd's containerd and userland-proxy switches) is accepted and listed so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampan import __version__
from sampan.errors import InvalidArgument, NotFound, NotImplementedYet

DEFAULT_SOCKET = "unix:///run/sampan/sampan.sock"
DEFAULT_CONFIG_FILE = "/etc/sampan/daemon.json"
LONGEST_EXEC_ROOT = 85
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")


@dataclass(frozen=True)
class Option:
    """One directive. `kind` is str, int, bool, list or map (`key=value`); `meaning` is "" where it is honoured."""

    flag: str
    kind: str = "str"
    default: Any = None
    key: str = ""
    short: str = ""
    help: str = ""
    inert: bool = False
    later: bool = False

    @property
    def file_key(self) -> str:
        return self.key or self.flag

    @property
    def dest(self) -> str:
        return self.flag.replace("-", "_")


OPTIONS = (
    Option("host", "list", key="hosts", short="H", help="where to listen: unix://PATH, tcp://HOST:PORT or fd://"),
    Option("data-root", default="/var/lib/sampan", help="where images, containers and volumes are kept"),
    Option("exec-root", default="/run/sampan", help="where the state of running containers is kept"),
    Option("pidfile", default="/run/sampan/sampand.pid", short="p", help="where the daemon writes its pid"),
    Option("group", default="sampan", short="G", help="group that may use the unix socket"),
    Option("debug", "bool", False, short="D", help="log more"),
    Option("log-level", default="info", short="l", help="debug, info, warn, error or fatal"),
    Option("log-format", default="text", help="text or json"),
    Option("label", "list", key="labels", help="key=value labels of the daemon"),
    Option("live-restore", "bool", True, help="leave containers running when the daemon stops"),
    Option("shutdown-timeout", "int", 15, help="seconds for containers to stop when live-restore is off"),
    Option("default-runtime", default="crun", help="OCI runtime of containers that name none"),
    Option("add-runtime", "map", key="runtimes", help="NAME=PATH of a further OCI runtime"),
    Option("log-driver", default="json-file", help="log driver of containers that name none"),
    Option("log-opt", "map", key="log-opts", help="options of the default log driver"),
    Option("init", "bool", False, help="give every container an init"),
    Option("init-path", default="", help="the init program of --init"),
    Option("bridge", default="", short="b", help="attach containers to this bridge; none: no default bridge"),
    Option("bip", default="", help="address of the default bridge, as 172.20.0.1/16"),
    Option("mtu", "int", 1500, help="MTU of the default bridge"),
    Option("default-shm-size", default="64MiB", help="size of /dev/shm of containers that name none"),
    Option("default-ipc-mode", default="private", help="private or shareable"),
    Option("default-cgroupns-mode", default="", help="host or private"),
    Option("default-ulimit", "map", key="default-ulimits", help="NAME=SOFT[:HARD] of containers"),
    Option("cgroup-parent", default="", help="parent cgroup of containers"),
    Option("no-new-privileges", "bool", False, help="set no-new-privileges on every container"),
    Option("seccomp-profile", default="", help="path of the default seccomp profile; unconfined: none"),
    Option("dns", "list", help="name servers of containers"),
    Option("dns-opt", "list", key="dns-opts", help="resolver options of containers"),
    Option("dns-search", "list", help="search domains of containers"),
    Option("insecure-registry", "list", key="insecure-registries", help="registries spoken to without TLS"),
    Option("registry-mirror", "list", key="registry-mirrors", help="mirrors of docker.io"),
    Option("max-concurrent-downloads", "int", 3, help="layers downloaded at once in a pull"),
    Option("max-concurrent-uploads", "int", 5, help="layers uploaded at once in a push"),
    Option("max-download-attempts", "int", 5, help="tries of one download"),
    Option("tls", "bool", False, later=True, help="use TLS"),
    Option("tlsverify", "bool", False, later=True, help="use TLS and verify clients"),
    Option("tlscacert", default="", later=True, help="trust certificates signed by this CA"),
    Option("tlscert", default="", later=True, help="the server's certificate"),
    Option("tlskey", default="", later=True, help="the server's key"),
    Option("storage-driver", default="overlay2", short="s", help="overlay2"),
    Option("storage-opt", "list", key="storage-opts", later=True),
    Option("fixed-cidr", default="", later=True, help="subnet of the default bridge's addresses"),
    Option("default-address-pool", "list", key="default-address-pools", later=True),
    Option("userns-remap", default="", later=True),
    Option("metrics-addr", default="", later=True),
    Option("authorization-plugin", "list", key="authorization-plugins", later=True),
    Option("iptables", "bool", True, inert=True),
    Option("ip6tables", "bool", True, inert=True),
    Option("ip-forward", "bool", True, inert=True),
    Option("ip-masq", "bool", True, inert=True),
    Option("icc", "bool", True, inert=True),
    Option("ipv6", "bool", False, inert=True),
    Option("userland-proxy", "bool", True, inert=True),
    Option("userland-proxy-path", default="", inert=True),
    Option("experimental", "bool", False, inert=True),
    Option("exec-opt", "list", key="exec-opts", inert=True),
    Option("feature", "map", key="features", inert=True),
    Option("containerd", default="", inert=True),
    Option("containerd-namespace", default="", inert=True),
    Option("containerd-plugins-namespace", default="", inert=True),
    Option("raw-logs", "bool", False, inert=True),
)


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


def load(arguments: Sequence[str]) -> Config:
    """Settings from a command line, the file it names, and the environment (proxies).

    Raises InvalidArgument, NotFound (a named file that is not there) or NotImplementedYet; exits for --help, --version.
    """
    given = {k: v for k, v in vars(_parser().parse_args(arguments)).items() if v is not None}
    file_name = given.pop("config_file", None)
    validate_only = given.pop("validate", False)
    from_file = _read_file(Path(file_name or DEFAULT_CONFIG_FILE), required=file_name is not None)
    both = sorted(o.flag for o in OPTIONS if o.dest in given and o.dest in from_file)
    if both:
        raise InvalidArgument(
            f"these directives stand both on the command line and in the configuration file: {', '.join(both)}"
        )
    settings = {o.dest: o.default for o in OPTIONS} | from_file | given
    _refuse_later(settings)
    config = _checked(settings, group_is_default="group" not in from_file | given)
    if validate_only:
        raise SystemExit("configuration OK")
    return config


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sampand", description="The Sampan container engine.", allow_abbrev=False)
    parser.add_argument("-v", "--version", action="version", version=f"sampand {__version__}")
    parser.add_argument("--config-file", help=f"JSON file with settings (default {DEFAULT_CONFIG_FILE})")
    parser.add_argument("--validate", action="store_true", help="check the configuration and exit")
    for option in OPTIONS:
        names = [f"-{option.short}"] * bool(option.short) + [f"--{option.flag}"]
        text = option.help or "accepted, without effect" * option.inert
        if option.kind == "bool":
            parser.add_argument(*names, dest=option.dest, nargs="?", const=True, type=_boolean, help=text)
        elif option.kind == "int":
            parser.add_argument(*names, dest=option.dest, type=int, help=text)
        elif option.kind in ("list", "map"):
            parser.add_argument(*names, dest=option.dest, action="append", help=text)
        else:
            parser.add_argument(*names, dest=option.dest, help=text)
    return parser


def _boolean(text: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def _read_file(path: Path, required: bool) -> dict[str, Any]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        if required:
            raise NotFound(f"the configuration file {path} is not there") from None
        return {}
    except OSError as error:
        raise InvalidArgument(f"can't read the configuration file {path}: {error.strerror}") from None
    if not text.strip():
        return {}
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"the configuration file {path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidArgument(f"the configuration file {path} must hold one JSON object")
    by_key = {o.file_key: o for o in OPTIONS}
    unknown = sorted(set(document) - set(by_key))
    if unknown:
        raise InvalidArgument(f"unknown directives in {path}: {', '.join(unknown)}")
    return {by_key[k].dest: _from_json(by_key[k], v) for k, v in document.items()}


_JSON_KINDS = {"str": (str,), "int": (int,), "bool": (bool,), "list": (list,), "map": (dict,)}


def _from_json(option: Option, value: Any) -> Any:
    wrong = not isinstance(value, _JSON_KINDS[option.kind]) or (option.kind == "int" and isinstance(value, bool))
    if wrong or (option.kind == "list" and not option.later and not all(isinstance(v, str) for v in value)):
        raise InvalidArgument(f"the directive {option.file_key} must be a {option.kind}")
    if option.flag == "add-runtime":
        return {name: _runtime_path(name, entry) for name, entry in value.items()}
    if option.flag == "default-ulimit":
        return {name: _ulimit_entry(name, entry) for name, entry in value.items()}
    return value


def _runtime_path(name: str, entry: Any) -> str:
    path = entry.get("path") if isinstance(entry, dict) else None
    if not isinstance(path, str) or not path:
        raise InvalidArgument(f"the runtime {name} needs a path, as {{{name!r}: {{'path': '/usr/bin/crun'}}}}")
    return path


def _ulimit_entry(name: str, entry: Any) -> str:
    if not isinstance(entry, dict):
        raise InvalidArgument(f"the ulimit {name} must be an object with Soft and Hard")
    return f"{entry.get('Soft', 0)}:{entry.get('Hard', entry.get('Soft', 0))}"


def _refuse_later(settings: Mapping[str, Any]) -> None:
    for option in OPTIONS:
        if option.later and settings[option.dest] not in (option.default, None, [], ""):
            raise NotImplementedYet(f"--{option.flag} is not there yet")


def _checked(settings: Mapping[str, Any], group_is_default: bool) -> Config:
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
        labels=tuple(settings["label"] or ()),
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
