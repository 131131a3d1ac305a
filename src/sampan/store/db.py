"""Rows: one SQLite file in WAL mode, one writer thread, readers on whatever thread asks.

Only this process may open it: the index of the WAL is in memory and in no file, which a full disk could not hold.

    schema (version 2)

    containers   id, name (unique), created, document
    volumes      name, document
    networks     id, name, document
    endpoints    network, container, document             a running container's place in a network
    blobs        digest, size, created                   bytes in blobs/<algorithm>/<hex>
    images       id (the config's digest), manifest, parent, created, tagged, top (chain id), config (the document)
    image_blobs  image, digest                            what an image keeps: its documents and layers
    tags         reference (canonical name:tag or name@digest), image, target (manifest or index digest)
    members      target, image                            the platform images of a kept multi-platform index
    snapshots    id, kind (draft, layer, init, active), key (chain id or the owner's key), parent, diff, size, boot

`boot` in snapshots names the boot during which an unpacked layer was written and not yet known to be on the disk;
NULL means settled. Times are nanoseconds since the epoch. Documents are JSON of their owner's making.

Worked use:

    database = Database(paths.database)
    await database.write(lambda rows: rows.execute("INSERT INTO volumes VALUES (?, ?)", (name, document)))
    found = database.read(lambda rows: rows.execute("SELECT document FROM volumes").fetchall())
    database.close()
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from sampan.errors import Exhausted, Internal
from sampan.store.room import Room

__all__ = ["MIGRATIONS", "Database", "is_full"]

T = TypeVar("T")


MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE containers (
        id TEXT PRIMARY KEY, name TEXT UNIQUE NOT NULL, created INTEGER NOT NULL, document BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE volumes (name TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE networks (id TEXT PRIMARY KEY, name TEXT NOT NULL, document BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE images (
        id TEXT PRIMARY KEY, manifest TEXT NOT NULL, parent TEXT NOT NULL, created INTEGER NOT NULL,
        tagged INTEGER NOT NULL, top TEXT NOT NULL, config BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX images_top ON images (top);
    CREATE TABLE image_blobs (
        image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE, digest TEXT NOT NULL, PRIMARY KEY (image, digest)
    ) WITHOUT ROWID;
    CREATE INDEX image_blobs_digest ON image_blobs (digest);
    CREATE INDEX images_parent ON images (parent);
    CREATE TABLE tags (
        reference TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES images (id), target TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX tags_image ON tags (image);
    CREATE TABLE members (
        target TEXT NOT NULL, image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE, PRIMARY KEY (target, image)
    ) WITHOUT ROWID;
    CREATE INDEX members_image ON members (image);
    CREATE TABLE snapshots (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT UNIQUE NOT NULL,
        parent INTEGER REFERENCES snapshots (id), diff TEXT, size INTEGER NOT NULL DEFAULT 0, boot TEXT
    );
    CREATE INDEX snapshots_parent ON snapshots (parent);
    CREATE INDEX snapshots_diff ON snapshots (diff);
    """,
    """
    CREATE TABLE endpoints (
        network TEXT NOT NULL, container TEXT NOT NULL, document BLOB NOT NULL, PRIMARY KEY (network, container)
    ) WITHOUT ROWID;
    """,
)


def _connect(path: Path) -> sqlite3.Connection:
    # isolation_level None: transactions begin and end only where this module says so.
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?vfs=unix-excl",
        uri=True,
        timeout=30,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > len(MIGRATIONS):
        raise Internal(
            f"{path} has schema version {found}, this Sampan knows {len(MIGRATIONS)}: "
            "it was written by a newer version; install that, or choose another data root"
        )
    for version in range(found, len(MIGRATIONS)):
        connection.executescript(f"BEGIN; {MIGRATIONS[version]} PRAGMA user_version = {version + 1}; COMMIT;")


class Database:
    """The one database file. Made (and migrated forward) when opened."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._writer = _connect(path)
        try:
            _migrate(self._writer, path)
            self._room = Room(path.with_name("room.bin"))
        except BaseException:
            self._writer.close()
            raise
        self._durable = False
        self._set_durable(True)
        self._thread = ThreadPoolExecutor(1, "database")
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []

    async def write(self, change: Callable[[sqlite3.Connection], T], durable: bool = False, growing: bool = False) -> T:
        """Run `change` as one transaction on the writer thread and return its result.

        `durable` makes the commit (and all before it) survive a power cut. A cancelled caller's transaction is done
        whole or not at all. An exception in `change` rolls back and is raised here; a full disk raises Exhausted.

        On a full disk what was held back (sampan.store.room) is used, but not by a change that begins something new:
        that is `growing`, and refused. Then `change` is called once more.
        """
        return await asyncio.wrap_future(self._thread.submit(self._write, change, durable, growing))

    def write_blocking(
        self, change: Callable[[sqlite3.Connection], T], durable: bool = False, growing: bool = False
    ) -> T:
        """The same as `write`, for worker threads and start-up: blocks until the transaction is committed."""
        return self._thread.submit(self._write, change, durable, growing).result()

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` on this thread over one consistent state of the database, and return its result."""
        reader = self._reader()
        if reader.in_transaction:
            return query(reader)
        reader.execute("BEGIN")
        try:
            return query(reader)
        finally:
            reader.execute("COMMIT")

    def close(self) -> None:
        """Finish pending writes and close the file. No call may follow."""
        self._thread.shutdown(wait=True)
        for reader in self._readers:
            reader.close()
        self._writer.close()

    def _write(self, change: Callable[[sqlite3.Connection], T], durable: bool, growing: bool) -> T:
        if not self._room.there() and growing:
            raise self._full()
        try:
            return self._transact(change, durable)
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            if growing or not self._room.give_up():
                raise self._full() from error
        try:
            return self._transact(change, durable)
        except sqlite3.Error as error:
            raise (self._full() if is_full(error) else error) from error

    def _full(self) -> Exhausted:
        return Exhausted(f"write {self._path}: no space left on device")

    def _transact(self, change: Callable[[sqlite3.Connection], T], durable: bool) -> T:
        self._set_durable(durable)
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            result = change(self._writer)
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        return result

    def _set_durable(self, durable: bool) -> None:
        if durable != self._durable:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    def _reader(self) -> sqlite3.Connection:
        reader: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if reader is None:
            reader = _connect(self._path)
            reader.execute("PRAGMA query_only = ON")
            self._local.connection = reader
            self._readers.append(reader)
        return reader


def is_full(error: sqlite3.Error) -> bool:
    """Whether an error is that of a full disk."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
