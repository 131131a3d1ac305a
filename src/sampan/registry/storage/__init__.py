"""Where a registry keeps its state: one small interface, and the bodies that satisfy one contract suite.

    records   small documents by key, each written in one step; a write may be conditional
    blobs     immutable bytes by digest
    uploads   bytes on their way in: begin -> append* -> commit (verified, becomes a blob) | abandon

Keys are paths with `/`; their last part is the record's name within its folder. Every method may be called by several
processes, and for shared storage several machines, at a time: nothing that counts is kept in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from sampan.http import FileBody
from sampan.oci.digest import Digest

__all__ = ["ABSENT", "BlobInfo", "Record", "Storage", "UploadInfo"]

ABSENT = ""
"""The version of a record that is not there: `write(..., expected=ABSENT)` creates or fails."""


@dataclass(frozen=True)
class Record:
    """A small document, and the version that a conditional write names."""

    content: bytes
    version: str


@dataclass(frozen=True)
class BlobInfo:
    """A stored blob: bytes in it, and when it was stored or last kept alive (seconds since the epoch)."""

    digest: Digest
    size: int
    modified: float


@dataclass(frozen=True)
class UploadInfo:
    """An upload: bytes received so far, and when the last came (seconds since the epoch)."""

    id: str
    offset: int
    modified: float


class Storage(Protocol):
    """See the module. Methods raise OSError or Unavailable when the storage itself fails."""

    async def read(self, key: str) -> Record | None:
        """The record, None where there is none."""

    async def write(self, key: str, content: bytes, expected: str | None = None) -> str:
        """Create or replace a record, durably; returns its version.

        With `expected` (a version, or ABSENT) only when that is the present one. Raises Conflict otherwise.
        """

    async def remove(self, key: str) -> bool:
        """Remove a record; whether it was there."""

    async def names(self, folder: str, after: str = "", limit: int | None = None) -> list[str]:
        """Names of the records right in `folder`, sorted by bytes, those after `after`, at most `limit`."""

    async def modified(self, key: str) -> float | None:
        """When a record was last written or touched (seconds since the epoch), None where there is none."""

    async def touch(self, key: str) -> bool:
        """Make a record count as written now; whether it was there."""

    async def blob(self, digest: Digest) -> BlobInfo | None:
        """What is known of a blob, None where there is none."""

    async def open(self, digest: Digest, offset: int, count: int) -> FileBody | AsyncIterator[bytes]:
        """`count` bytes of a blob from `offset` on, as the body of a reply. Raises NotFound."""

    def blobs(self) -> AsyncIterator[BlobInfo]:
        """Every blob, in no order."""

    async def touch_blob(self, digest: Digest) -> bool:
        """Make a blob count as stored now; whether it was there."""

    async def remove_blob(self, digest: Digest) -> bool:
        """Remove a blob's bytes; whether they were there."""

    async def begin(self, algorithm: str) -> str:
        """A new upload's id. `algorithm` is what the digest will likely be of, so that it is computed on the way."""

    async def upload(self, id: str) -> UploadInfo | None:
        """An upload's state, None where there is none."""

    async def append(self, id: str, pieces: AsyncIterator[bytes], offset: int | None = None) -> int:
        """Add to an upload; returns the new offset. What arrived before `pieces` failed is kept.

        Raises NotFound for an unknown upload, and Conflict when another request writes to it or, with `offset`, when
        that is not where it stands.
        """

    async def commit(self, id: str, digest: Digest) -> int:
        """Make an upload the blob `digest`, durably; returns its size. The upload is gone then, also where it fails.

        Raises DataLoss when its bytes have another digest, NotFound for an unknown upload.
        """

    async def abandon(self, id: str) -> bool:
        """Remove an upload; whether it was there."""

    async def uploads(self) -> list[UploadInfo]:
        """Every upload."""

    async def check(self) -> None:
        """Raises Unavailable or OSError when the storage is not there."""

    async def close(self) -> None:
        """Let go of threads and connections."""
