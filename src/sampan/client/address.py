"""Where an engine listens: `unix:///run/x.sock`, `tcp://host:port`."""

from __future__ import annotations

from sampan.errors import InvalidArgument

DEFAULT_PORT = 2375


class Address:
    """A parsed address: `path` for unix; `host`, `port` and a `prefix` of every request's path for tcp."""

    __slots__ = ("host", "path", "port", "prefix", "scheme")

    def __init__(self, scheme: str, path: str = "", host: str = "", port: int = 0, prefix: str = "") -> None:
        self.scheme, self.path, self.host, self.port, self.prefix = scheme, path, host, port, prefix

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}{self.prefix}"


def parse(text: str) -> Address:
    """Return the address that `text` means, as docker reads -H and DOCKER_HOST. Raises InvalidArgument."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "tcp", scheme
    if scheme == "unix" and rest:
        return Address("unix", path=rest)
    if scheme in ("tcp", "http"):
        return _tcp(rest, text)
    raise InvalidArgument(f"can't connect to {text!r}: give unix:///path/to/socket or tcp://host:port")


def _tcp(rest: str, text: str) -> Address:
    authority, slash, prefix = rest.partition("/")
    host, colon, port = authority.rpartition(":")
    if authority.endswith("]") or not colon:
        host, port = authority, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not port.isdigit() or int(port) > 65535:
        raise InvalidArgument(f"invalid port {port!r} in {text!r}: give tcp://host:port")
    return Address("tcp", host=host or "127.0.0.1", port=int(port), prefix=(slash + prefix).rstrip("/"))
