"""What a sampand must not leave behind, looked up in kernel, database and folders rather than asked of the daemon."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from rig.engines import Sampand, command_line

CGROUPS = Path("/sys/fs/cgroup")
ORPHANED_ROWS = {
    "container": "SELECT name FROM containers",
    "endpoint of container": "SELECT container FROM endpoints",
    "snapshot": "SELECT kind || ' ' || key FROM snapshots WHERE kind NOT IN ('layer', 'init')",
    "layer": """
        SELECT kind || ' ' || key FROM snapshots AS this WHERE kind IN ('layer', 'init')
        AND NOT EXISTS (SELECT 1 FROM snapshots WHERE parent = this.id)
        AND NOT EXISTS (SELECT 1 FROM images WHERE top = CASE kind WHEN 'init' THEN substr(key, 6) ELSE key END)
    """,
    "blob": "SELECT digest FROM blobs WHERE digest NOT IN (SELECT digest FROM image_blobs)",
    "blob's lost": "SELECT digest FROM image_blobs WHERE digest NOT IN (SELECT digest FROM blobs)",
}
"""Rows that nothing stands behind in a daemon without containers."""


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


@contextmanager
def copied_database(engine: Sampand) -> Iterator[sqlite3.Connection]:
    """A copy of the rows: the daemon keeps the database itself to itself.

    Reading raises sqlite3.DatabaseError where the copy was made amid a checkpoint.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("sampan.db", "sampan.db-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(engine.data / name, folder)
        with closing(sqlite3.connect(Path(folder, "sampan.db"))) as database:
            yield database


def rows(engine: Sampand) -> list[str]:
    """Rows and bytes that nothing stands behind."""
    try:
        with copied_database(engine) as database:
            return [*orphaned_rows(database), *orphaned_bytes(engine.data, database)]
    except sqlite3.DatabaseError as error:
        return [f"a database that can't be read: {error}"]


def orphaned_rows(database: sqlite3.Connection) -> Iterator[str]:
    for kind, query in ORPHANED_ROWS.items():
        for (name,) in database.execute(query):
            yield f"row of {kind} {name}"


def orphaned_bytes(data: Path, database: sqlite3.Connection) -> Iterator[str]:
    """Bytes without a row, and rows without their bytes."""
    layers = {str(identity) for (identity,) in database.execute("SELECT id FROM snapshots")}
    blobs = {digest for (digest,) in database.execute("SELECT digest FROM blobs")}
    volumes = {name for (name,) in database.execute("SELECT name FROM volumes")}
    there = {
        "snapshot": (layers, {name for name in names(data / "snapshots") if name != "empty"}),
        "blob": (blobs, {f"{kind}:{name}" for kind in names(data / "blobs") for name in names(data / "blobs" / kind)}),
        "volume": (volumes, names(data / "volumes")),
        "ingest": (set[str](), {name for name in names(data / "ingest") if name.startswith("tmp-")}),
    }
    for kind, (known, found) in there.items():
        yield from (f"bytes of {kind} {name}" for name in found - known)
        yield from (f"row of {kind} {name} without bytes" for name in known - found)


def names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()


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
        *rows(engine),
    ]


def settled(engine: Sampand, seconds: float = 30) -> list[str]:
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
