"""Saving images: one archive that is docker's (`manifest.json`, `repositories`) and an OCI image layout at once.

    blobs/sha256/<hex>   configs, manifests, indexes and layers, as they are stored
    index.json           what each name refers to, byte for byte: an index with all of its platforms that are here
    manifest.json        docker's list: this host's image of each
    oci-layout, repositories

Planned first (which blobs, which documents), then written: the plan raises what is wrong before a byte leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sampan.errors import NotFound
from sampan.images.catalog import Catalog, Image
from sampan.oci import documents, mediatypes, tarwrite
from sampan.oci.digest import Digest, hex_of
from sampan.oci.documents import Descriptor, Index, Manifest
from sampan.oci.reference import Reference
from sampan.oci.tar import Entry, Kind
from sampan.store.content import ContentStore

__all__ = ["Plan", "Wanted", "plan", "written"]

_CHUNK = 1 << 20
_NAME, _REF = "io.containerd.image.name", "org.opencontainers.image.ref.name"


@dataclass
class Wanted:
    """An image to save under these names; `target` is the manifest or index that stands for them."""

    image: Image
    target: Digest
    names: list[Reference] = field(default_factory=list)


@dataclass
class Plan:
    """Everything that the archive will have."""

    blobs: dict[Digest, int] = field(default_factory=dict)
    index: list[Descriptor] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    repositories: dict[str, dict[str, str]] = field(default_factory=dict)


def plan(wanted: Sequence[Wanted], content: ContentStore, catalog: Catalog) -> Plan:
    """Raises NotFound where an image's blobs are not here."""
    made = Plan()
    for one in wanted:
        for image in [one.image, *(m for m in catalog.members(one.target) if m.id != one.image.id)]:
            _add_blobs(made, _documents_of(image, content), content)
        _add_target(made, one.target, content)
        made.items.append(_item(one, content))
        made.index += _descriptors(one, content)
        for name in one.names:
            layers = one.image.config.diff_ids
            made.repositories.setdefault(name.familiar_name, {})[name.tag or ""] = (
                hex_of(Digest(layers[-1])) if layers else ""
            )
    return made


def written(made: Plan, content: ContentStore) -> Iterator[bytes]:
    """The archive's bytes. Blocks while it reads."""
    for folder in ("blobs", *sorted({f"blobs/{digest.partition(':')[0]}" for digest in made.blobs})):
        yield tarwrite.head(Entry(folder, Kind.DIRECTORY, 0o755, 0, 0, 0, 0))
    for digest, size in sorted(made.blobs.items()):
        yield tarwrite.head(Entry("blobs/" + digest.replace(":", "/"), Kind.FILE, 0o644, 0, 0, size, 0))
        with content.open(digest) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
        yield tarwrite.padding(size)
    index = Index(schema_version=2, media_type=mediatypes.OCI_INDEX, manifests=made.index)
    for name, text in (
        ("index.json", documents.encode(index)),
        ("manifest.json", msgspec.json.encode(made.items)),
        ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
        ("repositories", msgspec.json.encode(made.repositories)),
    ):
        if name != "repositories" or made.repositories:
            yield tarwrite.head(Entry(name, Kind.FILE, 0o644, 0, 0, len(text), 0)) + text + tarwrite.padding(len(text))
    yield tarwrite.END


def _add_blobs(made: Plan, digests: Sequence[Digest], content: ContentStore) -> None:
    for digest in digests:
        info = content.info(digest)
        if info is None:
            raise NotFound(f"content {digest} is not here; pull or load the image again")
        made.blobs[digest] = info.size


def _documents_of(image: Image, content: ContentStore) -> list[Digest]:
    manifest = documents.parse(content.read(image.manifest), Manifest, "manifest")
    return [image.manifest, image.id, *(Digest(layer.digest) for layer in manifest.layers)]


def _add_target(made: Plan, target: Digest, content: ContentStore) -> None:
    """The index itself, those within it, and what else of it is here (attestations)."""
    if target in made.blobs:
        return
    document = content.read(target)
    _add_blobs(made, [target], content)
    if documents.is_index(document):
        for below in documents.parse(document, Index, "index").manifests:
            if content.has(Digest(below.digest)):
                _add_target(made, Digest(below.digest), content)
        return
    manifest = documents.parse(document, Manifest, "manifest")
    parts = [Digest(one.digest) for one in (manifest.config, *manifest.layers)]
    _add_blobs(made, [digest for digest in parts if content.has(digest)], content)


def _item(one: Wanted, content: ContentStore) -> dict[str, Any]:
    manifest = documents.parse(content.read(one.image.manifest), Manifest, "manifest")
    layers = manifest.layers
    return {
        "Config": "blobs/" + one.image.id.replace(":", "/"),
        "RepoTags": [name.familiar for name in one.names] or None,
        "Layers": ["blobs/" + layer.digest.replace(":", "/") for layer in layers],
        "LayerSources": dict(zip(one.image.config.diff_ids, layers, strict=False)),
    }


def _descriptors(one: Wanted, content: ContentStore) -> list[Descriptor]:
    document = content.read(one.target)
    kind = mediatypes.OCI_INDEX if documents.is_index(document) else mediatypes.OCI_MANIFEST
    kind = documents.parse(document, dict[str, Any], "manifest").get("mediaType") or kind
    plain = Descriptor(media_type=kind, digest=one.target, size=len(document))
    if not one.names:
        return [plain]
    return [
        Descriptor(
            media_type=kind,
            digest=one.target,
            size=len(document),
            annotations={_NAME: str(name), _REF: name.tag or ""},
        )
        for name in one.names
    ]
