"""Loading images from an archive: what was taken in becomes images and tags.

manifest.json    docker's list: config, layers and names of each image; where the archive is an OCI layout too,
                 the image keeps the manifest (and index) that index.json has for it
index.json       alone: every manifest there, with the names in its annotations; an index is kept with all its
                 platforms, and its names stand for the one of this host
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from sampan.errors import InvalidArgument, NotFound
from sampan.images.archive import Archive, Report, take_in
from sampan.images.catalog import NewImage
from sampan.images.making import LAYER_TYPES
from sampan.images.register import Registrar
from sampan.images.streams import Compression, More
from sampan.images.unpacker import Unpacker
from sampan.oci import documents, mediatypes
from sampan.oci.digest import Digest, digest_of
from sampan.oci.documents import Descriptor, ImageConfig, Index, Manifest
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference
from sampan.store.content import ContentStore
from sampan.store.leases import Lease

__all__ = ["Loaded", "Loader"]

_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_MOST_NESTED = 4


@dataclass(frozen=True)
class Loaded:
    """One image that a load brought: the names it now has, and which image had such a name before."""

    image: Digest
    names: tuple[Reference, ...]
    replaced: dict[Reference, Digest] = field(default_factory=dict)


class _Item(msgspec.Struct, rename="pascal"):
    """An entry of manifest.json."""

    config: str
    repo_tags: list[str] | None = None
    layers: list[str] | None = None
    parent: str = ""


@dataclass
class _Candidate:
    """An image found in the archive: documents by digest that it keeps, and its layers' blobs, bottom first."""

    config: bytes
    manifest: bytes
    layers: list[Digest]
    target: Digest
    documents: dict[Digest, bytes]
    extras: set[Digest] = field(default_factory=set)


class _Extras:
    """What an index has besides images (attestations): kept with it, so that it stays whole."""

    def __init__(self) -> None:
        self.documents: dict[Digest, bytes] = {}
        self.blobs: set[Digest] = set()


class Loader:
    """One load. `run` blocks: call it in a worker thread."""

    def __init__(
        self, content: ContentStore, unpacker: Unpacker, registrar: Registrar, wanted: Platform | None = None
    ) -> None:
        self._content = content
        self._unpacker = unpacker
        self._registrar = registrar
        self._wanted = wanted

    def run(self, more: More, lease: Lease, report: Report, loaded: Callable[[Loaded], None]) -> None:
        """Take the stream in and tell of each image as it is there. Raises InvalidArgument and others."""
        archive = take_in(more, self._content, self._unpacker, lease, report)
        try:
            if "manifest.json" in archive.documents:
                found = self._docker_images(archive)
            elif "index.json" in archive.documents:
                found = self._layout_images(archive)
            else:
                raise InvalidArgument(
                    "the archive has neither manifest.json nor index.json: it is no image archive "
                    "(docker import takes a root file system)"
                )
            added = [self._add(archive, names, candidates, lease, loaded) for names, candidates in found]
            if self._wanted is not None and not any(added):
                raise NotFound(f"the archive has no image of the requested platform ({self._wanted})")
        finally:
            self._unpacker.discard_all(archive.unpacking.values())

    # docker's archives

    def _docker_images(self, archive: Archive) -> Iterator[tuple[list[Reference], list[_Candidate]]]:
        items = documents.parse(archive.document("manifest.json"), list[_Item], "manifest.json")
        kept = _kept_manifests(archive)
        for item in items:
            config = archive.document(item.config)
            names = [_tag(text) for text in item.repo_tags or []]
            same = kept.get(digest_of(config))
            if same is not None and same.descriptor.digest != digest_of(same.content):
                # The archive has the whole index that this image is one platform of.
                yield names, self._target_images(archive, same.descriptor)
            elif (candidate := self._docker_image(archive, item, config, same)) is not None:
                yield names, [candidate]

    def _docker_image(self, archive: Archive, item: _Item, config: bytes, kept: _Kept | None) -> _Candidate | None:
        parsed = documents.parse(config, ImageConfig, "image config")
        if not self._accepts(parsed):
            return None
        paths = item.layers or []
        if len(paths) != len(parsed.diff_ids):
            raise InvalidArgument(
                f"invalid manifest, layers length mismatch: expected {len(paths)}, got {len(parsed.diff_ids)}"
            )
        layers = [self._layer(archive, path, diff) for path, diff in zip(paths, parsed.diff_ids, strict=True)]
        if kept is not None and [layer.digest for layer in kept.manifest.layers] == layers:
            return _Candidate(config, kept.content, layers, digest_of(kept.content), {})
        manifest = self._make_manifest(archive, config, layers)
        return _Candidate(config, manifest, layers, digest_of(manifest), {})

    def _layer(self, archive: Archive, path: str, diff_id: str) -> Digest:
        found = archive.blob(path)
        if found is not None:
            return found
        # An archive may leave out what its maker knew to be here already.
        if diff_id == path.rpartition("/")[2] or self._content.has(Digest(diff_id)):
            archive.compressions.setdefault(Digest(diff_id), Compression.NONE)
            return Digest(diff_id)
        raise InvalidArgument(f"open {path}: no such file or directory in the archive")

    def _make_manifest(self, archive: Archive, config: bytes, layers: Sequence[Digest]) -> bytes:
        types = [LAYER_TYPES.get(archive.compressions.get(layer, ""), mediatypes.OCI_LAYER) for layer in layers]
        sizes = [info.size if (info := self._content.info(layer)) else 0 for layer in layers]
        described = zip(types, layers, sizes, strict=True)
        return documents.encode(
            Manifest(
                schema_version=2,
                media_type=mediatypes.OCI_MANIFEST,
                config=documents.descriptor_of(config, mediatypes.OCI_CONFIG),
                layers=[Descriptor(media_type=kind, digest=layer, size=size) for kind, layer, size in described],
            )
        )

    # OCI layouts

    def _layout_images(self, archive: Archive) -> Iterator[tuple[list[Reference], list[_Candidate]]]:
        index = documents.parse(archive.document("index.json"), Index, "index.json")
        grouped: dict[str, tuple[Descriptor, list[Reference]]] = {}
        for descriptor in index.manifests:
            names = grouped.setdefault(descriptor.digest, (descriptor, []))[1]
            name = _annotated_name(descriptor)
            if name is not None and name not in names:
                names.append(name)
        for descriptor, names in grouped.values():
            yield names, self._target_images(archive, descriptor)

    def _target_images(self, archive: Archive, descriptor: Descriptor) -> list[_Candidate]:
        extras = _Extras()
        found = list(self._manifests(archive, descriptor, Digest(descriptor.digest), {}, extras))
        for candidate in found:
            candidate.documents |= extras.documents
            candidate.extras |= extras.blobs
        return found

    def _manifests(
        self, archive: Archive, descriptor: Descriptor, target: Digest, above: dict[Digest, bytes], extras: _Extras
    ) -> Iterator[_Candidate]:
        content = archive.find_document(descriptor.digest)
        if content is None or len(above) > _MOST_NESTED:
            return
        kept = {**above, Digest(descriptor.digest): content}
        if documents.is_index(content, descriptor.media_type):
            for below in documents.parse(content, Index, "index").manifests:
                yield from self._manifests(archive, below, target, kept, extras)
            return
        manifest = documents.parse(content, Manifest, "manifest")
        if _is_attestation(descriptor) or manifest.config.media_type not in mediatypes.CONFIGS:
            _keep_extra(archive, manifest, content, extras)
            return
        config = archive.find_document(manifest.config.digest)
        layers = [self._layout_layer(archive, layer) for layer in manifest.layers]
        if config is None or None in layers:
            return
        parsed = documents.parse(config, ImageConfig, "image config")
        # In an index stand images for other systems too.
        if parsed.os in ("", "linux") and self._accepts(parsed):
            yield _Candidate(config, content, [layer for layer in layers if layer], target, kept)

    def _layout_layer(self, archive: Archive, layer: Descriptor) -> Digest | None:
        found = archive.find_blob(layer.digest)
        if found is not None and found != layer.digest:
            raise InvalidArgument(f"blobs/{layer.digest} in the archive does not have the digest that its name says")
        return found or (Digest(layer.digest) if self._content.has(Digest(layer.digest)) else None)

    # both

    def _accepts(self, config: ImageConfig) -> bool:
        if (config.os or "linux") != "linux":
            raise InvalidArgument(f"cannot load {config.os} image on linux")
        return self._wanted is None or config.platform.matches(self._wanted)

    def _add(
        self,
        archive: Archive,
        names: list[Reference],
        candidates: list[_Candidate],
        lease: Lease,
        loaded: Callable[[Loaded], None],
    ) -> bool:
        """Make the candidates images; False where there are none."""
        if not candidates:
            return False
        images = [self._store(candidate, lease) for candidate in candidates]
        chosen = _best(images, self._wanted or Platform.host())
        candidate = candidates[images.index(chosen)]
        self._unpacker.finish(chosen.config, candidate.layers, archive.unpacking, lease)
        self._content.sync()
        replaced = self._registrar.register(images, chosen, candidate.target, names)
        loaded(Loaded(chosen.id, tuple(names), replaced))
        return True

    def _store(self, candidate: _Candidate, lease: Lease) -> NewImage:
        contents = {**candidate.documents, digest_of(candidate.manifest): candidate.manifest}
        contents[digest_of(candidate.config)] = candidate.config
        lease.keep(*contents, *candidate.layers, *candidate.extras)
        for digest, content in contents.items():
            if not self._content.has(digest):
                self._content.put(content, digest)
        kept = frozenset(contents) | frozenset(candidate.layers) | candidate.extras
        return NewImage(digest_of(candidate.config), candidate.config, digest_of(candidate.manifest), kept)


@dataclass(frozen=True)
class _Kept:
    """A manifest of an OCI layout, and what index.json has for it: itself or an index above it."""

    manifest: Manifest
    content: bytes
    descriptor: Descriptor


def _kept_manifests(archive: Archive) -> dict[Digest, _Kept]:
    """The manifests of an OCI layout by their config's digest."""
    content = archive.documents.get("index.json")
    found: dict[Digest, _Kept] = {}
    for descriptor in documents.parse(content, Index, "index.json").manifests if content else ():
        for kept in _manifests_below(archive, descriptor, descriptor, 0):
            found.setdefault(Digest(kept.manifest.config.digest), kept)
    return found


def _manifests_below(archive: Archive, descriptor: Descriptor, top: Descriptor, depth: int) -> Iterator[_Kept]:
    content = archive.find_document(descriptor.digest)
    if content is None or depth > _MOST_NESTED:
        return
    if documents.is_index(content, descriptor.media_type):
        for below in documents.parse(content, Index, "index").manifests:
            yield from _manifests_below(archive, below, top, depth + 1)
    else:
        yield _Kept(documents.parse(content, Manifest, "manifest"), content, top)


def _is_attestation(descriptor: Descriptor) -> bool:
    return descriptor.platform is not None and descriptor.platform.os == "unknown"


def _keep_extra(archive: Archive, manifest: Manifest, content: bytes, extras: _Extras) -> None:
    extras.documents[digest_of(content)] = content
    for part in (manifest.config, *manifest.layers):
        document, blob = archive.find_document(part.digest), archive.find_blob(part.digest)
        if document is not None:
            extras.documents[Digest(part.digest)] = document
        elif blob is not None:
            extras.blobs.add(blob)


def _tag(text: str) -> Reference:
    reference = Reference.parse(text)
    if reference.tag is None or reference.digest is not None:
        raise InvalidArgument(f'invalid tag "{text}"')
    return reference


def _annotated_name(descriptor: Descriptor) -> Reference | None:
    for key in _NAME_ANNOTATIONS:
        text = (descriptor.annotations or {}).get(key, "")
        # A bare tag names no repository.
        if ":" in text or "/" in text:
            reference = Reference.parse(text)
            return reference if reference.tag else reference.with_default_tag()
    return None


def _best(images: Sequence[NewImage], wanted: Platform) -> NewImage:
    ranks = [(image.config.platform.rank(wanted), place) for place, image in enumerate(images)]
    fitting = sorted((rank, place) for rank, place in ranks if rank is not None)
    return images[fitting[0][1]] if fitting else images[0]
