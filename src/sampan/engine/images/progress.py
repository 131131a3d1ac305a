"""From the stages of a transfer's blobs to docker's lines, which clients parse.

pull   Pulling fs layer, Waiting, Downloading (bar), Download complete, Pull complete     Already exists
push   Preparing, Waiting, Pushing (bar), Pushed                       Layer already exists     Mounted from x
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from sampan.errors import SampanError
from sampan.images import progress
from sampan.oci.digest import Digest
from sampan.oci.documents import Descriptor

if TYPE_CHECKING:
    from sampan.images.remote import Stage

_INTERVAL = 0.1
"""Seconds between two lines about the same blob's bytes."""


class Lines:
    """A queue of lines that a task fills and a response empties."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._told: dict[str, float] = {}

    def say(self, line: bytes) -> None:
        """Send a line."""
        self._queue.put_nowait(line)

    def due(self, blob: str) -> bool:
        """Whether it is time for another line about a blob's bytes."""
        now = time.monotonic()
        if now - self._told.get(blob, 0) < _INTERVAL:
            return False
        self._told[blob] = now
        return True

    async def of(self, work: Callable[[], Awaitable[None]]) -> AsyncIterator[bytes]:
        """Run `work`, giving the lines it says. Its error, if a line was said before, is the last line, else raised.

        A reader that goes away cancels the work.
        """
        task = asyncio.ensure_future(self._run(work))
        said = False
        try:
            while (line := await self._queue.get()) is not None:
                said = True
                yield line
            try:
                await task
            except SampanError as error:
                if not said:
                    raise
                yield progress.failed(error)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            self._queue.put_nowait(None)


def short(digest: str) -> str:
    """Twelve digits of a digest."""
    return digest.partition(":")[2][:12]


def pull_report(lines: Lines) -> Callable[[Descriptor, Stage, int], None]:
    """Docker's lines of a pull."""
    words = {
        "waiting": "Pulling fs layer",
        "exists": "Already exists",
        "retrying": "Retrying in 1 second",
        "complete": "Download complete",
    }

    def report(blob: Descriptor, stage: Stage, done: int) -> None:
        if stage == "bytes":
            if lines.due(blob.digest):
                lines.say(progress.advance("Downloading", short(blob.digest), done, blob.size))
        elif stage in words:
            lines.say(progress.layer(words[stage], short(blob.digest)))

    return report


def push_report(lines: Lines, names: Mapping[Digest, str]) -> Callable[[Descriptor, Stage, int], None]:
    """Docker's lines of a push; `names` gives the short id of the layers, of other blobs nothing is said."""
    words = {"waiting": "Preparing", "exists": "Layer already exists", "complete": "Pushed", "mounted": "Mounted"}

    def report(blob: Descriptor, stage: Stage, done: int) -> None:
        name = names.get(Digest(blob.digest))
        if name is None:
            return
        if stage == "bytes":
            if lines.due(blob.digest):
                lines.say(progress.advance("Pushing", name, done, blob.size))
        elif stage in words:
            lines.say(progress.layer(words[stage], name))

    return report
