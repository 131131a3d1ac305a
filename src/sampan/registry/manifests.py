"""Manifests as a registry sees them: checked, and what they refer to (OCI image specification 1.1; docker schema 2).

bytes + Content-Type --read--> Parsed(digest, media type, needs, subject, referrer's descriptor)
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

import msgspec

from sampan.errors import InvalidArgument
from sampan.oci import mediatypes
from sampan.oci.digest import Digest
from sampan.oci.documents import Descriptor, Index, Manifest, parse
from sampan.registry.errors import RegistryError
from sampan.registry.names import check_digest

__all__ = ["DEPTH_LIMIT", "SIZE_LIMIT", "TYPES", "Parsed", "read"]

SIZE_LIMIT = 4 << 20
"""Bytes in a manifest."""
DEPTH_LIMIT = 64
"""Levels of nesting in its JSON."""

TYPES = mediatypes.INDEXES | mediatypes.MANIFESTS
_FOREIGN = re.compile(r"application/vnd\.(?:oci\.image\.layer\.nondistributable\..*|docker\..*\.foreign\..*)")
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class _Head(msgspec.Struct, rename="camel"):
    schema_version: int = 0
    media_type: str = ""


@dataclass(frozen=True)
class Parsed:
    """A checked manifest. `blobs` and `manifests` are what has to be there before it."""

    content: bytes
    digest: Digest
    media_type: str
    blobs: tuple[Digest, ...] = ()
    manifests: tuple[Digest, ...] = ()
    subject: Digest | None = None
    artifact_type: str = ""
    annotations: dict[str, str] | None = field(default=None)

    @property
    def descriptor(self) -> Descriptor:
        """How the referrers API shows it (distribution specification, "Listing Referrers")."""
        return Descriptor(
            media_type=self.media_type,
            digest=self.digest,
            size=len(self.content),
            artifact_type=self.artifact_type,
            annotations=self.annotations,
        )


def read(content: bytes, content_type: str, algorithm: str = "sha256") -> Parsed:
    """Check a manifest. Raises MANIFEST_INVALID, or SIZE_INVALID (413) beyond the limit."""
    if len(content) > SIZE_LIMIT:
        raise RegistryError("SIZE_INVALID", f"a manifest has at most {SIZE_LIMIT} bytes", status=413)
    _check_depth(content)
    media_type = _media_type(content, content_type.partition(";")[0].strip())
    digest = Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")
    try:
        if media_type in mediatypes.INDEXES:
            return _index(content, digest, media_type, parse(content, Index, "index"))
        return _manifest(content, digest, media_type, parse(content, Manifest, "manifest"))
    except InvalidArgument as error:
        raise RegistryError("MANIFEST_INVALID", str(error)) from None


def _media_type(content: bytes, declared: str) -> str:
    try:
        head = parse(content, _Head, "manifest")
    except InvalidArgument as error:
        raise RegistryError("MANIFEST_INVALID", str(error)) from None
    media_type = declared or head.media_type
    if media_type.startswith("application/vnd.docker.distribution.manifest.v1") or head.schema_version == 1:
        raise RegistryError("MANIFEST_INVALID", "docker's schema 1 is not supported: push the image again as schema 2")
    if media_type not in TYPES:
        raise RegistryError("MANIFEST_INVALID", f"unknown manifest media type {media_type!r}: an image or index is one")
    if head.media_type and head.media_type != media_type:
        raise RegistryError(
            "MANIFEST_INVALID", f"Content-Type is {media_type}, but the manifest's mediaType is {head.media_type}"
        )
    if head.schema_version != 2:
        raise RegistryError("MANIFEST_INVALID", "schemaVersion must be 2")
    return media_type


def _manifest(content: bytes, digest: Digest, media_type: str, manifest: Manifest) -> Parsed:
    layers = [layer for layer in manifest.layers if not (layer.urls or _FOREIGN.fullmatch(layer.media_type))]
    return Parsed(
        content,
        digest,
        media_type,
        blobs=_digests([manifest.config, *layers]),
        subject=_subject(manifest.subject),
        artifact_type=manifest.artifact_type or manifest.config.media_type,
        annotations=manifest.annotations,
    )


def _index(content: bytes, digest: Digest, media_type: str, index: Index) -> Parsed:
    return Parsed(
        content,
        digest,
        media_type,
        manifests=_digests(index.manifests),
        subject=_subject(index.subject),
        artifact_type=index.artifact_type,
        annotations=index.annotations,
    )


def _digests(descriptors: list[Descriptor]) -> tuple[Digest, ...]:
    return tuple(dict.fromkeys(_checked(descriptor) for descriptor in descriptors))


def _subject(descriptor: Descriptor | None) -> Digest | None:
    return None if descriptor is None else _checked(descriptor)


def _checked(descriptor: Descriptor) -> Digest:
    if descriptor.size < 0:
        raise RegistryError("MANIFEST_INVALID", f"the descriptor of {descriptor.digest} has a negative size")
    try:
        return check_digest(descriptor.digest)
    except RegistryError as error:
        raise RegistryError("MANIFEST_INVALID", f"{error}: {descriptor.digest!r}") from None


def _check_depth(content: bytes) -> None:
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(content):
        token = match[0]
        if token in (b"{", b"["):
            depth += 1
            if depth > DEPTH_LIMIT:
                raise RegistryError("MANIFEST_INVALID", f"nested deeper than {DEPTH_LIMIT} levels")
        elif token in (b"}", b"]"):
            depth -= 1
