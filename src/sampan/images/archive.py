"""Taking in an archive of images: docker's (`manifest.json`), an OCI image layout, or both in one.

The archive is read once, as it comes. Small documents stay in memory; everything else becomes a blob, and what looks
like a layer is unpacked while it still arrives.

    stream -> tar entries -> document (JSON or small)   -> documents[name]
                          -> blob (ingest -> content)   -> blobs[name], and unpacking[digest] where it is a tar
                          -> link                       -> links[name]
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from sampan.errors import InvalidArgument
from sampan.images.folders import clean
from sampan.images.streams import Compression, More, compression_of, decompressed
from sampan.images.unpacker import Unpacked, Unpacker
from sampan.oci.bytesource import ByteSource
from sampan.oci.digest import Digest, digest_of, parse_digest
from sampan.oci.tar import BLOCK, Entry, Kind, TarReader, looks_like_tar
from sampan.store.content import ContentStore, Ingest
from sampan.store.leases import Lease

__all__ = ["Archive", "Report", "take_in"]

_DOCUMENT_LIMIT = 8 << 20
_DOCUMENTS_LIMIT = 256 << 20
_SMALL = 4096
_NOTE_EVERY = 4 << 20
_SHORT = 12

Report = Callable[[str, int, int], None]
"""Told of each layer's progress: short id, bytes so far, bytes in all."""


@dataclass
class Archive:
    """What was in it, by the entries' names."""

    documents: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, Digest] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    compressions: dict[Digest, str] = field(default_factory=dict)
    unpacking: dict[Digest, Future[Unpacked]] = field(default_factory=dict)

    def document(self, name: str) -> bytes:
        """A document by its name. Raises InvalidArgument where there is none."""
        found = self.documents.get(self._follow(name))
        if found is None:
            raise InvalidArgument(f"open {name}: no such file or directory in the archive")
        return found

    def find_document(self, digest: str) -> bytes | None:
        """A document of an OCI layout by its digest; checked."""
        content = self.documents.get(_blob_name(digest))
        if content is not None and digest.startswith("sha256:") and digest_of(content) != digest:
            raise InvalidArgument(f"{_blob_name(digest)} in the archive does not have the digest that its name says")
        return content

    def blob(self, name: str) -> Digest | None:
        """The digest of what was stored under a name."""
        return self.blobs.get(self._follow(name))

    def find_blob(self, digest: str) -> Digest | None:
        """A blob of an OCI layout by its digest."""
        return self.blobs.get(_blob_name(digest))

    def _follow(self, name: str) -> str:
        name = "/".join(clean(name))
        for _ in range(len(self.links) + 1):
            target = self.links.get(name)
            if target is None:
                return name
            name = target
        raise InvalidArgument(f"{name} in the archive is a link to itself")


def take_in(more: More, content: ContentStore, unpacker: Unpacker, lease: Lease, report: Report) -> Archive:
    """Read the whole stream. Blocks. Raises InvalidArgument, DataLoss; what was begun is then given up."""
    archive = Archive()
    with ThreadPoolExecutor(2, "ingest") as committers:
        intake = _Intake(archive, content, unpacker, lease, report, committers)
        try:
            for entry in (tar := TarReader(ByteSource(decompressed(more)))):
                intake.take(entry, tar)
            while more():
                pass
            intake.settle()
        except BaseException:
            intake.give_up()
            raise
    return archive


class _Intake:
    def __init__(
        self,
        archive: Archive,
        content: ContentStore,
        unpacker: Unpacker,
        lease: Lease,
        report: Report,
        committers: ThreadPoolExecutor,
    ) -> None:
        self._archive = archive
        self._content = content
        self._unpacker = unpacker
        self._lease = lease
        self._report = report
        self._committers = committers
        self._documents_size = 0
        self._unpacking: list[Future[Unpacked]] = []
        self._commits: list[tuple[str, Future[Digest], Future[Unpacked] | None, str]] = []

    def take(self, entry: Entry, tar: TarReader) -> None:
        name = "/".join(clean(entry.name))
        if entry.kind == Kind.SYMLINK:
            self._archive.links[name] = _link_name(name, entry.link)
        elif entry.kind == Kind.HARD_LINK:
            self._archive.links[name] = "/".join(clean(entry.link))
        elif entry.kind == Kind.FILE:
            self._file(name, entry, tar)

    def settle(self) -> None:
        """Wait until everything is stored, and know what came under which name."""
        for name, commit, unpacking, compression in self._commits:
            digest = commit.result()
            self._archive.blobs[name] = digest
            self._archive.compressions[digest] = compression
            if unpacking is None:
                continue
            if digest in self._archive.unpacking:
                self._unpacker.discard(unpacking)
            else:
                self._archive.unpacking[digest] = unpacking

    def give_up(self) -> None:
        """Let go of all that was begun, and wait until it has ended."""
        self._unpacker.discard_all(self._unpacking)

    def _file(self, name: str, entry: Entry, tar: TarReader) -> None:
        head = tar.peek(BLOCK)
        compression = compression_of(head)
        if _is_document(name, entry, head):
            self._documents_size += entry.size
            if self._documents_size > _DOCUMENTS_LIMIT:
                raise InvalidArgument(f"the archive's documents have more than {_DOCUMENTS_LIMIT} bytes")
            self._archive.documents[name] = tar.content(_DOCUMENT_LIMIT)
        elif (known := self._known(name)) is not None:
            self._archive.blobs[name] = known
            self._archive.compressions[known] = compression
        else:
            is_layer = compression != Compression.NONE or looks_like_tar(head)
            stored = Compression.NONE if compression in (Compression.BZIP2, Compression.XZ) else compression
            self._blob(name, entry, tar, stored, is_layer)

    def _known(self, name: str) -> Digest | None:
        """An OCI layout names blobs by digest: what is here already need not be taken in again."""
        parts = name.split("/")
        if len(parts) != 3 or parts[0] != "blobs":
            return None
        try:
            digest = parse_digest(f"{parts[1]}:{parts[2]}")
        except InvalidArgument:
            return None
        self._lease.keep(digest)
        return digest if self._content.has(digest) else None

    def _blob(self, name: str, entry: Entry, tar: TarReader, compression: str, is_layer: bool) -> None:
        ingest = self._content.begin()
        try:
            unpacking = self._unpack(ingest) if is_layer else None
            self._write(ingest, name, entry, tar)
        except BaseException:
            ingest.abort()
            raise
        self._commits.append((name, self._committers.submit(self._commit, ingest), unpacking, compression))

    def _unpack(self, ingest: Ingest) -> Future[Unpacked]:
        started = self._unpacker.start_following(ingest)
        self._unpacking.append(started)
        return started

    def _write(self, ingest: Ingest, name: str, entry: Entry, tar: TarReader) -> None:
        noted = 0
        for chunk in _layer_chunks(tar):
            ingest.write(chunk)
            if ingest.offset - noted >= _NOTE_EVERY:
                noted = ingest.offset
                self._report(_shown(name), noted, entry.size)
        self._report(_shown(name), entry.size, entry.size)

    def _commit(self, ingest: Ingest) -> Digest:
        self._lease.keep(ingest.digest)
        return ingest.commit()


def _layer_chunks(tar: TarReader) -> Iterator[bytes | memoryview]:
    if compression_of(tar.peek(BLOCK)) not in (Compression.BZIP2, Compression.XZ):
        return (chunk for _, chunk in tar.payload())
    # No layer media type has these: such a layer is stored plain.
    chunks = (bytes(chunk) for _, chunk in tar.payload())
    return iter(decompressed(lambda: next(chunks, b"")), b"")


def _is_document(name: str, entry: Entry, head: bytes) -> bool:
    if entry.size > _DOCUMENT_LIMIT:
        return False
    return head[:1] in (b"{", b"[") or (entry.size <= _SMALL and not looks_like_tar(head) and not compression_of(head))


def _blob_name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _link_name(name: str, target: str) -> str:
    return "/".join(clean(posixpath.normpath(posixpath.join(posixpath.dirname(name), target))))


def _shown(name: str) -> str:
    """What progress calls a layer: the beginning of its digest or of its folder's name."""
    parts = name.split("/")
    longest = max(parts, key=len)
    return longest[:_SHORT]
