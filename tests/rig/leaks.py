"""What a sampand must not leave behind, looked up in the kernel and on disk rather than asked of the daemon."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from rig.engines import Sampand, command_line

CGROUPS = Path("/sys/fs/cgroup")


def mounts(engine: Sampand) -> list[str]:
    """Mounts below the engine's home in this (the host's) mount namespace."""
    text = Path("/proc/self/mountinfo").read_text()
    return [f"mount {line}" for line in text.splitlines() if f"{engine.home}/" in line]


def cgroup_folders(engine: Sampand) -> Iterator[Path]:
    """The engine's cgroup parent in every hierarchy."""
    name = engine.cgroup_parent.strip("/")
    for folder in [CGROUPS, *CGROUPS.iterdir()]:
        if folder.joinpath(name).is_dir():
            yield folder / name


def cgroups(engine: Sampand) -> list[str]:
    """Cgroups below the engine's parent: one for each container that runs."""
    return [f"cgroup {child}" for top in cgroup_folders(engine) for child in top.iterdir() if child.is_dir()]


def processes(engine: Sampand) -> list[str]:
    """Processes that name the engine's home or live in its cgroups, beside the daemon and its monitor."""
    inside = {pid for top in cgroup_folders(engine) for pid in members(top)}
    spared = {engine.pid, os.getpid(), engine.monitor_pid()}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in spared:
            continue
        words = command_line(entry)
        if int(entry.name) in inside or any(f"{engine.home}/" in word for word in words):
            found.append(f"process {entry.name} {' '.join(words)[:200]}")
    return found


def members(top: Path) -> Iterator[int]:
    """The processes of a cgroup and those below it, which may vanish while one looks."""
    for folder, _, _ in os.walk(top):
        try:
            yield from map(int, Path(folder, "cgroup.procs").read_text().split())
        except OSError:
            continue


def links(engine: Sampand) -> list[str]:
    return [f"link {name} ({kind})" for name, kind in engine.network.links().items() if kind == "veth"]


def files(engine: Sampand) -> list[str]:
    """Folders of containers that are gone."""
    places = [engine.data / "containers", engine.run / "bundles", engine.run / "runtime"]
    return [f"file {child}" for place in places if place.is_dir() for child in place.iterdir()]


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def found(engine: Sampand) -> list[str]:
    """Everything that a daemon without containers must not have."""
    return [
        *mounts(engine),
        *cgroups(engine),
        *processes(engine),
        *links(engine),
        *files(engine),
    ]


def settled(engine: Sampand, seconds: float = 10) -> list[str]:
    """The leaks that are still there after the engine had time to clean up behind its answers."""
    deadline = time.monotonic() + seconds
    while (left := found(engine)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def ends(pid: int | None, seconds: float = 15) -> bool:
    """Wait until a process has ended, whether or not it was reaped; False when it hasn't."""
    deadline = time.monotonic() + seconds
    while pid is not None and lives(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def remove_cgroups(engine: Sampand) -> None:
    """Take the engine's own parent away at the end; a folder that is not empty stays and is seen."""
    for top in list(cgroup_folders(engine)):
        for folder in sorted((child for child in top.rglob("*") if child.is_dir()), reverse=True):
            folder.rmdir()
        top.rmdir()
