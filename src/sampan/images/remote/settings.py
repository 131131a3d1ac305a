"""What a client of registries can be told; nothing here is read from the environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["Proxies", "RemoteSettings"]


@dataclass(frozen=True)
class Proxies:
    """Proxies by the scheme of the wanted URL, and who is reached without one (the rules of Go's httpproxy)."""

    http: str = ""
    https: str = ""
    without: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Proxies:
        """From variables: HTTP_PROXY, HTTPS_PROXY, NO_PROXY, in either case."""

        def value(name: str) -> str:
            return environment.get(name) or environment.get(name.lower()) or ""

        return cls(value("HTTP_PROXY"), value("HTTPS_PROXY"), value("NO_PROXY"))

    def choose(self, url: str) -> str | None:
        """The proxy for `url`, None for a direct connection. Loopback is always direct."""
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        proxy = self.https if parts.scheme == "https" else self.http
        if not proxy or is_loopback(host) or self._excluded(host, parts.port):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def _excluded(self, host: str, port: int | None) -> bool:
        rules = [rule.strip().lower() for rule in self.without.split(",")]
        return any(_rule_fits(rule, host.lower(), port) for rule in rules if rule)


@dataclass(frozen=True)
class RemoteSettings:
    """Times are seconds, sizes bytes."""

    insecure: tuple[str, ...] = ()
    """Registries (host:port, or CIDR) that may be spoken to without TLS or with unknown certificates."""
    mirrors: tuple[str, ...] = ()
    """Base URLs of mirrors of docker.io, tried first and in this order."""
    certificates: tuple[Path, ...] = ()
    """Folders in the certs.d layout: <host:port>/{*.crt, *.cert with *.key}."""
    proxies: Proxies = field(default_factory=Proxies)
    downloads: int = 3
    """Layers downloaded at a time."""
    uploads: int = 5
    attempts: int = 5
    """Tries of a request, or of a transfer that makes no progress, before it is given up."""
    backoff: float = 0.25
    """The first wait between tries; it doubles each time, up to `longest_wait`."""
    longest_wait: float = 60.0
    connect_timeout: float = 30.0
    read_timeout: float = 60.0
    """The longest silence; and of a blob at least a kibibyte must come in that time."""
    document_timeout: float = 120.0
    """The longest that an answer's head, and a small document whole, may take."""
    chunk_size: int | None = None
    """Uploads go in chunks of this size; None sends each blob in one request."""
    agent: str = "sampan"

    def is_insecure(self, domain: str) -> bool:
        """Whether `domain` (host:port) needs no TLS; loopback never does."""
        host = domain.rpartition(":")[0] if domain.rpartition(":")[2].isdigit() else domain
        host = host.strip("[]")
        if is_loopback(host) or domain in self.insecure or host in self.insecure:
            return True
        return any(_in_network(rule, host) for rule in self.insecure)


def is_loopback(host: str) -> bool:
    """Whether a host (no port) is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _in_network(rule: str, host: str) -> bool:
    try:
        return "/" in rule and ipaddress.ip_address(host) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False


def _rule_fits(rule: str, host: str, port: int | None) -> bool:
    if rule == "*":
        return True
    name, _, wanted = rule.rpartition(":") if rule.count(":") == 1 else (rule, "", "")
    if wanted and wanted != str(port):
        return False
    if _in_network(name, host):
        return True
    bare = name.removeprefix("*").removeprefix(".")
    return (host == bare and not name.startswith(".")) or host.endswith("." + bare)
