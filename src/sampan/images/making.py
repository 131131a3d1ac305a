"""Making images here: a layer from a tar, then config, manifest, rows. What import, commit and builds have in common.

with leases.hold() as lease:
    layer = maker.store_layer(more, lease)
    image = maker.make(config, [*parent_layers, layer], lease, parent_id)
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from sampan.images.catalog import NewImage
from sampan.images.streams import Compression, More, storable
from sampan.images.unpacker import Unpacked, Unpacker
from sampan.oci import documents, mediatypes
from sampan.oci.digest import Digest, digest_of
from sampan.oci.documents import Descriptor, ImageConfig, Manifest
from sampan.store.content import ContentStore
from sampan.store.leases import Lease

__all__ = ["LAYER_TYPES", "Maker", "StoredLayer"]

LAYER_TYPES = {
    Compression.NONE: mediatypes.OCI_LAYER,
    Compression.GZIP: mediatypes.OCI_LAYER_GZIP,
    Compression.ZSTD: mediatypes.OCI_LAYER_ZSTD,
}


@dataclass(frozen=True)
class StoredLayer:
    """A stored layer: what a manifest says of it, the digest of its plain tar, and its unpacking if that was begun."""

    descriptor: Descriptor
    diff_id: Digest
    unpacking: Future[Unpacked] | None = None


class Maker:
    """Blocks: for worker threads."""

    def __init__(self, content: ContentStore, unpacker: Unpacker) -> None:
        self._content = content
        self._unpacker = unpacker

    def store_layer(self, more: More, lease: Lease) -> StoredLayer:
        """Take in a layer's tar, compressed or not, and unpack it meanwhile. Raises InvalidArgument."""
        compression, more = storable(more)
        with self._content.begin() as ingest:
            unpacking = self._unpacker.start_following(ingest)
            try:
                while chunk := more():
                    ingest.write(chunk)
                size = ingest.offset
                lease.keep(ingest.digest)
                digest = ingest.commit()
                diff_id = unpacking.result().diff_id or digest
            except BaseException:
                ingest.abort()
                self._unpacker.discard_all([unpacking])
                raise
        return StoredLayer(
            Descriptor(media_type=LAYER_TYPES[compression], digest=digest, size=size), diff_id, unpacking
        )

    def forget(self, layer: StoredLayer) -> None:
        """Give up a stored layer that no image will have; its blob goes when the lease ends."""
        if layer.unpacking is not None:
            self._unpacker.discard(layer.unpacking)

    def make(self, config: ImageConfig, layers: Sequence[StoredLayer], lease: Lease, parent: str = "") -> NewImage:
        """Store config and manifest and see that all layers are unpacked. The rows are the caller's."""
        document = documents.encode(config)
        manifest = documents.encode(
            Manifest(
                schema_version=2,
                media_type=mediatypes.OCI_MANIFEST,
                config=documents.descriptor_of(document, mediatypes.OCI_CONFIG),
                layers=[layer.descriptor for layer in layers],
            )
        )
        blobs = [Digest(layer.descriptor.digest) for layer in layers]
        lease.keep(digest_of(document), digest_of(manifest), *blobs)
        for content in (document, manifest):
            if not self._content.has(digest_of(content)):
                self._content.put(content)
        started = {blob: layer.unpacking for blob, layer in zip(blobs, layers, strict=True) if layer.unpacking}
        try:
            self._unpacker.finish(config, blobs, started, lease)
        finally:
            # What was there already needs no second unpacking.
            self._unpacker.discard_all(started.values())
        self._content.sync()
        kept = frozenset({digest_of(document), digest_of(manifest), *blobs})
        return NewImage(digest_of(document), document, digest_of(manifest), kept, parent)
