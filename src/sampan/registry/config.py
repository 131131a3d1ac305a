"""The registry's configuration file (TOML), checked and typed.

listen = "0.0.0.0:5000"           read_only = false
realm = "https://registry.example.com/token"

[tls]            certificate, key (PEM files; read again on SIGHUP)
[auth]           method = "token" | "basic", htpasswd, key (PEM, made when missing), lifetime (seconds)
[[rules]]        repositories = ["team/**"], users = ["alice", "*", "anonymous"], actions = ["pull", "push", "delete"]
[storage.s3]     bucket, prefix, endpoint, region, access_key_id, secret_access_key, session_token
[gc]             every, grace, upload_grace (seconds; every = 0: only by `sampan registry gc`), untagged
[limits]         head_timeout (seconds)
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from sampan.errors import InvalidArgument
from sampan.registry.gc import GRACE, UPLOAD_GRACE

__all__ = ["RegistryConfig", "load", "parse_address"]


class Tls(msgspec.Struct, forbid_unknown_fields=True):
    certificate: str
    key: str


class Auth(msgspec.Struct, forbid_unknown_fields=True):
    htpasswd: str = ""
    method: Literal["token", "basic"] = "token"
    key: str = ""
    lifetime: int = 300
    service: str = "sampan-registry"


class RuleEntry(msgspec.Struct, forbid_unknown_fields=True):
    repositories: list[str]
    users: list[str]
    actions: list[str]


class S3(msgspec.Struct, forbid_unknown_fields=True):
    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""


class Storage(msgspec.Struct, forbid_unknown_fields=True):
    s3: S3 | None = None


class Collecting(msgspec.Struct, forbid_unknown_fields=True):
    every: float = 0.0
    grace: float = GRACE
    upload_grace: float = UPLOAD_GRACE
    untagged: bool = False


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    head_timeout: float = 30.0


class RegistryConfig(msgspec.Struct, forbid_unknown_fields=True):
    """See the module."""

    listen: str = "127.0.0.1:5000"
    realm: str = ""
    read_only: bool = False
    tls: Tls | None = None
    auth: Auth | None = None
    rules: list[RuleEntry] = []
    storage: Storage = msgspec.field(default_factory=Storage)
    gc: Collecting = msgspec.field(default_factory=Collecting)
    limits: Limits = msgspec.field(default_factory=Limits)


def load(path: Path) -> RegistryConfig:
    """Read a file. Raises InvalidArgument with the place of what is wrong."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), RegistryConfig)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidArgument(f"can't use the configuration {path}: {error}") from None


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT, [IPv6]:PORT or :PORT (every address). Raises InvalidArgument."""
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) < 65536):
        raise InvalidArgument(f"invalid address {text!r}: it is HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)
