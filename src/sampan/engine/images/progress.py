"""From the stages of a transfer's blobs to docker's lines, which clients parse.

pull   Pulling fs layer, Waiting, Downloading (bar), Verifying Checksum, Download complete, Extracting (bar),
       Pull complete; or Already exists
push   Preparing, Waiting, Pushing (bar), Pushed; or Layer already exists, or Mounted from x
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from sampan.errors import SampanError
from sampan.images import progress
from sampan.oci import mediatypes
from sampan.oci.digest import Digest, short_id
from sampan.oci.documents import Descriptor

if TYPE_CHECKING:
    from sampan.images.remote import Report, Stage

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


class PullReport:
    """Docker's lines of a pull. Bytes that are unpacked before a layer is whole are not spoken of."""

    _WORDS: ClassVar = {
        "waiting": "Pulling fs layer",
        "queued": "Waiting",
        "exists": "Already exists",
        "retrying": "Retrying in 1 second",
        "verifying": "Verifying Checksum",
        "complete": "Download complete",
    }

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._complete: set[str] = set()

    def __call__(self, blob: Descriptor, stage: Stage, done: int, origin: str = "", /) -> None:
        """See Report."""
        name = short_id(blob.digest)
        if stage == "bytes":
            self._advance("Downloading", blob, done)
        elif stage == "unpacking" and blob.digest in self._complete:
            self._advance("Extracting", blob, done)
        elif stage == "unpacked" and blob.digest in self._complete:
            self._lines.say(progress.advance("Extracting", name, blob.size, blob.size))
            self._lines.say(progress.layer("Pull complete", name))
            self._complete.remove(blob.digest)
        elif stage in self._WORDS:
            self._lines.say(progress.layer(self._WORDS[stage], name))
            if stage == "complete":
                self._complete.add(blob.digest)

    def _advance(self, what: str, blob: Descriptor, done: int) -> None:
        if self._lines.due(blob.digest):
            self._lines.say(progress.advance(what, short_id(blob.digest), done, blob.size))


def push_report(lines: Lines, names: Mapping[Digest, str]) -> Report:
    """Docker's lines of a push; `names` gives the short ids of layers that docker calls by another name than their
    blob's."""
    words = {"waiting": "Preparing", "queued": "Waiting", "exists": "Layer already exists", "complete": "Pushed"}

    def report(blob: Descriptor, stage: Stage, done: int, origin: str = "", /) -> None:
        if blob.media_type in mediatypes.CONFIGS:
            return
        name = names.get(Digest(blob.digest)) or short_id(blob.digest)
        if stage == "bytes":
            if lines.due(blob.digest):
                lines.say(progress.advance("Pushing", name, done, blob.size))
        elif stage == "mounted":
            lines.say(progress.layer(f"Mounted from {origin}" if origin else words["exists"], name))
        elif stage in words:
            lines.say(progress.layer(words[stage], name))

    return report
