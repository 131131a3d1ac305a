"""Garbage collection: in one transaction rows go, and with them the rows of what only they kept; then the bytes.

    change(rows) -> layers that nothing stands on -> blobs that no image keeps -> commit -> bytes, in the background

What a lease holds is spared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sampan.oci.digest import Digest
from sampan.store.content import ContentStore
from sampan.store.db import Database
from sampan.store.leases import Leases
from sampan.store.snapshots import Layer, Snapshots

__all__ = ["Collector"]

_UNKEPT = "SELECT digest FROM blobs WHERE digest NOT IN (SELECT digest FROM image_blobs)"


class Collector:
    """The only one that deletes blobs and layers because nothing refers to them. Blocks."""

    def __init__(self, database: Database, content: ContentStore, snapshots: Snapshots, leases: Leases) -> None:
        self._database = database
        self._content = content
        self._snapshots = snapshots
        self._leases = leases
        self._sweeper = ThreadPoolExecutor(1, "blob-sweeper")

    def run(self, change: Callable[[sqlite3.Connection], None] | None = None, durable: bool = True) -> list[Layer]:
        """Make `change` and collect. Returns the layers that are gone, topmost first."""

        def collect(rows: sqlite3.Connection) -> tuple[list[Layer], list[Digest]]:
            if change is not None:
                change(rows)
            layers = self._snapshots.reclaim(rows)
            held = self._leases.held()
            blobs = [Digest(digest) for (digest,) in rows.execute(_UNKEPT) if digest not in held]
            self._content.delete_rows(rows, blobs)
            return layers, blobs

        layers, blobs = self._database.write_blocking(collect, durable)
        self._snapshots.sweep(layers)
        self._sweeper.submit(self._content.sweep, blobs)
        return [layer for layer in layers if layer.diff]

    def close(self) -> None:
        """Wait for the sweeping."""
        self._sweeper.shutdown(wait=True)
