"""A registry's state in a bucket that speaks S3, for any number of replicas at once.

<prefix>/records/<key>                     records; conditional writes by If-None-Match and If-Match
<prefix>/blobs/<algorithm>/<hex>           blobs
<prefix>/alive/<algorithm>/<hex>           (empty) its time is when the blob was last kept alive
<prefix>/uploads/<id>/algorithm            an upload
<prefix>/uploads/<id>/data/<random>        bytes of one request
<prefix>/uploads/<id>/segments/<offset>    "<random> <size>": those bytes are the upload's from <offset> on

A segment is claimed by creating its record, so of two requests for the same place one loses. An upload of one segment
becomes a blob by a copy within the bucket. Needs the extra `s3` (obstore).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sampan.errors import Conflict, DataLoss, NotFound
from sampan.oci.digest import Digest, hash_digest, hex_of
from sampan.registry.storage import ABSENT, BlobInfo, Record, UploadInfo
from sampan.registry.storage.bucket import Bucket, S3Settings, bytes_of, nothing
from sampan.registry.storage.recent import Recent

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["S3Settings", "S3Storage"]

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COPY_LIMIT = 5 << 30
"""The most bytes that S3 copies by one request."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class _Segment:
    offset: int
    name: str
    size: int


@dataclass
class _Progress:
    """The hash of an upload's bytes up to `offset`, in the process that took them in."""

    hash: _Hash
    offset: int = 0


class S3Storage:
    """Storage in a bucket; see the module."""

    def __init__(self, settings: S3Settings) -> None:
        """Raises Unavailable when obstore is not installed."""
        self._bucket = Bucket(settings)
        self._known: Recent[_Progress] = Recent()

    # records

    async def read(self, key: str) -> Record | None:
        """See Storage."""
        found = await self._bucket.get(f"records/{key}")
        return None if found is None else Record(bytes(await found.bytes_async()), found.meta["e_tag"])

    async def write(self, key: str, content: bytes, expected: str | None = None) -> str:
        """See Storage."""
        mode: Any = "overwrite" if expected is None else "create" if expected == ABSENT else {"e_tag": expected}
        return await self._bucket.put(f"records/{key}", content, mode)

    async def remove(self, key: str) -> bool:
        """See Storage."""
        return await self._bucket.delete(f"records/{key}")

    async def names(self, folder: str, after: str = "", limit: int | None = None) -> list[str]:
        """See Storage."""
        prefix = f"records/{folder}/"
        found: list[str] = []
        if limit == 0:
            return found
        async for entry in self._bucket.list(prefix, prefix + after if after else None):
            name = entry["path"].removeprefix(prefix)
            if "/" not in name and name > after:
                found.append(name)
                if len(found) == limit:
                    break
        return sorted(found)

    async def modified(self, key: str) -> float | None:
        """See Storage."""
        meta = await self._bucket.head(f"records/{key}")
        return None if meta is None else meta["last_modified"].timestamp()

    async def touch(self, key: str) -> bool:
        """See Storage."""
        record = await self.read(key)
        if record is None:
            return False
        try:
            await self.write(key, record.content, record.version)
        except Conflict:
            return await self.modified(key) is not None
        return True

    # blobs

    async def blob(self, digest: Digest) -> BlobInfo | None:
        """See Storage."""
        meta, alive = await asyncio.gather(self._bucket.head(_blob(digest)), self._bucket.head(_alive(digest)))
        if meta is None:
            return None
        times = [found["last_modified"].timestamp() for found in (meta, alive) if found is not None]
        return BlobInfo(digest, meta["size"], max(times))

    async def open(self, digest: Digest, offset: int, count: int) -> AsyncIterator[bytes]:
        """See Storage."""
        if count == 0:
            if await self._bucket.head(_blob(digest)) is None:
                raise NotFound(f"blob {digest} is not there")
            return nothing()
        found = await self._bucket.get(_blob(digest), (offset, offset + count))
        if found is None:
            raise NotFound(f"blob {digest} is not there")
        return bytes_of(found)

    async def blobs(self) -> AsyncIterator[BlobInfo]:
        """See Storage."""
        alive = {
            entry["path"].removeprefix("alive/"): entry["last_modified"].timestamp()
            async for entry in self._bucket.list("alive/")
        }
        async for entry in self._bucket.list("blobs/"):
            name = entry["path"].removeprefix("blobs/")
            modified = max(entry["last_modified"].timestamp(), alive.get(name, 0.0))
            yield BlobInfo(Digest(name.replace("/", ":")), entry["size"], modified)

    async def touch_blob(self, digest: Digest) -> bool:
        """See Storage."""
        if await self._bucket.head(_blob(digest)) is None:
            return False
        await self._bucket.put(_alive(digest), b"")
        return True

    async def remove_blob(self, digest: Digest) -> bool:
        """See Storage."""
        gone = await self._bucket.delete(_blob(digest))
        await self._bucket.delete(_alive(digest))
        return gone

    # uploads

    async def begin(self, algorithm: str) -> str:
        """See Storage."""
        text = secrets.token_hex(16)
        id = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        await self._bucket.put(f"uploads/{id}/algorithm", algorithm.encode())
        self._known.keep(id, _Progress(hashlib.new(algorithm)))
        return id

    async def upload(self, id: str) -> UploadInfo | None:
        """See Storage."""
        if not _ID.fullmatch(id) or (begun := await self._bucket.head(f"uploads/{id}/algorithm")) is None:
            return None
        last = begun
        async for entry in self._bucket.list(f"uploads/{id}/segments/"):
            last = entry
        if last is begun:
            return UploadInfo(id, 0, begun["last_modified"].timestamp())
        segment = await self._segment(last["path"])
        return UploadInfo(id, segment.offset + segment.size, last["last_modified"].timestamp())

    async def append(self, id: str, pieces: AsyncIterator[bytes], offset: int | None = None) -> int:
        """See Storage."""
        info = await self.upload(id)
        if info is None:
            raise NotFound("no such upload")
        if offset is not None and offset != info.offset:
            raise Conflict(f"the upload stands at {info.offset}, not at {offset}")
        known = self._known.take(id)
        inlet = _Inlet(pieces, known if known is not None and known.offset == info.offset else None)
        name = secrets.token_hex(8)
        await self._bucket.stream_in(f"uploads/{id}/data/{name}", aiter(inlet))
        if inlet.size:
            await self._claim(id, _Segment(info.offset, name, inlet.size))
        if inlet.progress is not None:
            self._known.keep(id, inlet.progress)
        if inlet.failure is not None:
            raise inlet.failure
        return info.offset + inlet.size

    async def commit(self, id: str, digest: Digest) -> int:
        """See Storage."""
        if not _ID.fullmatch(id) or await self._bucket.head(f"uploads/{id}/algorithm") is None:
            raise NotFound("no such upload")
        segments = await self._segments(id)
        size = sum(segment.size for segment in segments)
        try:
            found = await self._digest(id, segments, size, digest.partition(":")[0])
            if found != digest:
                raise DataLoss(f"the bytes received have the digest {found}, not {digest}")
            await self._adopt(id, segments, size, digest)
        finally:
            await self.abandon(id)
        return size

    async def abandon(self, id: str) -> bool:
        """See Storage."""
        if not _ID.fullmatch(id):
            return False
        self._known.take(id)
        there = await self._bucket.head(f"uploads/{id}/algorithm") is not None
        paths = [entry["path"] async for entry in self._bucket.list(f"uploads/{id}/")]
        await self._bucket.delete_all(paths)
        return there

    async def uploads(self) -> list[UploadInfo]:
        """See Storage."""
        names = {entry["path"].split("/")[1] async for entry in self._bucket.list("uploads/")}
        return [info for name in sorted(names) if (info := await self.upload(name)) is not None]

    async def check(self) -> None:
        """See Storage."""
        async for _ in self._bucket.list("records/"):
            break

    async def close(self) -> None:
        """See Storage."""
        self._known.clear()

    # inside

    async def _claim(self, id: str, segment: _Segment) -> None:
        path = f"uploads/{id}/segments/{segment.offset:020}"
        content = f"{segment.name} {segment.size}".encode()
        try:
            await self._bucket.put(path, content, "create")
        except Conflict:
            await self._bucket.delete(f"uploads/{id}/data/{segment.name}")
            raise Conflict("another request writes to this upload") from None

    async def _segment(self, path: str) -> _Segment:
        found = await self._bucket.get(path)
        if found is None:
            raise NotFound("no such upload")
        name, size = bytes(await found.bytes_async()).decode().split(" ")
        return _Segment(int(path.rpartition("/")[2]), name, int(size))

    async def _segments(self, id: str) -> list[_Segment]:
        paths = [entry["path"] async for entry in self._bucket.list(f"uploads/{id}/segments/")]
        return [await self._segment(path) for path in sorted(paths)]

    async def _digest(self, id: str, segments: list[_Segment], size: int, algorithm: str) -> Digest:
        known = self._known.look(id)
        if known is not None and known.offset == size and known.hash.name == algorithm:
            return hash_digest(known.hash)
        state = hashlib.new(algorithm)
        async for piece in self._bytes_of(id, segments):
            await asyncio.to_thread(state.update, piece)
        return hash_digest(state)

    async def _adopt(self, id: str, segments: list[_Segment], size: int, digest: Digest) -> None:
        if not segments:
            await self._bucket.put(_blob(digest), b"")
        elif len(segments) == 1 and size <= _COPY_LIMIT:
            await self._bucket.copy(f"uploads/{id}/data/{segments[0].name}", _blob(digest))
        else:
            await self._bucket.stream_in(_blob(digest), self._bytes_of(id, segments))

    async def _bytes_of(self, id: str, segments: list[_Segment]) -> AsyncIterator[bytes]:
        for segment in segments:
            found = await self._bucket.get(f"uploads/{id}/data/{segment.name}")
            if found is None:
                raise NotFound("no such upload")
            async for piece in bytes_of(found):
                yield piece


class _Inlet:
    """Pieces on their way to the bucket, gathered and hashed; their failure ends them in good order, so that what came
    before it is kept."""

    def __init__(self, pieces: AsyncIterator[bytes], progress: _Progress | None) -> None:
        self._pieces = pieces
        self.progress = progress
        self.size = 0
        self.failure: BaseException | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        batch: list[bytes] = []
        gathered = 0
        try:
            async for piece in self._pieces:
                batch.append(piece)
                gathered += len(piece)
                if gathered >= _PIECE:
                    yield await self._take(batch)
                    batch, gathered = [], 0
        except Exception as error:
            self.failure = error
        if batch:
            yield await self._take(batch)

    async def _take(self, batch: list[bytes]) -> bytes:
        data = b"".join(batch)
        self.size += len(data)
        if self.progress is not None:
            await asyncio.to_thread(self.progress.hash.update, data)
            self.progress.offset += len(data)
        return data


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.partition(':')[0]}/{hex_of(digest)}"


def _alive(digest: Digest) -> str:
    return f"alive/{digest.partition(':')[0]}/{hex_of(digest)}"
