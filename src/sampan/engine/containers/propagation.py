"""Whether mounts can travel as a bind asks: that is for the mount to say that its source lies on.

bind asks for                 the source's mount must be
shared, rshared               shared
slave, rslave                 shared, or the slave of one
private, rprivate, nothing    (any)
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path

from sampan.errors import InvalidArgument
from sampan.wire.containers import Mount, MountPoint

__all__ = ["asked_for", "check_propagation", "mount_of"]

_MOUNTS = Path("/proc/self/mountinfo")
_NEEDED = {
    "shared": (("shared",), "a shared mount"),
    "slave": (("shared", "master"), "a shared or slave mount"),
}


def check_propagation(points: Iterable[MountPoint]) -> None:
    """Raise InvalidArgument, in docker's words, for a bind whose source is on a mount more private than it asks for."""
    for point in points:
        found = _NEEDED.get(point.propagation.removeprefix("r"))
        if point.type != "bind" or found is None:
            continue
        needed, called = found
        place, fields = mount_of(point.source, _MOUNTS.read_text(errors="surrogateescape"))
        if not any(field.startswith(f"{name}:") for field in fields for name in needed):
            raise InvalidArgument(f"path {point.source} is mounted on {place} but it is not {called}")


def asked_for(points: Iterable[MountPoint], wishes: Iterable[Mount]) -> Iterator[MountPoint]:
    """Those whose propagation somebody asked for: where it is only the default, a more private mount will do."""
    named = {posixpath.normpath(wish.target) for wish in wishes if wish.bind_options and wish.bind_options.propagation}
    return (point for point in points if point.destination in named or point.propagation in point.mode.split(","))


def mount_of(path: str, mountinfo: str) -> tuple[str, list[str]]:
    """The mount point that holds a path, and its optional fields (proc_pid_mountinfo(5)): `shared:7`, `master:3`."""
    real = os.path.realpath(path)
    found: tuple[str, list[str]] = ("", [])
    for line in mountinfo.splitlines():
        words = line.partition(" - ")[0].split(" ")
        place = _unescaped(words[4])
        # Of several mounts in one place the last one is on top.
        if os.path.commonpath((place, real)) == place and len(place) >= len(found[0]):
            found = place, words[6:]
    return found


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
