"""The forms that replies have."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from inspect import isawaitable
from typing import Generic, TypeVar

from sampan.errors import SampanError
from sampan.http import Response
from sampan.wire import codec
from sampan.wire.base import Document

T = TypeVar("T")

log = logging.getLogger(__name__)

JSON = {"Content-Type": "application/json"}
TAR = {"Content-Type": "application/x-tar"}
RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"


def json_reply(document: object, status: int = 200) -> Response:
    """A document, with the line end that Go's encoder writes."""
    return Response(status, JSON, codec.encode(document) + b"\n")


def empty_reply(status: int = 204) -> Response:
    """A status that says it all."""
    return Response(status)


def stream_reply(items: AsyncIterator[bytes], headers: Mapping[str, str]) -> Response:
    """Bytes as they come; the head leaves at once."""
    return Response(200, headers, items)


class Begun(Generic[T]):
    """A stream that has taken its first step: what it refuses, it has refused before the head of a reply leaves."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items
        self._first: asyncio.Future[T] | None = asyncio.ensure_future(anext(items))

    @classmethod
    async def begin(cls, items: AsyncIterator[T]) -> Begun[T]:
        """Let `items` run until it has to wait. Raises what it raises until then."""
        begun = cls(items)
        await asyncio.sleep(0)
        begun._refuse()
        return begun

    def _refuse(self) -> None:
        step = self._first
        if step is None or not step.done() or step.cancelled():
            return
        if not isinstance(step.exception(), StopAsyncIteration):
            step.result()

    def __aiter__(self) -> Begun[T]:
        return self

    async def __anext__(self) -> T:
        if self._first is None:
            return await anext(self._items)
        first, self._first = self._first, None
        return await first

    async def aclose(self) -> None:
        """End the stream, whether or not anybody has read of it."""
        if self._first is not None:
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)
        await close(self._items)


async def json_lines(documents: AsyncIterator[object]) -> AsyncIterator[bytes]:
    """Documents as lines of JSON."""
    try:
        async for document in documents:
            yield codec.encode(document) + b"\n"
    finally:
        await close(documents)


async def close(items: AsyncIterator[object]) -> None:
    """Let a stream's resources go."""
    if hasattr(items, "aclose"):
        await items.aclose()


async def progress_reply(items: AsyncIterator[Document | bytes]) -> Response:
    """Progress as JSON lines. An error before the first line is raised, a later one becomes the last line."""
    first = await anext(items, None)
    return Response(200, JSON, _progress(first, items))


async def _progress(first: Document | bytes | None, items: AsyncIterator[Document | bytes]) -> AsyncIterator[bytes]:
    if first is None:
        return
    yield json_line(first)
    try:
        async for item in items:
            yield json_line(item)
    except SampanError as error:
        yield error_line(str(error))
    except Exception:
        log.exception("a stream of progress failed")
        yield error_line("internal error")
    finally:
        await close(items)


def json_line(item: Document | bytes) -> bytes:
    """One line of progress; bytes are a line already."""
    return item if isinstance(item, bytes) else codec.encode(item) + b"\r\n"


def error_line(message: str) -> bytes:
    """How a stream of progress says that it failed."""
    return json.dumps({"errorDetail": {"message": message}, "error": message}).encode() + b"\r\n"


async def settled(value: T | Awaitable[T]) -> T:
    """The value of a service's read, which may or may not have to wait."""
    if isawaitable(value):
        awaited: T = await value
        return awaited
    return value
