"""A bucket that speaks S3, through obstore: its requests with errors of our kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.errors import Conflict, NotFound, Unavailable

__all__ = ["Bucket", "S3Settings", "bytes_of", "nothing"]

_PART = 8 << 20
_PIECE = 1 << 20


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


class Bucket:
    """Objects by path. Methods raise Unavailable when the bucket fails."""

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

    async def get(self, path: str, wanted: tuple[int, int] | None = None) -> Any:
        """An object, or the bytes from the first of `wanted` up to the second; None where there is none."""
        options: Any = None if wanted is None else {"range": wanted}
        try:
            return await self._obstore.get_async(self._store, path, options=options)
        except FileNotFoundError:
            return None
        except self._errors.BaseError as error:
            raise _unavailable(error) from None

    async def head(self, path: str) -> Any:
        """What is known of an object, None where there is none."""
        try:
            return await self._obstore.head_async(self._store, path)
        except FileNotFoundError:
            return None
        except self._errors.BaseError as error:
            raise _unavailable(error) from None

    async def put(self, path: str, content: bytes, mode: Any = "overwrite") -> str:
        """Write a small object at once; its ETag. `mode` is obstore's: "create" or {"e_tag": ...} raise Conflict."""
        try:
            done = await self._obstore.put_async(self._store, path, content, mode=mode, use_multipart=False)
        except (self._errors.AlreadyExistsError, self._errors.PreconditionError, FileNotFoundError):
            raise Conflict(f"{path} was changed meanwhile: read it again") from None
        except self._errors.BaseError as error:
            raise _unavailable(error) from None
        return str(done["e_tag"])

    async def stream_in(self, path: str, pieces: AsyncIterator[bytes]) -> None:
        """Write an object of any size, in parts."""
        try:
            await self._obstore.put_async(self._store, path, pieces, chunk_size=_PART, max_concurrency=4)
        except self._errors.BaseError as error:
            raise _unavailable(error) from None

    async def delete(self, path: str) -> bool:
        """Remove an object; whether it was there."""
        there = await self.head(path) is not None
        if there:
            try:
                await self._obstore.delete_async(self._store, path)
            except FileNotFoundError:
                return False
            except self._errors.BaseError as error:
                raise _unavailable(error) from None
        return there

    async def list(self, prefix: str, after: str | None = None) -> AsyncIterator[Any]:
        """What is known of each object whose path begins so, in order, those after `after`."""
        try:
            async for batch in self._obstore.list(self._store, prefix, offset=after, chunk_size=1000):
                for entry in batch:
                    yield entry
        except self._errors.BaseError as error:
            raise _unavailable(error) from None

    async def delete_all(self, paths: Sequence[str]) -> None:
        """Remove objects; those that are not there are passed over."""
        if not paths:
            return
        try:
            await self._obstore.delete_async(self._store, paths)
        except FileNotFoundError:
            pass
        except self._errors.BaseError as error:
            raise _unavailable(error) from None

    async def copy(self, origin: str, target: str) -> None:
        """Copy an object within the bucket."""
        try:
            await self._obstore.copy_async(self._store, origin, target)
        except FileNotFoundError:
            raise NotFound(f"{origin} is not there") from None
        except self._errors.BaseError as error:
            raise _unavailable(error) from None


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


async def bytes_of(found: Any) -> AsyncIterator[bytes]:
    """The bytes of an object as they come."""
    async for piece in found.stream(min_chunk_size=_PIECE):
        yield bytes(piece)


async def nothing() -> AsyncIterator[bytes]:
    """The bytes of an empty object: a range of them can't be asked for."""
    return
    yield b""


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(f"the object storage failed: {str(error).splitlines()[0] if str(error) else error!r}")
