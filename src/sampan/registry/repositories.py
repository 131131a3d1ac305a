"""What a registry knows and does, over any storage: repositories, their blobs, manifests, tags and referrers.

A repository has a blob when it has a link to it; the bytes are shared. A manifest is accepted when everything it
refers to is there, and its record is written before the tag that points to it, so that nothing half is ever listed.

With collection (gc.py), which removes what nothing refers to after a time of grace:
- whoever is told that a blob is there has its link (and bytes) made young again, so it stays for that time;
- after a link was made, a blob that stands condemned is waited for: collection looks at links again after it has
  condemned, so either it saw the link or the bytes go and the client is told to send them again;
- after a manifest was written its links are looked at again and remade: bytes outlive links by the time of grace.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import msgspec

from sampan.errors import Conflict, Unavailable
from sampan.oci.digest import Digest
from sampan.oci.documents import Descriptor
from sampan.registry import keys
from sampan.registry.errors import RegistryError
from sampan.registry.manifests import Parsed, read
from sampan.registry.storage import BlobInfo, Storage

__all__ = ["Registry", "StoredManifest"]

YOUNG = 60.0
"""Seconds for which a link is not made young again."""
CONDEMNED_FOR = 300.0
"""Seconds after which a condemnation that nobody carried out means nothing."""
_PATIENCE = 30.0
_POLL = 0.05


@dataclass(frozen=True)
class StoredManifest:
    """A manifest as it was pushed."""

    digest: Digest
    media_type: str
    content: bytes


class Registry:
    """All repositories of one storage. Stateless: any number of processes may serve the same storage."""

    def __init__(self, storage: Storage, young: float = YOUNG) -> None:
        """`young` has to be well below every collection's time of grace (seconds)."""
        self.storage = storage
        self._young = young

    # blobs

    async def blob(self, name: str, digest: Digest) -> BlobInfo:
        """A blob of a repository; it stays for the time of grace. Raises BLOB_UNKNOWN."""
        found = await self._find_blob(name, digest)
        if found is None:
            raise RegistryError("BLOB_UNKNOWN", detail={"digest": digest})
        return found

    async def mount(self, name: str, digest: Digest, sources: Sequence[str]) -> bool:
        """Give a repository a blob that one of `sources` has; whether that could be done."""
        for source in sources:
            if source != name and await self._find_blob(source, digest):
                return await self._link(name, digest)
        return await self._find_blob(name, digest) is not None

    async def commit(self, name: str, upload: str, digest: Digest) -> None:
        """Make an upload a blob of a repository. Raises DataLoss, NotFound, Conflict as Storage does."""
        await self.storage.commit(upload, digest)
        if not await self._link(name, digest):
            raise Unavailable("the blob was removed while it was stored: send it again")

    async def remove_blob(self, name: str, digest: Digest) -> None:
        """Take a blob from a repository; its bytes go with a later collection. Raises BLOB_UNKNOWN."""
        if not await self.storage.remove(keys.blob(name, digest)):
            raise RegistryError("BLOB_UNKNOWN", detail={"digest": digest})

    async def _find_blob(self, name: str, digest: Digest) -> BlobInfo | None:
        key = keys.blob(name, digest)
        linked = await self.storage.modified(key)
        if linked is None:
            return None
        if time.time() - linked > self._young and not await self.storage.touch(key):
            return None
        return await self.storage.blob(digest)

    async def _link(self, name: str, digest: Digest) -> bool:
        """Link a blob that is (or just was) stored; whether its bytes are there for sure."""
        info = await self.storage.blob(digest)
        if info is not None and time.time() - info.modified > self._young:
            await self.storage.touch_blob(digest)
        await self._note(keys.known(name))
        await self.storage.write(keys.blob(name, digest), b"")
        await self._outlive_condemnation(digest)
        return await self.storage.blob(digest) is not None

    async def _note(self, key: str) -> None:
        """Make an empty record, once."""
        if await self.storage.modified(key) is None:
            await self.storage.write(key, b"")

    async def _outlive_condemnation(self, digest: Digest) -> None:
        deadline = time.monotonic() + _PATIENCE
        while (since := await self.storage.modified(keys.condemned(digest))) is not None:
            if time.time() - since > CONDEMNED_FOR:
                return
            if time.monotonic() > deadline:
                raise Unavailable("a collection is about to remove this blob: try again in a minute")
            await asyncio.sleep(_POLL)

    # manifests and tags

    async def manifest(self, name: str, digest: Digest) -> StoredManifest | None:
        """A manifest by its digest, None where the repository has none such."""
        record = await self.storage.read(keys.manifest(name, digest))
        return None if record is None else decode_manifest(digest, record.content)

    async def resolve(self, name: str, tag: str) -> Digest | None:
        """The digest that a tag points to."""
        record = await self.storage.read(keys.tag(name, tag))
        return None if record is None else Digest(record.content.decode())

    async def put_manifest(
        self, name: str, content: bytes, content_type: str, algorithm: str, tags: Sequence[str], expected: str | None
    ) -> Parsed:
        """Store a manifest and point tags at it. Raises MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN and others.

        `expected` is the digest that the first tag must have now (ABSENT: none). Raises Conflict otherwise.
        """
        parsed = await asyncio.to_thread(read, content, content_type, algorithm)
        await self._require(name, parsed)
        if expected is not None and (await self.resolve(name, tags[0]) or "") != expected:
            raise Conflict(f"tag {tags[0]} does not point to {expected or 'nothing'}")
        record = parsed.media_type.encode() + b"\n" + content
        await self.storage.write(keys.manifest(name, parsed.digest), record)
        await self._restore_links(name, parsed)
        if parsed.subject is not None:
            descriptor = msgspec.json.encode(parsed.descriptor)
            await self.storage.write(keys.referrer(name, parsed.subject, parsed.digest), descriptor)
        await self._note(keys.known(name))
        await self._note(keys.catalog(name))
        for place, tag in enumerate(tags):
            await self._point(name, tag, parsed.digest, expected if place == 0 else None)
        return parsed

    async def remove_manifest(self, name: str, digest: Digest) -> None:
        """Remove a manifest and the tags that point to it. Raises MANIFEST_UNKNOWN."""
        found = await self.manifest(name, digest)
        if found is None:
            raise RegistryError("MANIFEST_UNKNOWN", detail={"digest": digest})
        for tag in await self.storage.names(keys.tags(name)):
            if await self.resolve(name, tag) == digest:
                await self.storage.remove(keys.tag(name, tag))
        subject = read(found.content, found.media_type).subject
        if subject is not None:
            await self.storage.remove(keys.referrer(name, subject, digest))
        await self.storage.remove(keys.manifest(name, digest))

    async def remove_tag(self, name: str, tag: str) -> None:
        """Remove a tag alone. Raises MANIFEST_UNKNOWN."""
        if not await self.storage.remove(keys.tag(name, tag)):
            raise RegistryError("MANIFEST_UNKNOWN", detail={"tag": tag})

    async def _point(self, name: str, tag: str, digest: Digest, expected: str | None) -> None:
        """Compare and swap: the record's version is read, compared by what it says, and named in the write."""
        key = keys.tag(name, tag)
        if expected is None:
            await self.storage.write(key, digest.encode())
            return
        record = await self.storage.read(key)
        if (record.content.decode() if record else "") != expected:
            raise Conflict(f"tag {tag} does not point to {expected or 'nothing'} any more")
        await self.storage.write(key, digest.encode(), expected=record.version if record else "")

    async def _require(self, name: str, parsed: Parsed) -> None:
        """Everything the manifest refers to is there, and young. Raises MANIFEST_BLOB_UNKNOWN."""
        missing = [digest for digest in parsed.blobs if await self._find_blob(name, digest) is None]
        for digest in parsed.manifests:
            known = await self.storage.modified(keys.manifest(name, digest)) is not None
            if not known and await self._find_blob(name, digest) is None:
                missing.append(digest)
        if missing:
            raise RegistryError("MANIFEST_BLOB_UNKNOWN", detail=[{"digest": digest} for digest in missing])

    async def _restore_links(self, name: str, parsed: Parsed) -> None:
        for digest in parsed.blobs:
            linked = await self.storage.modified(keys.blob(name, digest)) is not None
            if not linked and not await self._link(name, digest):
                await self.storage.remove(keys.manifest(name, parsed.digest))
                raise RegistryError("MANIFEST_BLOB_UNKNOWN", detail=[{"digest": digest}])

    # lists

    async def tags(self, name: str, after: str = "", limit: int | None = None) -> list[str]:
        """Tags in the order of their bytes. Raises NAME_UNKNOWN."""
        found = await self.storage.names(keys.tags(name), after, limit)
        if not found and await self.storage.modified(keys.catalog(name)) is None:
            raise RegistryError("NAME_UNKNOWN", detail={"name": name})
        return found

    async def names(self) -> list[str]:
        """Names of the repositories with manifests, sorted."""
        return sorted(keys.decode_name(part) for part in await self.storage.names(keys.CATALOG))

    async def known(self) -> list[str]:
        """Names of all repositories, those with nothing but blobs too, sorted."""
        return sorted(keys.decode_name(part) for part in await self.storage.names(keys.KNOWN))

    async def referrers(self, name: str, subject: Digest, after: str = "") -> AsyncIterator[Descriptor]:
        """Descriptors of the manifests whose subject this is, by digest, those after `after`."""
        folder = keys.referrers(name, subject)
        for part in await self.storage.names(folder, after.replace(":", "-", 1)):
            record = await self.storage.read(f"{folder}/{part}")
            if record is not None:
                yield msgspec.json.decode(record.content, type=Descriptor)


def decode_manifest(digest: Digest, record: bytes) -> StoredManifest:
    """A manifest's record as what it says."""
    media_type, _, content = record.partition(b"\n")
    return StoredManifest(digest, media_type.decode(), content)
