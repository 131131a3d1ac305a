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

from sampan.errors import Conflict, DataLoss, NotFound, Unavailable
from sampan.oci.digest import Digest, hash_digest, hex_of
from sampan.registry.storage import ABSENT, BlobInfo, Record, UploadInfo

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["S3Settings", "S3Storage"]

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COPY_LIMIT = 5 << 30
"""The most bytes that S3 copies by one request."""
_PART = 8 << 20
_PIECE = 1 << 20
_REMEMBERED = 1024


@dataclass(frozen=True)
class S3Settings:
    """Where the bucket is, and who we are there. Without keys, what the machine's role gives."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""


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
        try:
            import obstore
            import obstore.exceptions
        except ImportError:
            raise Unavailable("storage in S3 needs the package obstore: install sampan[s3]") from None
        self._obstore = obstore
        self._errors = obstore.exceptions
        self._store = _make_store(settings)
        self._known: dict[str, _Progress] = {}

    # records

    async def read(self, key: str) -> Record | None:
        """See Storage."""
        found = await self._get(f"records/{key}")
        return None if found is None else Record(bytes(await found.bytes_async()), found.meta["e_tag"])

    async def write(self, key: str, content: bytes, expected: str | None = None) -> str:
        """See Storage."""
        mode: Any = "overwrite" if expected is None else "create" if expected == ABSENT else {"e_tag": expected}
        try:
            done = await self._obstore.put_async(self._store, f"records/{key}", content, mode=mode, use_multipart=False)
        except (self._errors.AlreadyExistsError, self._errors.PreconditionError, FileNotFoundError):
            raise Conflict(f"{key} was changed meanwhile: read it again") from None
        except self._errors.BaseError as error:
            raise _unavailable(error) from None
        return str(done["e_tag"])

    async def remove(self, key: str) -> bool:
        """See Storage."""
        return await self._delete(f"records/{key}")

    async def names(self, folder: str, after: str = "", limit: int | None = None) -> list[str]:
        """See Storage."""
        prefix = f"records/{folder}/"
        found: list[str] = []
        if limit == 0:
            return found
        async for entry in self._list(prefix, prefix + after if after else None):
            name = entry["path"].removeprefix(prefix)
            if "/" not in name and name > after:
                found.append(name)
                if len(found) == limit:
                    break
        return sorted(found)

    async def modified(self, key: str) -> float | None:
        """See Storage."""
        meta = await self._head(f"records/{key}")
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
        meta, alive = await asyncio.gather(self._head(_blob(digest)), self._head(_alive(digest)))
        if meta is None:
            return None
        times = [found["last_modified"].timestamp() for found in (meta, alive) if found is not None]
        return BlobInfo(digest, meta["size"], max(times))

    async def open(self, digest: Digest, offset: int, count: int) -> AsyncIterator[bytes]:
        """See Storage."""
        if count == 0:
            if await self._head(_blob(digest)) is None:
                raise NotFound(f"blob {digest} is not there")
            return _nothing()
        found = await self._get(_blob(digest), (offset, offset + count))
        if found is None:
            raise NotFound(f"blob {digest} is not there")
        return _stream(found)

    async def blobs(self) -> AsyncIterator[BlobInfo]:
        """See Storage."""
        alive = {
            entry["path"].removeprefix("alive/"): entry["last_modified"].timestamp()
            async for entry in self._list("alive/")
        }
        async for entry in self._list("blobs/"):
            name = entry["path"].removeprefix("blobs/")
            modified = max(entry["last_modified"].timestamp(), alive.get(name, 0.0))
            yield BlobInfo(Digest(name.replace("/", ":")), entry["size"], modified)

    async def touch_blob(self, digest: Digest) -> bool:
        """See Storage."""
        if await self._head(_blob(digest)) is None:
            return False
        await self._put(_alive(digest), b"")
        return True

    async def remove_blob(self, digest: Digest) -> bool:
        """See Storage."""
        gone = await self._delete(_blob(digest))
        await self._delete(_alive(digest))
        return gone

    # uploads

    async def begin(self, algorithm: str) -> str:
        """See Storage."""
        text = secrets.token_hex(16)
        id = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        await self._put(f"uploads/{id}/algorithm", algorithm.encode())
        self._remember(id, _Progress(hashlib.new(algorithm)))
        return id

    async def upload(self, id: str) -> UploadInfo | None:
        """See Storage."""
        if not _ID.fullmatch(id) or (begun := await self._head(f"uploads/{id}/algorithm")) is None:
            return None
        last = begun
        async for entry in self._list(f"uploads/{id}/segments/"):
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
        known = self._known.pop(id, None)
        inlet = _Inlet(pieces, known if known is not None and known.offset == info.offset else None)
        name = secrets.token_hex(8)
        await self._stream_in(f"uploads/{id}/data/{name}", aiter(inlet))
        if inlet.size:
            await self._claim(id, _Segment(info.offset, name, inlet.size))
        if inlet.progress is not None:
            self._remember(id, inlet.progress)
        if inlet.failure is not None:
            raise inlet.failure
        return info.offset + inlet.size

    async def commit(self, id: str, digest: Digest) -> int:
        """See Storage."""
        if not _ID.fullmatch(id) or await self._head(f"uploads/{id}/algorithm") is None:
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
        self._known.pop(id, None)
        there = await self._head(f"uploads/{id}/algorithm") is not None
        paths = [entry["path"] async for entry in self._list(f"uploads/{id}/")]
        if paths:
            await self._obstore.delete_async(self._store, paths)
        return there

    async def uploads(self) -> list[UploadInfo]:
        """See Storage."""
        names = {entry["path"].split("/")[1] async for entry in self._list("uploads/")}
        return [info for name in sorted(names) if (info := await self.upload(name)) is not None]

    async def close(self) -> None:
        """See Storage."""
        self._known.clear()

    # inside

    async def _claim(self, id: str, segment: _Segment) -> None:
        path = f"uploads/{id}/segments/{segment.offset:020}"
        content = f"{segment.name} {segment.size}".encode()
        try:
            await self._obstore.put_async(self._store, path, content, mode="create", use_multipart=False)
        except self._errors.AlreadyExistsError:
            await self._delete(f"uploads/{id}/data/{segment.name}")
            raise Conflict("another request writes to this upload") from None
        except self._errors.BaseError as error:
            raise _unavailable(error) from None

    async def _segment(self, path: str) -> _Segment:
        found = await self._get(path)
        if found is None:
            raise NotFound("no such upload")
        name, size = bytes(await found.bytes_async()).decode().split(" ")
        return _Segment(int(path.rpartition("/")[2]), name, int(size))

    async def _segments(self, id: str) -> list[_Segment]:
        paths = [entry["path"] async for entry in self._list(f"uploads/{id}/segments/")]
        return [await self._segment(path) for path in sorted(paths)]

    async def _digest(self, id: str, segments: list[_Segment], size: int, algorithm: str) -> Digest:
        known = self._known.get(id)
        if known is not None and known.offset == size and known.hash.name == algorithm:
            return hash_digest(known.hash)
        state = hashlib.new(algorithm)
        async for piece in self._bytes_of(id, segments):
            await asyncio.to_thread(state.update, piece)
        return hash_digest(state)

    async def _adopt(self, id: str, segments: list[_Segment], size: int, digest: Digest) -> None:
        if not segments:
            await self._put(_blob(digest), b"")
        elif len(segments) == 1 and size <= _COPY_LIMIT:
            origin = f"uploads/{id}/data/{segments[0].name}"
            try:
                await self._obstore.copy_async(self._store, origin, _blob(digest))
            except self._errors.BaseError as error:
                raise _unavailable(error) from None
        else:
            await self._stream_in(_blob(digest), self._bytes_of(id, segments))

    async def _bytes_of(self, id: str, segments: list[_Segment]) -> AsyncIterator[bytes]:
        for segment in segments:
            found = await self._get(f"uploads/{id}/data/{segment.name}")
            if found is None:
                raise NotFound("no such upload")
            async for piece in _stream(found):
                yield piece

    def _remember(self, id: str, progress: _Progress) -> None:
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[id] = progress

    # requests

    async def _get(self, path: str, wanted: tuple[int, int] | None = None) -> Any:
        options: Any = None if wanted is None else {"range": wanted}
        try:
            return await self._obstore.get_async(self._store, path, options=options)
        except FileNotFoundError:
            return None
        except self._errors.BaseError as error:
            raise _unavailable(error) from None

    async def _head(self, path: str) -> Any:
        try:
            return await self._obstore.head_async(self._store, path)
        except FileNotFoundError:
            return None
        except self._errors.BaseError as error:
            raise _unavailable(error) from None

    async def _put(self, path: str, content: bytes) -> None:
        try:
            await self._obstore.put_async(self._store, path, content, use_multipart=False)
        except self._errors.BaseError as error:
            raise _unavailable(error) from None

    async def _stream_in(self, path: str, pieces: AsyncIterator[bytes]) -> None:
        try:
            await self._obstore.put_async(self._store, path, pieces, chunk_size=_PART, max_concurrency=4)
        except self._errors.BaseError as error:
            raise _unavailable(error) from None

    async def _delete(self, path: str) -> bool:
        there = await self._head(path) is not None
        if there:
            try:
                await self._obstore.delete_async(self._store, path)
            except FileNotFoundError:
                return False
            except self._errors.BaseError as error:
                raise _unavailable(error) from None
        return there

    async def _list(self, prefix: str, after: str | None = None) -> AsyncIterator[Any]:
        try:
            async for batch in self._obstore.list(self._store, prefix, offset=after, chunk_size=1000):
                for entry in batch:
                    yield entry
        except self._errors.BaseError as error:
            raise _unavailable(error) from None


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


def _make_store(settings: S3Settings) -> Any:
    from obstore.store import S3Store

    given: dict[str, Any] = {
        "endpoint": settings.endpoint,
        "region": settings.region,
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
        "session_token": settings.session_token,
    }
    return S3Store(
        settings.bucket,
        prefix=settings.prefix or None,
        client_options={"allow_http": settings.endpoint.startswith("http://")},
        **{name: value for name, value in given.items() if value},
    )


async def _stream(found: Any) -> AsyncIterator[bytes]:
    async for piece in found.stream(min_chunk_size=_PIECE):
        yield bytes(piece)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.partition(':')[0]}/{hex_of(digest)}"


def _alive(digest: Digest) -> str:
    return f"alive/{digest.partition(':')[0]}/{hex_of(digest)}"


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(f"the object storage failed: {str(error).splitlines()[0] if str(error) else error!r}")
