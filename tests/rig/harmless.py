"""Keeps a fuzzer's requests from hurting the machine that the daemon runs on: it runs as root.

Containers only run commands of `COMMANDS`, and nothing of the host comes into one but the folder `safe`.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

COMMANDS: tuple[list[str], ...] = (
    ["true"],
    ["false"],
    ["sleep", "30"],
    ["cat"],
    ["echo", "x"],
    ["sh", "-c", "echo out; echo err >&2; exit 7"],
    ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"],
    ["sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done"],
    ["nonesuch"],
    ["/etc/passwd"],
    ["/"],
    [""],
    [],
)
_SYSCTLS = ("net.ipv4.ip_forward", "net.ipv4.ip_unprivileged_port_start", "kernel.shmmax", "net.nonesuch")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/nonesuch")
_LOG_DRIVERS = ("json-file", "local", "none", "nonesuch", "")
_HALF_A_SECOND = 500_000_000


def tame(document: Any, safe: Path, dice: random.Random) -> Any:
    """The document with everything in it replaced that could reach the host; odd types stay as they are."""
    if isinstance(document, list):
        return [tame(item, safe, dice) for item in document]
    if not isinstance(document, dict):
        return document
    return {key: _tame_field(key, value, safe, dice) for key, value in document.items()}


def _tame_field(key: str, value: Any, safe: Path, dice: random.Random) -> Any:
    if key in ("Cmd", "Entrypoint", "Shell", "Test") and isinstance(value, list | str):
        return value if isinstance(value, list) and (value in COMMANDS or _is_probe(value)) else dice.choice(COMMANDS)
    if key == "Binds" and isinstance(value, list):
        return [_safe_bind(item, safe) for item in value]
    if key in ("Source", "device", "ContainerIDFile") and isinstance(value, str):
        return _safe_path(value, safe)
    if key in ("PathOnHost", "Path") and isinstance(value, str):
        return dice.choice(_DEVICES)
    if key == "Sysctls" and isinstance(value, dict):
        return {dice.choice(_SYSCTLS): item for item in value.values()}
    if key in ("CgroupParent", "UTSMode") and value:
        return ""
    if key == "LogConfig" and isinstance(value, dict):
        kind = value.get("Type")
        return {**value, "Type": kind if kind in _LOG_DRIVERS or not isinstance(kind, str) else "json-file"}
    if key == "Interval" and isinstance(value, int) and 0 < value < _HALF_A_SECOND:
        return _HALF_A_SECOND
    return tame(value, safe, dice)


def _is_probe(test: list[Any]) -> bool:
    return not test or (test[0] in ("NONE", "CMD", "CMD-SHELL") and all(word in ("true", "false") for word in test[1:]))


def _safe_bind(bind: Any, safe: Path) -> Any:
    if not isinstance(bind, str):
        return bind
    source, separator, rest = bind.partition(":")
    return _safe_path(source, safe) + separator + rest


def _safe_path(path: str, safe: Path) -> str:
    """Names of volumes stay; paths become the folder that may be shared, or one in it that is not there."""
    if "/" not in path and "\\" not in path and path not in (".", "..", "~"):
        return path
    return str(safe) if len(path) % 3 else f"{safe}/nonesuch"
