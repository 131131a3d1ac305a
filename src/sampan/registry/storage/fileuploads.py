"""Uploads as folders: bytes are appended as they come, and hashed on the way.

    begin --> uploads/<id>/{data, algorithm} --append*--> --commit: fsync, compare, adopt--> (a blob)
                                                          --abandon-----------------------> (gone)

The state of a hash can't be stored, so it is kept in memory by the process that wrote; another process, or the same
one after a restart, reads the bytes again. `flock` on the data keeps two writers apart; its end frees it.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.errors import Conflict, DataLoss, NotFound
from sampan.oci.digest import Digest, hash_digest
from sampan.registry.storage import UploadInfo
from sampan.registry.storage.recent import Recent
from sampan.store.trees import remove_tree

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["FileUploads"]

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BATCH = 1 << 19
"""Bytes that are worth a hop to a thread."""
_MOST_HELD = 4 << 20
"""Bytes that may wait for the thread before the client is held back."""
_WINDOW = 16 << 20
"""Bytes after which they are synced while more come, so that the sync at the end finds little to do."""
_CHUNK = 1 << 20
_PATIENCE = 5.0
"""Seconds that a request waits for another one that writes to the same upload: it may be dead and not known to be."""


@dataclass
class _Progress:
    """What this process knows of an upload's bytes: their hash up to `offset`."""

    hash: _Hash
    offset: int = 0


class _Writer:
    """An upload that is open for writing by us alone. Its methods block."""

    def __init__(self, data: Path, progress: _Progress) -> None:
        try:
            self._fd = os.open(data, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound("no such upload") from None
        self.progress = progress

    def lock(self, data: Path) -> None:
        """Keep others out. Raises Conflict when one stays in, NotFound when it is gone meanwhile."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Conflict("another request writes to this upload") from None
                time.sleep(0.02)
        if not data.exists():
            raise NotFound("no such upload")

    def catch_up(self) -> None:
        """Hash what others wrote."""
        size = os.fstat(self._fd).st_size
        if self.progress.offset > size:
            self.progress = _Progress(hashlib.new(self.progress.hash.name))
        while self.progress.offset < size:
            self._take(os.pread(self._fd, _CHUNK, self.progress.offset))

    def write(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                done = os.write(self._fd, view)
                self._take(view[:done])
                view = view[done:]

    def digest(self, algorithm: str) -> Digest:
        if self.progress.hash.name == algorithm:
            return hash_digest(self.progress.hash)
        state = hashlib.new(algorithm)
        position = 0
        while chunk := os.pread(self._fd, _CHUNK, position):
            state.update(chunk)
            position += len(chunk)
        return hash_digest(state)

    def sync(self) -> None:
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def _take(self, data: bytes | memoryview) -> None:
        self.progress.hash.update(data)
        self.progress.offset += len(data)


class _Feed:
    """Hands pieces to a thread that writes them, while more come; and now and then to one that syncs them."""

    def __init__(self, writer: _Writer, threads: Executor) -> None:
        self._writer = writer
        self._threads = threads
        self._batch: list[bytes] = []
        self._size = self._unsynced = 0
        self._writing: asyncio.Future[None] | None = None
        self._syncing: asyncio.Future[None] | None = None

    async def take(self, piece: bytes) -> None:
        """Take a piece; waits while the thread is too far behind."""
        self._batch.append(piece)
        self._size += len(piece)
        if self._size < (_BATCH if self._writing is None or self._writing.done() else _MOST_HELD):
            return
        if self._writing is not None:
            await self._writing
        self._unsynced += self._size
        batch, self._batch, self._size = self._batch, [], 0
        self._writing = self._run(lambda: self._writer.write(batch))
        if self._unsynced >= _WINDOW and (self._syncing is None or self._syncing.done()):
            self._syncing, self._unsynced = self._run(self._writer.sync), 0

    async def finish(self) -> None:
        """Write what is left; to be called also when the pieces ended early."""
        for running in (self._writing, self._syncing):
            if running is not None:
                await asyncio.shield(running)
        await asyncio.shield(self._run(lambda: self._writer.write(self._batch)))

    def _run(self, work: Callable[[], None]) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)


class FileUploads:
    """The uploads in one folder."""

    def __init__(self, folder: Path, threads: Executor) -> None:
        self._folder = folder
        self._threads = threads
        self._known: Recent[_Progress] = Recent()
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, algorithm: str) -> str:
        """See Storage."""
        text = secrets.token_hex(16)
        id = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        folder = self._folder / id
        folder.mkdir()
        (folder / "algorithm").write_text(algorithm)
        (folder / "data").touch()
        self._known.keep(id, _Progress(hashlib.new(algorithm)))
        return id

    def info(self, id: str) -> UploadInfo | None:
        """See Storage.upload."""
        if not _ID.fullmatch(id):
            return None
        try:
            found = os.stat(self._folder / id / "data")
        except FileNotFoundError:
            return None
        return UploadInfo(id, found.st_size, found.st_mtime)

    def list(self) -> list[UploadInfo]:
        """See Storage.uploads."""
        return [info for name in os.listdir(self._folder) if (info := self.info(name)) is not None]

    def abandon(self, id: str) -> bool:
        """See Storage."""
        if self.info(id) is None:
            return False
        self._forget(id)
        return True

    async def append(self, id: str, pieces: AsyncIterator[bytes], offset: int | None) -> int:
        """See Storage."""
        run = asyncio.get_running_loop().run_in_executor
        writer = await run(self._threads, self._writer, id)
        try:
            if offset is not None and offset != writer.progress.offset:
                raise Conflict(f"the upload stands at {writer.progress.offset}, not at {offset}")
            feed = _Feed(writer, self._threads)
            try:
                async for piece in pieces:
                    await feed.take(piece)
            finally:
                await feed.finish()
        finally:
            self._known.keep(id, writer.progress)
            writer.close()
        return writer.progress.offset

    async def commit(self, id: str, digest: Digest, adopt: Callable[[Path], None]) -> int:
        """See Storage; `adopt` moves the verified file to its place."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._commit, id, digest, adopt)

    def _commit(self, id: str, digest: Digest, adopt: Callable[[Path], None]) -> int:
        writer = self._writer(id)
        try:
            found = writer.digest(digest.partition(":")[0])
            if found != digest:
                raise DataLoss(f"the bytes received have the digest {found}, not {digest}")
            writer.sync()
            adopt(self._folder / id / "data")
        finally:
            writer.close()
            self._forget(id)
        return writer.progress.offset

    def _writer(self, id: str) -> _Writer:
        if not _ID.fullmatch(id):
            raise NotFound("no such upload")
        data = self._folder / id / "data"
        known = self._known.take(id) or _Progress(hashlib.new(self._algorithm(id)))
        writer = _Writer(data, known)
        try:
            writer.lock(data)
            writer.catch_up()
        except BaseException:
            writer.close()
            raise
        return writer

    def _algorithm(self, id: str) -> str:
        try:
            return (self._folder / id / "algorithm").read_text()
        except FileNotFoundError:
            raise NotFound("no such upload") from None

    def _forget(self, id: str) -> None:
        self._known.take(id)
        remove_tree(self._folder / id)
