"""Garbage collection while the registry serves: mark and sweep, with a time of grace.

    1 uploads   that nobody wrote to for a day are abandoned
    2 links     blobs of a repository that none of its manifests refers to, untouched for the time of grace, lose their
                link; the bytes are made young, so that a push that was on its way can have the link back
    3 again     the repository's manifests are read once more: what one refers to by now gets its link back
    4 bytes     blobs that no repository links, untouched for the time of grace, are condemned; the links are read once
                more; what is still unlinked and old is removed

Untagged manifests stay, unless asked otherwise: then those that no tag, index or subject leads to go first. One
collection runs at a time in one storage; a record says until when it may. See repositories.py for what a push does.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec

from sampan.errors import Conflict, Unavailable
from sampan.oci.digest import Digest
from sampan.registry import keys
from sampan.registry.errors import RegistryError
from sampan.registry.manifests import Parsed, read
from sampan.registry.repositories import CONDEMNED_FOR, Registry
from sampan.registry.storage import ABSENT

__all__ = ["GRACE", "Collection", "Report"]

GRACE = 3600.0
"""Seconds that a push may take from its first blob to its manifest."""
UPLOAD_GRACE = 24 * 3600.0
_RUN_FOR = 3600.0
_BATCH = 1000
_CONDEMNED_LIMIT = CONDEMNED_FOR / 2


@dataclass
class Report:
    """What went, or (of a dry run) would go."""

    manifests: list[tuple[str, Digest]] = field(default_factory=list)
    links: list[tuple[str, Digest]] = field(default_factory=list)
    blobs: list[tuple[Digest, int]] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the blobs."""
        return sum(size for _, size in self.blobs)


class _Claim(msgspec.Struct):
    owner: str
    until: float


class Collection:
    """One run over one registry."""

    def __init__(
        self,
        registry: Registry,
        *,
        grace: float = GRACE,
        upload_grace: float = UPLOAD_GRACE,
        untagged: bool = False,
        dry: bool = False,
    ) -> None:
        """Times in seconds. `untagged` takes manifests too that nothing leads to. `dry` only tells."""
        self._registry = registry
        self._storage = registry.storage
        self._grace = grace
        self._upload_grace = upload_grace
        self._untagged = untagged
        self._dry = dry
        self._report = Report()

    async def run(self) -> Report:
        """Collect. Raises Unavailable while another collection runs."""
        owner = secrets.token_hex(8)
        if not self._dry:
            await self._claim(owner)
        try:
            await self._uploads()
            for name in await self._registry.known():
                await self._repository(name)
            await self._blobs()
        finally:
            if not self._dry:
                await self._storage.remove(keys.COLLECTION)
        return self._report

    async def _claim(self, owner: str) -> None:
        record = await self._storage.read(keys.COLLECTION)
        if record is not None and msgspec.json.decode(record.content, type=_Claim).until > time.time():
            raise Unavailable("another collection runs in this registry: wait for its end")
        claim = msgspec.json.encode(_Claim(owner, time.time() + _RUN_FOR))
        try:
            await self._storage.write(keys.COLLECTION, claim, expected=record.version if record else ABSENT)
        except Conflict:
            raise Unavailable("another collection has just begun in this registry: wait for its end") from None

    async def _uploads(self) -> None:
        for upload in await self._storage.uploads():
            if time.time() - upload.modified > self._upload_grace:
                self._report.uploads.append(upload.id)
                if not self._dry:
                    await self._storage.abandon(upload.id)

    # one repository

    async def _repository(self, name: str) -> None:
        if self._untagged:
            await self._drop_untagged(name)
        marked = await self._marked(name)
        dropped = []
        async for digest in self._linked(name):
            if digest not in marked and await self._is_old(keys.blob(name, digest)):
                self._report.links.append((name, digest))
                dropped.append(digest)
        if not self._dry and dropped:
            await self._unlink(name, dropped)

    async def _unlink(self, name: str, digests: list[Digest]) -> None:
        gone = []
        for digest in digests:
            if await self._is_old(keys.blob(name, digest)):
                await self._storage.touch_blob(digest)
                await self._storage.remove(keys.blob(name, digest))
                gone.append(digest)
        for digest in await self._marked(name) & set(gone):
            await self._storage.write(keys.blob(name, digest), b"")
            self._report.links.remove((name, digest))

    async def _drop_untagged(self, name: str) -> None:
        tagged = {await self._registry.resolve(name, tag) for tag in await self._storage.names(keys.tags(name))}
        manifests = {parsed.digest: parsed async for parsed in self._manifests(name)}
        kept: set[Digest] = set()
        waiting = [digest for digest in tagged if digest is not None]
        by_subject = {parsed.digest: parsed.subject for parsed in manifests.values()}
        while waiting:
            digest = waiting.pop()
            if digest in kept or digest not in manifests:
                continue
            kept.add(digest)
            waiting += manifests[digest].manifests
            waiting += [referrer for referrer, subject in by_subject.items() if subject == digest]
        for digest in manifests.keys() - kept:
            if await self._is_old(keys.manifest(name, digest)):
                self._report.manifests.append((name, digest))
                if not self._dry:
                    await self._registry.remove_manifest(name, digest)

    async def _marked(self, name: str) -> set[Digest]:
        """Everything that a repository's manifests refer to."""
        marked: set[Digest] = set()
        gone = {digest for repository, digest in self._report.manifests if repository == name}
        async for parsed in self._manifests(name):
            if parsed.digest not in gone:
                marked.update(parsed.blobs, parsed.manifests)
        return marked

    async def _manifests(self, name: str) -> AsyncIterator[Parsed]:
        for algorithm in keys.ALGORITHMS:
            for value in await self._storage.names(keys.manifests(name, algorithm)):
                found = await self._registry.manifest(name, Digest(f"{algorithm}:{value}"))
                if found is not None:
                    yield read_stored(found.content, found.media_type, algorithm)

    async def _linked(self, name: str) -> AsyncIterator[Digest]:
        for algorithm in keys.ALGORITHMS:
            for value in await self._storage.names(keys.blobs(name, algorithm)):
                yield Digest(f"{algorithm}:{value}")

    async def _is_old(self, key: str) -> bool:
        modified = await self._storage.modified(key)
        return modified is not None and time.time() - modified > self._grace

    # bytes

    async def _blobs(self) -> None:
        linked = await self._all_links()
        candidates = [
            (info.digest, info.size)
            async for info in self._storage.blobs()
            if info.digest not in linked and time.time() - info.modified > self._grace
        ]
        for start in range(0, len(candidates), _BATCH):
            await self._remove_blobs(candidates[start : start + _BATCH])

    async def _all_links(self) -> set[Digest]:
        """What any repository links, less what this dry run would unlink."""
        gone = set(self._report.links) if self._dry else set()
        return {
            digest
            for name in await self._registry.known()
            async for digest in self._linked(name)
            if (name, digest) not in gone
        }

    async def _remove_blobs(self, candidates: list[tuple[Digest, int]]) -> None:
        if self._dry:
            self._report.blobs += candidates
            return
        begun = time.monotonic()
        for digest, _ in candidates:
            await self._storage.write(keys.condemned(digest), b"")
        try:
            linked = await self._all_links()
            for digest, size in candidates:
                if time.monotonic() - begun > _CONDEMNED_LIMIT:
                    break  # Pushes do not heed a condemnation for ever; the next run goes on.
                info = await self._storage.blob(digest)
                if info is None or digest in linked or time.time() - info.modified <= self._grace:
                    continue
                await self._storage.remove_blob(digest)
                self._report.blobs.append((digest, size))
        finally:
            for digest, _ in candidates:
                await self._storage.remove(keys.condemned(digest))


def read_stored(content: bytes, media_type: str, algorithm: str) -> Parsed:
    """A stored manifest's references. Raises Unavailable when it can't be read: then nothing may be collected."""
    try:
        return read(content, media_type, algorithm)
    except RegistryError as error:
        raise Unavailable(f"a stored manifest is damaged, so nothing is collected: {error}") from None
