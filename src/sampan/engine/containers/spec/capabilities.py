"""Capabilities of a container: Docker's default set, additions, drops, ALL and privileged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sampan.errors import InvalidArgument
from sampan.kernel.facts import CAPABILITIES

__all__ = ["ALL", "DEFAULT", "granted", "normalize"]

ALL = "ALL"
DEFAULT = tuple(
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
        "AUDIT_WRITE"
    ).split(" ")
)
"""What a container gets when nothing is said (Docker 28.5)."""


def normalize(names: Iterable[str], available: Sequence[str]) -> list[str]:
    """Names in full and upper case, ALL kept. Raises InvalidArgument for one that is unknown or that we lack."""
    return [_full_name(name, available) for name in names]


def _full_name(name: str, available: Sequence[str]) -> str:
    upper = name.upper()
    if upper == ALL:
        return ALL
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in CAPABILITIES:
        raise InvalidArgument(f'unknown capability: "{full}"')
    if full not in available:
        raise InvalidArgument(
            f'capability not supported by your kernel or not available in the current environment: "{full}"'
        )
    return full


def granted(add: Sequence[str], drop: Sequence[str], *, privileged: bool, available: Sequence[str]) -> list[str]:
    """The container's set, from normalized names; `available` is what this daemon has itself."""
    if privileged:
        return list(available)
    if ALL in add:
        return [name for name in available if name not in drop]
    kept = [] if ALL in drop else [name for name in DEFAULT if name not in drop and name in available]
    return [*kept, *(name for name in dict.fromkeys(add) if name not in kept)]
