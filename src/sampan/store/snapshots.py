"""Snapshots: unpacked layers and container layers, mounts as data.

    draft --commit_layer--> layer <-- init <-- active --remove--> (row gone, bytes swept)
      | discard                 a layer goes when no image and no other snapshot stands on it
      v
    (swept)

    <folder>/<n>/fs      the files; overlay's whiteouts and opaque marks
    <folder>/<n>/work    overlay's own, for init and active snapshots
    <folder>/empty       nothing: the second lower directory where overlay wants two

A layer's key is its chain id, an active snapshot's key is its owner's. Between an image and its containers stands one
init snapshot, made once: the mount points that must be there (sampan.store.initlayer), which no diff shows.

Layers are not fsynced. Their rows carry the id of the boot that wrote them until `settle` has run; after an unclean
boot `recover` forgets those, and they are made again from their blobs.

Whoever looks into a snapshot holds its bytes: what is removed meanwhile is swept when the last look ends.

Worked use:

    await snapshots.prepare("c1", image.chain_ids)
    overlay = snapshots.mounts("c1")                for the monitor: it mounts overlay.data in overlay.folder
    with snapshots.view_reading("c1") as root:      a directory's descriptor; the container must not run
        os.listdir(root)
    await snapshots.remove("c1")
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sampan.errors import Conflict
from sampan.kernel import syscalls
from sampan.oci.digest import Digest
from sampan.store.db import Database
from sampan.store.initlayer import fill
from sampan.store.leases import Leases
from sampan.store.overlay import OverlayMount, detached
from sampan.store.snapshotrows import DESCENT, UNUSED, ancestry, find, identity_of, init_key, insert
from sampan.store.trees import TreeSize, measure, remove_tree, sweep_tree

__all__ = ["Draft", "Layer", "Snapshots", "boot_id"]


@dataclass(frozen=True)
class Layer:
    """A committed layer: its own directory `fs`, the digest of its tar and the bytes of its files."""

    id: int
    key: Digest
    diff: Digest
    size: int
    fs: Path


@dataclass(frozen=True)
class Draft:
    """A directory that is being filled and may become a layer."""

    id: int
    fs: Path


def boot_id() -> str:
    """The kernel's name for the present boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


class Snapshots:
    """The snapshots below one folder. Made by one daemon; methods may be called from any thread."""

    def __init__(self, database: Database, leases: Leases, folder: Path, boot: str | None = None) -> None:
        self._database = database
        self._leases = leases
        self.folder = folder
        self._boot = boot or boot_id()
        self._sweeper = ThreadPoolExecutor(1, "sweeper")
        self._init_lock = threading.Lock()
        self._views_lock = threading.Lock()
        self._viewed: Counter[int] = Counter()
        self._removed: set[int] = set()
        (folder / "empty").mkdir(parents=True, exist_ok=True)

    # Layers

    def draft(self) -> Draft:
        """A new empty directory. It ends in `commit_layer` or `discard`; a crash discards it."""
        identity = self._database.write_blocking(
            lambda rows: insert(rows, "draft", secrets.token_hex(8), None), growing=True
        )
        path = self._fs(identity)
        path.mkdir(parents=True)
        path.chmod(0o755)
        return Draft(identity, path)

    def discard(self, draft: Draft) -> None:
        """Forget a draft. Its bytes go first: on a full disk they make room for the row's removal."""
        remove_tree(draft.fs.parent)
        self._database.write_blocking(lambda rows: rows.execute("DELETE FROM snapshots WHERE id = ?", (draft.id,)))

    def commit_layer(self, draft: Draft, key: Digest, parent: Digest | None, diff: Digest, size: int) -> Layer:
        """Make `draft` the layer `key` on `parent`; where it is already there, the draft is discarded."""

        def commit(rows: sqlite3.Connection) -> bool:
            if find(rows, key):
                return False
            below = identity_of(rows, parent) if parent else None
            update = (
                "UPDATE snapshots SET kind = 'layer', key = ?, parent = ?, diff = ?, size = ?, boot = ? WHERE id = ?"
            )
            rows.execute(update, (key, below, diff, size, self._boot, draft.id))
            return True

        if not self._database.write_blocking(commit):
            self.discard(draft)
        layer = self.layer(key)
        assert layer is not None
        return layer

    def layer(self, key: Digest) -> Layer | None:
        """The layer with that chain id."""
        query = "SELECT id, key, diff, size FROM snapshots WHERE key = ? AND kind = 'layer'"
        row = self._database.read(lambda rows: rows.execute(query, (key,)).fetchone())
        return self._layer(row) if row else None

    def layers(self) -> list[Layer]:
        """Every layer."""
        query = "SELECT id, key, diff, size FROM snapshots WHERE kind = 'layer' ORDER BY id"
        found = self._database.read(lambda rows: rows.execute(query).fetchall())
        return [self._layer(row) for row in found]

    def reclaim(self, rows: sqlite3.Connection) -> list[Layer]:
        """Within a transaction: delete the rows of layers and init snapshots that nothing stands on and no lease
        holds. Returns them topmost first (init snapshots have an empty `diff`); `sweep` them after the commit."""
        gone: list[Layer] = []
        held = self._leases.held()
        while found := [row for row in rows.execute(UNUSED).fetchall() if row[1] not in held]:
            rows.executemany("DELETE FROM snapshots WHERE id = ?", [(row[0],) for row in found])
            gone += [self._layer(row) for row in found]
        return gone

    def sweep(self, gone: Sequence[Layer]) -> None:
        """Remove, in the background, the bytes of what `reclaim` returned."""
        for layer in gone:
            self._sweep(layer.id)

    # Containers

    async def prepare(self, key: str, chain: Sequence[Digest]) -> None:
        """An active snapshot for `key` on an image's layers (all chain ids, bottom first).

        Raises Conflict where the key is taken, NotFound where a layer is not unpacked.
        """
        top = chain[-1] if chain else None
        identity = await self._database.write(lambda rows: self._insert_active(rows, key, top), growing=True)
        if identity is None:
            self._make_init(top)
            identity = await self._database.write(lambda rows: self._insert_active(rows, key, top), growing=True)
            assert identity is not None
        self._make_directories(identity)

    def mounts(self, key: str) -> OverlayMount:
        """How to mount an active snapshot. Raises NotFound."""
        identities = self._database.read(lambda rows: ancestry(rows, key))
        return self._overlay(identities[1:], identities[0])

    def upper(self, key: str) -> Path:
        """The directory with what was changed in an active snapshot."""
        return self._fs(self._database.read(lambda rows: ancestry(rows, key))[0])

    async def remove(self, key: str) -> None:
        """Remove an active snapshot and the layers that only it kept. Absent is fine; bytes go in the background."""

        def delete(rows: sqlite3.Connection) -> tuple[int | None, list[Layer]]:
            row = rows.execute(
                "DELETE FROM snapshots WHERE key = ? AND kind = 'active' RETURNING id", (key,)
            ).fetchone()
            return (row[0], self.reclaim(rows)) if row else (None, [])

        identity, gone = await self._database.write(delete)
        if identity is not None:
            self._sweep(identity)
        self.sweep(gone)

    def active_keys(self) -> list[str]:
        """The keys of all active snapshots."""
        query = "SELECT key FROM snapshots WHERE kind = 'active' ORDER BY id"
        return [key for (key,) in self._database.read(lambda rows: rows.execute(query).fetchall())]

    def usage(self, key: str) -> TreeSize:
        """What an active snapshot's own files take. Walks its tree: call it in a thread."""
        return measure(self.upper(key))

    # Views

    @contextmanager
    def view(self, key: str) -> Iterator[int]:
        """The descriptor of an active snapshot's root, for reading and writing while its container does not run.

        It is a mount that is attached nowhere and ends with the block. There must be no other of this snapshot.
        Raises NotFound.
        """
        with self._held(key) as chain, detached(self._overlay(chain[1:], chain[0])) as root:
            yield root

    @contextmanager
    def view_reading(self, key: str) -> Iterator[int]:
        """The same, read-only: its changes are one more layer, so that there may be any number."""
        with self._held(key) as chain, detached(self._overlay(chain, None)) as root:
            yield root

    @contextmanager
    def view_changes(self, key: str) -> Iterator[int]:
        """The descriptor of the directory with what was changed in an active snapshot. Raises NotFound."""
        with self._held(key) as chain:
            root = os.open(self._fs(chain[0]), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield root
            finally:
                os.close(root)

    @contextmanager
    def view_beginning(self, key: str) -> Iterator[int]:
        """Its root, read-only, as it was when the container was made: what a diff compares with. Raises NotFound."""
        with self._held(key) as chain, detached(self._overlay(chain[1:], None)) as root:
            yield root

    @contextmanager
    def view_layers(self, top: Digest | None) -> Iterator[int]:
        """The same, read-only, of an image's layers. Raises NotFound."""
        with self._held(top) as chain, detached(self._overlay(chain, None)) as root:
            yield root

    @contextmanager
    def _held(self, key: str | None) -> Iterator[list[int]]:
        """A snapshot and all below it, topmost first, whose bytes stay for the block. Raises NotFound."""
        with self._views_lock:
            chain = self._database.read(lambda rows: ancestry(rows, key)) if key else []
            self._viewed.update(chain)
        try:
            yield chain
        finally:
            with self._views_lock:
                self._viewed -= Counter(chain)
                gone = {identity for identity in chain if identity in self._removed and identity not in self._viewed}
                self._removed -= gone
            for identity in gone:
                self._sweep(identity)

    # Life

    def recover(self) -> None:
        """At start: forget drafts and what nothing stands on, sweep directories without a row."""

        def forget(rows: sqlite3.Connection) -> set[int]:
            rows.execute("DELETE FROM snapshots WHERE kind = 'draft'")
            self.reclaim(rows)
            return {identity for (identity,) in rows.execute("SELECT id FROM snapshots")}

        known = self._database.write_blocking(forget)
        for name in os.listdir(self.folder):
            if name.isdigit() and int(name) not in known:
                self._sweep(int(name))

    def unsettled(self) -> list[Layer]:
        """Layers, bottom first, of which a power cut may have taken bytes: written during another boot than this and
        not settled then, or without a directory. `remake` each."""
        query = "SELECT id, key, diff, size, boot FROM snapshots WHERE kind = 'layer' ORDER BY id"
        found = self._database.read(lambda rows: rows.execute(query).fetchall())
        layers = [(self._layer(row[:4]), row[4]) for row in found]
        return [layer for layer, boot in layers if boot not in (None, self._boot) or not layer.fs.is_dir()]

    def remake(self, layer: Layer, draft: Draft) -> None:
        """Put the freshly unpacked `draft` in the place of `layer`. No container may run on it."""
        remove_tree(self.folder / str(layer.id))
        draft.fs.parent.rename(self.folder / str(layer.id))
        update = "UPDATE snapshots SET boot = ? WHERE id = ?"
        self._database.write_blocking(
            lambda rows: (
                rows.execute("DELETE FROM snapshots WHERE id = ?", (draft.id,)),
                rows.execute(update, (self._boot, layer.id)),
            )
        )

    def remake_inits(self) -> None:
        """At start, after the layers: make those init snapshots again that a power cut may have damaged."""
        query = "SELECT id, parent, boot FROM snapshots WHERE kind = 'init'"
        for identity, parent, boot in self._database.read(lambda rows: rows.execute(query).fetchall()):
            if boot not in (None, self._boot) or not self._fs(identity).is_dir():
                remove_tree(self.folder / str(identity))
                self._fill_init(identity, self._chain(parent))

    def settle(self) -> None:
        """Write everything of the file system to the disk and note that the layers so far are there. Blocks."""
        query = "SELECT id FROM snapshots WHERE boot IS NOT NULL"
        pending = self._database.read(lambda rows: rows.execute(query).fetchall())
        if pending:
            sync_filesystem(self.folder)
            update = "UPDATE snapshots SET boot = NULL WHERE id = ?"
            self._database.write_blocking(lambda rows: rows.executemany(update, pending))

    def close(self) -> None:
        """Wait for the sweeper. What it has not reached is swept at the next start."""
        self._sweeper.shutdown(wait=True, cancel_futures=True)

    def _fs(self, identity: int) -> Path:
        return self.folder / str(identity) / "fs"

    def _layer(self, row: tuple[int, str, str | None, int]) -> Layer:
        identity, key, diff, size = row
        return Layer(identity, Digest(key), Digest(diff or ""), size, self._fs(identity))

    def _sweep(self, identity: int) -> None:
        with self._views_lock:
            if identity in self._viewed:
                self._removed.add(identity)
                return
        with suppress(RuntimeError):  # the sweeper has stopped: the next start sweeps
            self._sweeper.submit(sweep_tree, self.folder / str(identity))

    def _overlay(self, lower: Sequence[int], upper: int | None) -> OverlayMount:
        below = tuple(f"{identity}/fs" for identity in lower)
        if upper is None:
            return OverlayMount(self.folder, below if len(below) > 1 else (*below, "empty"), None, None)
        return OverlayMount(self.folder, below, f"{upper}/fs", f"{upper}/work")

    def _insert_active(self, rows: sqlite3.Connection, key: str, top: Digest | None) -> int | None:
        if find(rows, key):
            raise Conflict(f"snapshot {key} already exists")
        init = find(rows, init_key(top))
        return insert(rows, "active", key, init) if init else None

    def _make_init(self, top: Digest | None) -> None:
        # Under a lock: of two containers that are the first of an image, one makes it.
        with self._init_lock:
            if self._database.read(lambda rows: find(rows, init_key(top))):
                return
            parent = self._database.read(lambda rows: identity_of(rows, top)) if top else None
            draft = self._database.write_blocking(
                lambda rows: insert(rows, "draft", secrets.token_hex(8), parent), growing=True
            )
            self._fill_init(draft, self._chain(parent))
            update = "UPDATE snapshots SET kind = 'init', key = ?, boot = ?, diff = '' WHERE id = ?"
            self._database.write_blocking(lambda rows: rows.execute(update, (init_key(top), self._boot, draft)))

    def _fill_init(self, identity: int, lower: list[int]) -> None:
        self._make_directories(identity)
        overlay = self._overlay(lower, identity)
        with detached(overlay if lower else replace(overlay, lower=("empty",))) as root:
            fill(root)

    def _chain(self, identity: int | None) -> list[int]:
        """The row itself and all below it."""
        found = self._database.read(lambda rows: rows.execute(DESCENT, (identity,)).fetchall())
        return [identity for (identity,) in found]

    def _make_directories(self, identity: int) -> None:
        path = self.folder / str(identity)
        path.mkdir(mode=0o700)
        for name in ("fs", "work"):
            (path / name).mkdir()
            (path / name).chmod(0o755)


def sync_filesystem(path: Path) -> None:
    """syncfs(2) for the file system that holds `path`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.syncfs(descriptor)
    finally:
        os.close(descriptor)
