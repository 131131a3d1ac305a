"""Platforms: `os/architecture[/variant]` (OCI image-spec image-index.md), parsed, normalised and matched."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote

from sampan.errors import InvalidArgument

__all__ = ["Platform"]

_SYSTEM = re.compile(r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)(?:\+[A-Za-z0-9_.%-]+)*\))?")
_PART = re.compile(r"[A-Za-z0-9_.-]+")
_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "i386": "386",
    "i686": "386",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "armv7l": "arm",
    "armv6l": "arm",
}
_SPELLED_VARIANTS = {"armhf": "v7", "armv7l": "v7", "armel": "v6", "armv6l": "v6"}
_DEFAULT_VARIANTS = {("arm64", "v8"): "", ("amd64", "v1"): "", ("arm", ""): "v7"}
_KNOWN_ARCHITECTURES = frozenset(
    "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm".split(" ")
)
_SYSTEMS = {"macos": "darwin"}
# What a host of this architecture also runs, best first.
_COMPATIBLE = {"amd64": ("386",), "arm64": ("arm",)}


@dataclass(frozen=True)
class Platform:
    """A normalised platform. `os_version` is set only by Windows images."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def of(cls, system: str, architecture: str, variant: str = "", os_version: str = "") -> Platform:
        """Normalised from the names that documents and people use (`x86_64`, `aarch64`, `armhf`)."""
        system, spelled = system.lower(), architecture.lower()
        name = _ARCHITECTURES.get(spelled, spelled)
        variant = (variant or _SPELLED_VARIANTS.get(spelled, "")).lower()
        if variant and variant[0].isdigit() and name in ("arm", "arm64"):
            variant = "v" + variant
        return cls(_SYSTEMS.get(system, system), name, _DEFAULT_VARIANTS.get((name, variant), variant), os_version)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """`os[(version)]`, `architecture`, `os/architecture` or with a variant. Raises InvalidArgument."""
        system, *parts = text.split("/")
        if len(parts) > 2:
            raise InvalidArgument(f'"{text}": cannot parse platform specifier: it is written os/architecture[/variant]')
        named = _SYSTEM.fullmatch(system)
        if named is None:
            raise InvalidArgument(f'"{system}" is an invalid OS component of "{text}": it is written os or os(version)')
        for part in parts:
            if not _PART.fullmatch(part):
                raise InvalidArgument(
                    f'"{part}" is an invalid component of "{text}": it may have letters, digits, dots and dashes'
                )
        name, version = named[1], unquote(named[2] or "")
        if parts:
            architecture, variant = (*parts, "")[:2]
            return cls.of(name, architecture, variant, version)
        host = cls.host()
        if name.lower() in ("linux", "windows", "darwin", "macos", "freebsd"):
            return cls.of(name, host.architecture, host.variant, version)
        alone = cls.of(host.os, system)
        if alone.architecture not in _KNOWN_ARCHITECTURES:
            raise InvalidArgument(f'"{text}": unknown operating system or architecture: invalid argument')
        return alone

    @classmethod
    def host(cls) -> Platform:
        """The platform this process runs on."""
        return cls.of("linux", os.uname().machine)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def matches(self, wanted: Platform) -> bool:
        """Whether an image of this platform is what `wanted` asks for; a wanted platform without variant takes any."""
        same = (self.os, self.architecture) == (wanted.os, wanted.architecture)
        return same and wanted.variant in ("", self.variant)

    def rank(self, wanted: Platform) -> int | None:
        """How well an image of this platform serves `wanted` (0 is best), None when it can't."""
        if self.os != wanted.os:
            return None
        if self.architecture == wanted.architecture:
            return self._variant_rank(wanted)
        others = _COMPATIBLE.get(wanted.architecture, ())
        return 100 + others.index(self.architecture) if self.architecture in others else None

    def _variant_rank(self, wanted: Platform) -> int | None:
        mine, theirs = _level(self), _level(wanted)
        return theirs - mine if mine <= theirs else None


def _level(platform: Platform) -> int:
    default = 8 if platform.architecture == "arm64" else 1
    digits = platform.variant.lstrip("v").partition(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else default
