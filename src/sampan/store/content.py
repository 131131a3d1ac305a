"""Blobs: immutable bytes under the name of their digest, and ingests: blobs on their way in.

    ingest/<name>   --commit: fsync, verify, rename, row-->   blobs/<algorithm>/<hex>   --delete: row, then bytes-->
       | abort
       v
    (removed)

An ingest that was begun to be resumed stays when it is aborted, and as a second name of its bytes when it is
committed, until `forget`: so that what several blobs are brought for can go on where it was left.

A blob is there when its row is. Bytes without a row, and ingests that nobody means to resume, are garbage that
`recover` removes at start; a row whose bytes a power cut took is removed too.

Worked use:

    with content.begin() as ingest:
        ingest.write(b"...")
        digest = ingest.commit(expected)
    content.sync()                       before the durable row that refers to it
    content.read(digest)

An ingest may be read while it grows: `ingest.follow()`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from sampan.errors import DataLoss, NotFound
from sampan.oci.digest import Digest, hash_digest, hex_of, parse_digest
from sampan.store.db import Database
from sampan.store.files import exhausted, sync_directory

__all__ = ["BlobInfo", "ContentStore", "Follower", "Ingest"]

_ANONYMOUS = "tmp-"
_RESUMABLE_FOR = 24 * 3600
_CHUNK = 1 << 20
_ALGORITHMS = ("sha256", "sha384", "sha512")


@dataclass(frozen=True)
class BlobInfo:
    """A stored blob; size in bytes, time in nanoseconds since the epoch."""

    digest: Digest
    size: int
    created: int


class ContentStore:
    """The blobs below one folder, with a row each in the database. All methods may be called from any thread."""

    def __init__(self, database: Database, blobs: Path, ingest: Path) -> None:
        self._database = database
        self._blobs = blobs
        self._ingest = ingest
        # Held where rows and files change together, so that a deletion can't take the bytes of a fresh commit.
        self._lock = threading.Lock()
        ingest.mkdir(parents=True, exist_ok=True)
        for algorithm in _ALGORITHMS:
            (blobs / algorithm).mkdir(parents=True, exist_ok=True)

    def path(self, digest: Digest) -> Path:
        """Where a blob's bytes lie, or would. Raises InvalidArgument for what is no digest, whoever claims it."""
        parse_digest(digest)
        return self._blobs / digest.partition(":")[0] / hex_of(digest)

    def info(self, digest: Digest) -> BlobInfo | None:
        """The blob's row, None where there is none."""
        query = "SELECT digest, size, created FROM blobs WHERE digest = ?"
        row = self._database.read(lambda rows: rows.execute(query, (digest,)).fetchone())
        return BlobInfo(*row) if row else None

    def has(self, digest: Digest) -> bool:
        return self.info(digest) is not None

    def open(self, digest: Digest) -> BinaryIO:
        """The blob's bytes. Raises NotFound."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise NotFound(f"content {digest} not found") from None

    def read(self, digest: Digest) -> bytes:
        """A small blob whole, verified. Raises NotFound, DataLoss."""
        with self.open(digest) as file:
            content = file.read()
        state = hashlib.new(digest.partition(":")[0], content)
        if hash_digest(state) != digest:
            raise DataLoss(f"content {digest} is damaged on the disk: remove what uses it and load or pull it again")
        return content

    def put(self, content: bytes, expected: Digest | None = None) -> Digest:
        """Store a small blob at once."""
        with self.begin(algorithm=expected.partition(":")[0] if expected else "sha256") as ingest:
            ingest.write(content)
            return ingest.commit(expected)

    def begin(self, resume: str | None = None, algorithm: str = "sha256") -> Ingest:
        """A new ingest. With `resume` (any file name) it goes on where an earlier one of that name was left."""
        name = resume or _ANONYMOUS + secrets.token_hex(8)
        return Ingest(self, self._ingest / name, algorithm, resume is not None)

    def list(self) -> list[BlobInfo]:
        """Every blob."""
        query = "SELECT digest, size, created FROM blobs ORDER BY digest"
        return [BlobInfo(*row) for row in self._database.read(lambda rows: rows.execute(query).fetchall())]

    def delete(self, digests: Iterable[Digest]) -> None:
        """Remove blobs, rows first. Those that are not there are passed over."""
        wanted = list(digests)
        self._database.write_blocking(lambda rows: self.delete_rows(rows, wanted))
        self.sweep(wanted)

    def delete_rows(self, rows: sqlite3.Connection, digests: Iterable[Digest]) -> None:
        """Within a transaction: delete the rows; `sweep` removes the bytes after the commit."""
        rows.executemany("DELETE FROM blobs WHERE digest = ?", ((digest,) for digest in digests))

    def sweep(self, digests: Iterable[Digest]) -> None:
        """Remove the bytes of those that have no row (any more)."""
        for digest in digests:
            with self._lock:
                if not self.has(digest):
                    self.path(digest).unlink(missing_ok=True)

    def sync(self) -> None:
        """Make the names of all committed blobs survive a power cut (their bytes do since the commit)."""
        for algorithm in _ALGORITHMS:
            sync_directory(self._blobs / algorithm)

    def forget(self, resumed: Iterable[str]) -> None:
        """Remove ingests that were kept to be resumed, by their names."""
        for name in resumed:
            (self._ingest / name).unlink(missing_ok=True)

    def forget_old(self) -> None:
        """Remove the ingests that nobody has gone on with for a day."""
        for path in self._ingest.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _RESUMABLE_FOR:
                    path.unlink()

    def recover(self) -> None:
        """At start: remove rows without bytes, bytes without rows, and ingests that nobody will resume."""
        known = {info.digest for info in self.list()}
        found = {Digest(f"{a}:{name}") for a in _ALGORITHMS for name in os.listdir(self._blobs / a)}
        self.delete(known ^ found)
        self.forget([name for name in os.listdir(self._ingest) if name.startswith(_ANONYMOUS)])
        self.forget_old()

    def _adopt(self, path: Path, digest: Digest, size: int, stays: bool) -> None:
        insert = "INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        with self._lock:
            if stays:
                self.path(digest).unlink(missing_ok=True)
                self.path(digest).hardlink_to(path)
            else:
                path.rename(self.path(digest))
            try:
                self._database.write_blocking(
                    lambda rows: rows.execute(insert, (digest, size, time.time_ns())), growing=True
                )
            except BaseException:
                # Without its row it is no blob, unless another ingest of the same bytes came first.
                if not self.has(digest):
                    self.path(digest).unlink()
                raise


class Ingest:
    """One blob on its way in. One thread writes; others may follow. Leaving the `with` block without a commit
    removes it, unless it was begun to be resumed."""

    def __init__(self, store: ContentStore, path: Path, algorithm: str, resumable: bool) -> None:
        self._store = store
        self._path = path
        self._resumable = resumable
        self._hash = hashlib.new(algorithm)
        self._file = path.open("a+b", buffering=0)
        self._grown = threading.Condition()
        self._ended = False
        self.offset = 0
        self._take_what_is_there()
        if resumable:
            path.touch()

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return hash_digest(self._hash)

    def write(self, data: bytes | memoryview) -> None:
        """Append; the offset moves by the length of `data`. Raises Exhausted when the disk is full."""
        view = memoryview(data)
        self._hash.update(view)
        try:
            while view:
                written = self._file.write(view)
                view = view[written:]
                self._advance(written)
        except OSError as error:
            raise exhausted(error, "storing content") from error

    def commit(self, expected: Digest | None = None, size: int | None = None) -> Digest:
        """Verify and store the blob. Raises DataLoss (and the bytes are gone) where digest or size differ."""
        digest = hash_digest(self._hash)
        self._finish()
        try:
            self._verify(digest, expected, size)
            os.fsync(self._file.fileno())
            self._store._adopt(self._path, digest, self.offset, self._resumable)
        except OSError as error:
            self._path.unlink(missing_ok=True)
            raise exhausted(error, "storing content") from error
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            self._file.close()
        return digest

    def discard(self) -> None:
        """Give it up for good."""
        self.abort()
        self._path.unlink(missing_ok=True)

    def abort(self) -> None:
        """Give it up; followers see an end that is too early."""
        self._finish()
        self._file.close()
        if not self._resumable:
            self._path.unlink(missing_ok=True)

    def follow(self) -> Follower:
        """A reader that starts at the first byte and waits for those that are not there yet. Close it."""
        return Follower(self, self._path.open("rb", buffering=0))

    def wait(self, position: int) -> int:
        """The number of bytes that can be read from `position`; blocks until there are some, 0 means the end."""
        with self._grown:
            while self.offset <= position and not self._ended:
                self._grown.wait()
            return self.offset - position

    def __enter__(self) -> Ingest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._file.closed:
            self.abort()

    def _take_what_is_there(self) -> None:
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            self._hash.update(chunk)
            self.offset += len(chunk)

    def _advance(self, count: int) -> None:
        with self._grown:
            self.offset += count
            self._grown.notify_all()

    def _finish(self) -> None:
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    def _verify(self, digest: Digest, expected: Digest | None, size: int | None) -> None:
        if size is not None and self.offset != size:
            raise DataLoss(f"unexpected size of {expected or digest}: {self.offset} bytes instead of {size}")
        if expected is not None and digest != expected:
            raise DataLoss(f"unexpected digest: {digest} instead of {expected}")


class Follower:
    """Reads an ingest while it grows."""

    def __init__(self, ingest: Ingest, file: BinaryIO) -> None:
        self._ingest = ingest
        self._file = file
        self._position = 0

    def read(self, limit: int = _CHUNK) -> bytes:
        """Up to `limit` bytes; blocks until there are some; empty at the end."""
        available = self._ingest.wait(self._position)
        data = self._file.read(min(limit, available)) if available else b""
        self._position += len(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.read, b"")

    def close(self) -> None:
        self._file.close()
