"""The options of --security-opt, parsed once: the rest of the package asks for their values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sampan.errors import InvalidArgument

__all__ = ["SecurityOptions", "parse_security_options"]

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True)
class SecurityOptions:
    """`seccomp` and `apparmor`: "" for the default, `unconfined`, else a JSON profile or a profile's name."""

    no_new_privileges: bool = False
    writable_cgroups: bool | None = None
    seccomp: str = ""
    apparmor: str = ""
    labels: tuple[str, ...] = ()


def parse_security_options(options: Iterable[str]) -> SecurityOptions:
    """Parse `key`, `key=value` and the old `key:value`. Raises InvalidArgument for an unknown or malformed one."""
    found = SecurityOptions()
    for option in options:
        found = _with(found, option)
    return found


def _with(found: SecurityOptions, option: str) -> SecurityOptions:
    if option == "no-new-privileges":
        return replace(found, no_new_privileges=True)
    if option == "writable-cgroups":
        return replace(found, writable_cgroups=True)
    if option == "disable":
        return replace(found, labels=(*found.labels, option))
    key, separator, value = option.partition("=" if "=" in option else ":")
    if not separator:
        raise InvalidArgument(f'invalid --security-opt 1: "{option}"')
    match key:
        case "label":
            return replace(found, labels=(*found.labels, value))
        case "apparmor":
            return replace(found, apparmor=value)
        case "seccomp":
            return replace(found, seccomp=value)
        case "no-new-privileges" if value in (*_TRUE, *_FALSE):
            return replace(found, no_new_privileges=value in _TRUE)
        case "writable-cgroups" if value in (*_TRUE, *_FALSE):
            return replace(found, writable_cgroups=value in _TRUE)
    raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
