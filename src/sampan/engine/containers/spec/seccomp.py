"""System call filters: a profile (the default, or a user's own) resolved for one container into `linux.seccomp`.

    seccomp.rules (compact text, ours) ─ parse_rules ──┐
                                                       ├─> Profile ─ resolve(caps, arch, kernel) ─> linux.seccomp
    --security-opt seccomp=JSON ───── decode_profile ──┘

A profile's rules carry conditions on capabilities, architecture and kernel; the resolved section has none, only names,
actions and comparisons of arguments. Pure but for `default_profile`, which reads the data file once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import msgspec

from sampan.errors import InvalidArgument

__all__ = ["Profile", "decode_profile", "default_profile", "parse_rules", "resolve"]

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"

# Go's name of an architecture -> libseccomp's.
_NATIVE = {
    "386": "SCMP_ARCH_X86",
    "amd64": "SCMP_ARCH_X86_64",
    "arm": "SCMP_ARCH_ARM",
    "arm64": "SCMP_ARCH_AARCH64",
    "loong64": "SCMP_ARCH_LOONGARCH64",
    "mips64": "SCMP_ARCH_MIPS64",
    "mips64le": "SCMP_ARCH_MIPSEL64",
    "ppc64le": "SCMP_ARCH_PPC64LE",
    "riscv64": "SCMP_ARCH_RISCV64",
    "s390x": "SCMP_ARCH_S390X",
}
# Go's name -> the name in profiles, where they differ.
_PROFILE_ARCHES = {"386": "x86", "loong64": "loongarch64", "mips64le": "mipsel64"}

Version = tuple[int, int]


class Condition(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a rule asks of the container and the host; all that is given counts."""

    caps: tuple[str, ...] | None = None
    arches: tuple[str, ...] | None = None
    min_kernel: str | None = None


class Argument(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A comparison of one system call argument, in libseccomp's terms."""

    index: int
    value: int
    op: str
    value_two: int = 0


class Rule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The action for some calls, where `includes` holds and `excludes` does not."""

    action: str
    names: tuple[str, ...] | None = None
    name: str = ""
    errno_ret: int | None = None
    args: tuple[Argument, ...] | None = None
    includes: Condition | None = None
    excludes: Condition | None = None


class ArchMapping(msgspec.Struct, frozen=True, rename="camel"):
    """An architecture and those whose binaries it also runs."""

    architecture: str
    sub_architectures: tuple[str, ...] | None = None


class Profile(msgspec.Struct, frozen=True, rename="camel"):
    """A profile in the model of Docker's JSON format."""

    default_action: str
    default_errno_ret: int | None = None
    architectures: tuple[str, ...] | None = None
    arch_map: tuple[ArchMapping, ...] | None = None
    syscalls: tuple[Rule, ...] | None = None
    flags: tuple[str, ...] | None = None
    listener_path: str = ""
    listener_metadata: str = ""


_ARCH_MAP = (
    ArchMapping("SCMP_ARCH_X86_64", ("SCMP_ARCH_X86", "SCMP_ARCH_X32")),
    ArchMapping("SCMP_ARCH_AARCH64", ("SCMP_ARCH_ARM",)),
    ArchMapping("SCMP_ARCH_MIPS64", ("SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64N32")),
    ArchMapping("SCMP_ARCH_MIPSEL64", ("SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64N32")),
    ArchMapping("SCMP_ARCH_S390X", ("SCMP_ARCH_S390",)),
    ArchMapping("SCMP_ARCH_RISCV64"),
    ArchMapping("SCMP_ARCH_LOONGARCH64"),
)


@cache
def default_profile() -> Profile:
    """The product's own profile, from `seccomp.rules` beside this module."""
    return parse_rules(Path(__file__).with_name("seccomp.rules").read_text())


def decode_profile(document: str | bytes) -> Profile:
    """A user's profile in Docker's JSON format. Raises InvalidArgument when it is malformed or contradicts itself."""
    try:
        profile = msgspec.json.decode(document, type=Profile)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidArgument(f"decoding seccomp profile failed: {error}") from error
    if profile.architectures and profile.arch_map:
        raise InvalidArgument(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, "
            "use either 'architectures' or 'archMap'"
        )
    if any(rule.name and rule.names for rule in profile.syscalls or ()):
        raise InvalidArgument(
            "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'"
        )
    return profile


@lru_cache(maxsize=64)
def resolve(profile: Profile, capabilities: frozenset[str], architecture: str, kernel: Version) -> dict[str, Any]:
    """The `linux.seccomp` section for a container's bounding set, Go's architecture name and the kernel's version.

    Results are shared between callers: treat them as read-only.
    """
    section: dict[str, Any] = {"defaultAction": profile.default_action}
    if profile.default_errno_ret is not None:
        section["defaultErrnoRet"] = profile.default_errno_ret
    if architectures := _architectures(profile, architecture):
        section["architectures"] = architectures
    section |= {key: value for key, value in _extras(profile) if value}
    here = (capabilities, _PROFILE_ARCHES.get(architecture, architecture), kernel)
    section["syscalls"] = [_section(rule) for rule in profile.syscalls or () if _applies(rule, *here)]
    return section


def _extras(profile: Profile) -> Iterator[tuple[str, Any]]:
    yield "flags", list(profile.flags or ())
    yield "listenerPath", profile.listener_path
    yield "listenerMetadata", profile.listener_metadata


def _architectures(profile: Profile, architecture: str) -> list[str]:
    native = _NATIVE.get(architecture)
    for mapping in profile.arch_map or ():
        if mapping.architecture == native:
            return [mapping.architecture, *(mapping.sub_architectures or ())]
    return list(profile.architectures or ())


def _applies(rule: Rule, capabilities: frozenset[str], arch: str, kernel: Version) -> bool:
    wanted, unwanted = rule.includes or Condition(), rule.excludes or Condition()
    return (
        capabilities.issuperset(wanted.caps or ())
        and capabilities.isdisjoint(unwanted.caps or ())
        and (not wanted.arches or arch in wanted.arches)
        and arch not in (unwanted.arches or ())
        and (wanted.min_kernel is None or kernel >= _version(wanted.min_kernel))
        and (unwanted.min_kernel is None or kernel < _version(unwanted.min_kernel))
    )


def _section(rule: Rule) -> dict[str, Any]:
    section: dict[str, Any] = {"names": list(rule.names or (rule.name,)), "action": rule.action}
    if rule.errno_ret is not None:
        section["errnoRet"] = rule.errno_ret
    if rule.args:
        section["args"] = [msgspec.to_builtins(argument) for argument in rule.args]
    return section


def _version(text: str) -> Version:
    major, _, minor = text.partition(".")
    try:
        return int(major), int(minor)
    except ValueError:
        raise InvalidArgument(f"invalid kernel version {text!r} in the seccomp profile") from None


# --- the compact text -------------------------------------------------------------------------------------------------

_HEADER = re.compile(r"(allow|errno (?P<errno>\d+))( when (?P<conditions>.+))?:")
_ARGUMENT = re.compile(r"arg(\d) (?:& (\w+) )?([<=>]) (\w+)")
_COMPARE = {"<": "SCMP_CMP_LT", "=": "SCMP_CMP_EQ", ">": "SCMP_CMP_GT"}


def parse_rules(text: str) -> Profile:
    """A profile from the compact text; its format is told in the head of `seccomp.rules`."""
    default, rules, names = None, [], list[str]()
    for line in (raw for raw in text.splitlines() if raw.strip() and not raw.lstrip().startswith("#")):
        if line[0].isspace():
            names += line.split()
        elif line.startswith("default errno "):
            default = int(line.removeprefix("default errno "))
        else:
            names = []
            rules.append((line, names))
    if default is None:
        raise ValueError("the rules name no default")
    return Profile(ERRNO, default, None, _ARCH_MAP, tuple(_rule(head, tuple(found)) for head, found in rules))


def _rule(header: str, names: tuple[str, ...]) -> Rule:
    match = _HEADER.fullmatch(header)
    if match is None:
        raise ValueError(f"not a rule: {header!r}")
    conditions = match["conditions"].split(" and ") if match["conditions"] else []
    errno = match["errno"]
    return Rule(
        action=ERRNO if errno else ALLOW,
        names=names,
        errno_ret=int(errno) if errno else None,
        args=tuple(_argument(text) for text in conditions if text.startswith("arg")) or None,
        includes=_condition([text for text in conditions if not text.startswith(("arg", "not "))]),
        excludes=_condition([text.removeprefix("not ") for text in conditions if text.startswith("not ")]),
    )


def _argument(text: str) -> Argument:
    match = _ARGUMENT.fullmatch(text)
    if match is None:
        raise ValueError(f"not a comparison: {text!r}")
    index, mask, operator, value = match.groups()
    if mask is None:
        return Argument(int(index), int(value, 0), _COMPARE[operator])
    return Argument(int(index), int(mask, 0), "SCMP_CMP_MASKED_EQ", int(value, 0))


def _condition(texts: list[str]) -> Condition | None:
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        kind, *values = text.split()
        found[kind] = tuple(values)
    if not found.keys() <= {"cap", "arch", "kernel"}:
        raise ValueError(f"unknown condition in {texts}")
    if not found:
        return None
    return Condition(
        caps=tuple(f"CAP_{name}" for name in found["cap"]) if "cap" in found else None,
        arches=found.get("arch"),
        min_kernel=found["kernel"][0] if "kernel" in found else None,
    )
