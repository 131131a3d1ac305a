"""The one table of what sampand can be told: each directive's flag, its key in the file, its kind and its default.

An option that sampand knows but can't honour yet (`later`) is refused when it is set; one that is without meaning here
(`inert`: dockerd's containerd and userland-proxy switches) is accepted and listed so. What is `live` is read again at a
SIGHUP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Option:
    """One directive. `kind` is str, int, bool, list or map (`key=value`)."""

    flag: str
    kind: str = "str"
    default: Any = None
    key: str = ""
    short: str = ""
    help: str = ""
    inert: bool = False
    later: bool = False
    live: bool = False

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
    Option("debug", "bool", False, short="D", live=True, help="log more"),
    Option("log-level", default="info", short="l", help="debug, info, warn, error or fatal"),
    Option("log-format", default="text", help="text or json"),
    Option("label", "list", key="labels", live=True, help="key=value labels of the daemon"),
    Option("live-restore", "bool", True, live=True, help="leave containers running when the daemon stops"),
    Option("shutdown-timeout", "int", 15, live=True, help="seconds for containers to stop when live-restore is off"),
    Option("default-runtime", default="crun", live=True, help="OCI runtime of containers that name none"),
    Option("add-runtime", "map", key="runtimes", live=True, help="NAME=PATH of a further OCI runtime"),
    Option("log-driver", default="json-file", help="log driver of containers that name none"),
    Option("log-opt", "map", key="log-opts", help="options of the default log driver"),
    Option("init", "bool", False, help="give every container an init"),
    Option("init-path", default="", help="the init program of --init"),
    Option("bridge", default="", short="b", help="attach containers to this bridge; none: no default bridge"),
    Option("bip", default="", help="address of the default bridge, as 172.20.0.1/16"),
    Option("mtu", "int", 1500, help="MTU of the default bridge"),
    Option("default-shm-size", default="64MiB", live=True, help="size of /dev/shm of containers that name none"),
    Option("default-ipc-mode", default="private", live=True, help="private or shareable"),
    Option("default-cgroupns-mode", default="", live=True, help="host or private"),
    Option("default-ulimit", "map", key="default-ulimits", help="NAME=SOFT[:HARD] of containers"),
    Option("cgroup-parent", default="", help="parent cgroup of containers"),
    Option("no-new-privileges", "bool", False, help="set no-new-privileges on every container"),
    Option("seccomp-profile", default="", help="path of the default seccomp profile; unconfined: none"),
    Option("dns", "list", help="name servers of containers"),
    Option("dns-opt", "list", key="dns-opts", help="resolver options of containers"),
    Option("dns-search", "list", help="search domains of containers"),
    Option("insecure-registry", "list", key="insecure-registries", live=True, help="registries spoken to without TLS"),
    Option("registry-mirror", "list", key="registry-mirrors", live=True, help="mirrors of docker.io"),
    Option("max-concurrent-downloads", "int", 3, live=True, help="layers downloaded at once in a pull"),
    Option("max-concurrent-uploads", "int", 5, live=True, help="layers uploaded at once in a push"),
    Option("max-download-attempts", "int", 5, live=True, help="tries of one download"),
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
