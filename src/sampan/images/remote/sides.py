"""What a pull fills and a push empties, and how both tell of their progress."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

from sampan.oci.digest import Digest
from sampan.oci.documents import Descriptor

__all__ = ["BlobWriter", "Report", "Sink", "Source", "Stage"]

Stage = Literal[
    "waiting",
    "queued",
    "exists",
    "mounted",
    "started",
    "bytes",
    "retrying",
    "verifying",
    "complete",
    "unpacking",
    "unpacked",
]
"""waiting -> (queued) -> exists | mounted | started -> bytes* (retrying) -> (verifying) -> complete

A puller's owner, who unpacks while the bytes come, adds `unpacking` (from `started` on) and, at the end, `unpacked`."""


class Report(Protocol):
    """Told of a blob's stage, how many of its bytes are done, and of a mounted one where from. Called on the event
    loop; must not block."""

    def __call__(self, blob: Descriptor, stage: Stage, done: int, origin: str = "", /) -> None: ...


def silent(blob: Descriptor, stage: Stage, done: int, origin: str = "", /) -> None:
    """A Report that tells nobody."""


class BlobWriter(Protocol):
    """One blob on its way in."""

    @property
    def offset(self) -> int:
        """Bytes that are there: those of an earlier try too."""

    async def write(self, data: bytes) -> None:
        """Append."""

    async def commit(self) -> None:
        """Verify digest and size, and keep the blob. Raises DataLoss; what was there is gone then."""

    async def abort(self) -> None:
        """Stop; a later writer of the same blob may go on from here."""


class Sink(Protocol):
    """Where a pull puts what it gets."""

    async def has(self, layer: Descriptor) -> bool:
        """Whether a layer need not be downloaded."""

    async def begin(self, layer: Descriptor) -> BlobWriter | None:
        """A writer for a layer, at the offset where an earlier try was left. Where somebody else is at the same layer,
        it waits for them; None when the layer has come meanwhile."""

    async def put(self, descriptor: Descriptor, content: bytes) -> None:
        """Keep a small document: index, manifest, config. It has been verified."""


class Source(Protocol):
    """Where a push gets what it sends."""

    async def document(self, digest: Digest) -> bytes:
        """A manifest or index. Raises NotFound."""

    def read(self, blob: Descriptor, offset: int) -> AsyncIterator[bytes]:
        """The bytes of a blob from `offset` on."""

    def origins(self, digest: Digest) -> Sequence[str]:
        """Names of repositories of the target registry that may have the blob already."""
