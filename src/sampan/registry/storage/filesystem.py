"""A registry's state in one folder, safe for several processes and whole after a crash.

ROOT/
  records/<key>                    records: written aside, fsynced, renamed
  blobs/<algorithm>/<2 hex>/<hex>  blobs
  uploads/<id>/data, algorithm     bytes on their way in
  tmp/<random>                     records being written
  locks/<2 hex>                    flock'ed while a write compares and renames

Reading a record happens on the event loop: it is small, and a hop to a thread costs more. What waits for the disk
runs in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sampan.errors import Conflict, NotFound
from sampan.http import FileBody
from sampan.oci.digest import Digest, hex_of
from sampan.registry.storage import BlobInfo, Record, UploadInfo
from sampan.registry.storage.fileuploads import FileUploads
from sampan.store.files import sync_directory

__all__ = ["FileStorage"]

T = TypeVar("T")

_ALGORITHMS = ("sha256", "sha384", "sha512")
_TEMPORARY_FOR = 3600
_THREADS = 8


class FileStorage:
    """Storage in a folder; see the module."""

    def __init__(self, root: Path) -> None:
        """Make what is missing of the layout. Raises OSError."""
        self._records, self._blobs = root / "records", root / "blobs"
        self._tmp, self._locks = root / "tmp", root / "locks"
        for folder in (self._records, self._blobs, self._tmp, self._locks):
            folder.mkdir(parents=True, exist_ok=True)
        self._threads = ThreadPoolExecutor(_THREADS, "storage")
        self._uploads = FileUploads(root / "uploads", self._threads)
        self._remove_leavings()

    # records

    async def read(self, key: str) -> Record | None:
        """See Storage."""
        try:
            content = _content(self._path(key))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        return Record(content, _version(content))

    async def write(self, key: str, content: bytes, expected: str | None = None) -> str:
        """See Storage."""
        return await self._run(lambda: self._write(self._path(key), content, expected))

    async def remove(self, key: str) -> bool:
        """See Storage."""
        return await self._run(lambda: self._remove(self._path(key)))

    async def names(self, folder: str, after: str = "", limit: int | None = None) -> list[str]:
        """See Storage."""
        found = await self._run(lambda: _files(self._path(folder)))
        found = sorted(name for name in found if name > after) if after else sorted(found)
        return found if limit is None else found[:limit]

    async def modified(self, key: str) -> float | None:
        """See Storage."""
        return _modified(self._path(key))

    async def touch(self, key: str) -> bool:
        """See Storage."""
        return _touch(self._path(key))

    # blobs

    async def blob(self, digest: Digest) -> BlobInfo | None:
        """See Storage."""
        try:
            found = os.stat(self._blob(digest))
        except FileNotFoundError:
            return None
        return BlobInfo(digest, found.st_size, found.st_mtime)

    async def open(self, digest: Digest, offset: int, count: int) -> FileBody:
        """See Storage."""
        try:
            return FileBody(self._blob(digest).open("rb", buffering=0), offset, count)
        except FileNotFoundError:
            raise NotFound(f"blob {digest} is not there") from None

    async def blobs(self) -> AsyncIterator[BlobInfo]:
        """See Storage."""
        for algorithm in _ALGORITHMS:
            for shelf in await self._run(lambda a=algorithm: _names(self._blobs / a)):  # type: ignore[misc]
                for found in await self._run(lambda a=algorithm, s=shelf: _infos(a, self._blobs / a / s)):  # type: ignore[misc]
                    yield found

    async def touch_blob(self, digest: Digest) -> bool:
        """See Storage."""
        return _touch(self._blob(digest))

    async def remove_blob(self, digest: Digest) -> bool:
        """See Storage."""
        return await self._run(lambda: self._remove(self._blob(digest)))

    # uploads

    async def begin(self, algorithm: str) -> str:
        """See Storage."""
        return await self._run(lambda: self._uploads.begin(algorithm))

    async def upload(self, id: str) -> UploadInfo | None:
        """See Storage."""
        return self._uploads.info(id)

    async def append(self, id: str, pieces: AsyncIterator[bytes], offset: int | None = None) -> int:
        """See Storage."""
        return await self._uploads.append(id, pieces, offset)

    async def commit(self, id: str, digest: Digest) -> int:
        """See Storage."""
        return await self._uploads.commit(id, digest, lambda data: self._adopt(data, digest))

    async def abandon(self, id: str) -> bool:
        """See Storage."""
        return await self._run(lambda: self._uploads.abandon(id))

    async def uploads(self) -> list[UploadInfo]:
        """See Storage."""
        return await self._run(self._uploads.list)

    async def check(self) -> None:
        """See Storage."""
        for folder in (self._records, self._blobs, self._tmp):
            os.stat(folder)

    async def close(self) -> None:
        """See Storage."""
        await asyncio.to_thread(self._threads.shutdown)

    # paths

    def _path(self, key: str) -> Path:
        return self._records / key

    def _blob(self, digest: Digest) -> Path:
        value = hex_of(digest)
        return self._blobs / digest.partition(":")[0] / value[:2] / value

    # what runs in threads

    def _run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _write(self, path: Path, content: bytes, expected: str | None) -> str:
        temporary = self._tmp / secrets.token_hex(12)
        try:
            _store(temporary, content)
            _make_folders(path.parent)
            with self._lock(path):
                if expected is not None and expected != _present(path):
                    raise Conflict(f"{path.name} was changed meanwhile: read it again")
                temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
        return _version(content)

    def _remove(self, path: Path) -> bool:
        try:
            with self._lock(path):
                path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        sync_directory(path.parent)
        return True

    def _adopt(self, data: Path, digest: Digest) -> None:
        target = self._blob(digest)
        _make_folders(target.parent)
        os.utime(data)
        data.rename(target)
        sync_directory(target.parent)

    @contextlib.contextmanager
    def _lock(self, path: Path) -> Iterator[None]:
        shard = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:2]
        descriptor = os.open(self._locks / shard, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _remove_leavings(self) -> None:
        """Records that a crash kept from being renamed."""
        for entry in os.scandir(self._tmp):
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime < time.time() - _TEMPORARY_FOR:
                    os.unlink(entry.path)


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _present(path: Path) -> str:
    try:
        return _version(_content(path))
    except FileNotFoundError:
        return ""


def _content(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        return os.read(descriptor, size + 1)
    finally:
        os.close(descriptor)


def _store(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it so that they survive a power cut."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    sync_directory(folder.parent)


def _files(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _infos(algorithm: str, shelf: Path) -> list[BlobInfo]:
    found = []
    for entry in os.scandir(shelf):
        with contextlib.suppress(FileNotFoundError):
            stat = entry.stat()
            found.append(BlobInfo(Digest(f"{algorithm}:{entry.name}"), stat.st_size, stat.st_mtime))
    return found


def _modified(path: Path) -> float | None:
    try:
        return os.stat(path).st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None


def _touch(path: Path) -> bool:
    try:
        os.utime(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise
    return True
