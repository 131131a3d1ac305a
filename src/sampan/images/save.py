"""Saving images: one archive that is docker's (`manifest.json`, `repositories`) and an OCI image layout at once.

    blobs/sha256/<hex>   configs, manifests, indexes and layers, as they are stored
    index.json           what each name refers to, byte for byte: an index with all of its platforms that are here
    manifest.json        docker's list: this host's image of each
    oci-layout, repositories

Chosen and planned first (which blobs, which documents), then written: what is wrong is raised before a byte leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sampan.errors import NotFound
from sampan.images.catalog import Image
from sampan.images.library import Library
from sampan.oci import documents, mediatypes, tarwrite
from sampan.oci.digest import Digest, hex_of
from sampan.oci.documents import Descriptor, Index, Manifest
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference, parse_any
from sampan.oci.tar import Entry, Kind
from sampan.store.content import ContentStore

__all__ = ["Plan", "Wanted", "choose", "plan", "written"]

_CHUNK = 1 << 20
_NAME, _REF = "io.containerd.image.name", "org.opencontainers.image.ref.name"


@dataclass
class Wanted:
    """An image to save under these names; `target` is the manifest or index that stands for them, `platforms` are the
    images of it that go along."""

    image: Image
    target: Digest
    platforms: Sequence[Image]
    names: list[Reference] = field(default_factory=list)


@dataclass
class Plan:
    """Everything that the archive will have; an image's configuration is as old in it as the image."""

    blobs: dict[Digest, int] = field(default_factory=dict)
    times: dict[Digest, int] = field(default_factory=dict)
    index: list[Descriptor] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    repositories: dict[str, dict[str, str]] = field(default_factory=dict)


def choose(library: Library, refs: Sequence[str], platforms: Sequence[Platform]) -> list[Wanted]:
    """What references (and platforms, else all that are here) mean; each image once, with all of its names.

    Raises InvalidArgument, NotFound.
    """
    wanted: dict[Digest, Wanted] = {}
    for one in (one for ref in refs for one in _wanted(library, ref, platforms)):
        known = wanted.setdefault(one.image.id, one)
        known.names += [name for name in one.names if name not in known.names]
    return list(wanted.values())


def _wanted(library: Library, ref: str, platforms: Sequence[Platform]) -> Sequence[Wanted]:
    parsed = parse_any(ref)
    if isinstance(parsed, Reference) and parsed.is_name_only:
        tags = [tag for tag in library.catalog.tags() if tag.reference.name == parsed.name and tag.reference.tag]
        if tags:
            return [_wanted_one(library, tag.reference.familiar, tag.reference, platforms) for tag in tags]
    key = parsed.key() if isinstance(parsed, Reference) else None
    return [_wanted_one(library, ref, key if key and library.catalog.target(key) else None, platforms)]


def _wanted_one(library: Library, ref: str, name: Reference | None, platforms: Sequence[Platform]) -> Wanted:
    try:
        image = library.resolve(ref)
    except NotFound:
        raise NotFound(f"No such image: {ref}") from None
    target = (library.catalog.target(name) if name else None) or image.manifest
    there = [image, *(member for member in library.catalog.members(target) if member.id != image.id)]
    chosen = [_one_of(ref, there, platform) for platform in platforms] or there
    names = [name] if name and name.tag else []
    return Wanted(chosen[0], target if len(chosen) > 1 or not platforms else chosen[0].manifest, chosen, names)


def _one_of(ref: str, there: Sequence[Image], platform: Platform) -> Image:
    found = next((image for image in there if image.platform.matches(platform)), None)
    if found is None:
        raise NotFound(
            f"no suitable export target found: image with reference {ref} was found but does not provide the specified "
            f"platform ({platform})"
        )
    return found


def plan(wanted: Sequence[Wanted], content: ContentStore) -> Plan:
    """Raises NotFound where an image's blobs are not here."""
    made = Plan()
    for one in wanted:
        for image in one.platforms:
            made.times[image.id] = max(0, image.created)
            _add_blobs(made, _documents_of(image, content), content)
        _add_index(made, one.target, content)
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
        time = made.times.get(digest, 0)
        yield tarwrite.head(Entry("blobs/" + digest.replace(":", "/"), Kind.FILE, 0o644, 0, 0, size, time))
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


def _add_index(made: Plan, target: Digest, content: ContentStore) -> None:
    """An index itself, those within it, and what attests its images; which images go along was chosen before."""
    if target in made.blobs:
        return
    _add_blobs(made, [target], content)
    for below in documents.parse(content.read(target), Index, "index").manifests:
        digest = Digest(below.digest)
        if not content.has(digest):
            continue
        if below.media_type in mediatypes.INDEXES:
            _add_index(made, digest, content)
        elif below.platform is not None and below.platform.os == "unknown":
            _add_attestation(made, digest, content)


def _add_attestation(made: Plan, digest: Digest, content: ContentStore) -> None:
    manifest = documents.parse(content.read(digest), Manifest, "manifest")
    parts = [Digest(part.digest) for part in (manifest.config, *manifest.layers)]
    _add_blobs(made, [digest, *(part for part in parts if content.has(part))], content)


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
