"""Image documents as types: descriptor, manifest, index, image config (OCI image-spec; docker's schema 2 reads alike).

These are for reading and for making new ones. A document that came from elsewhere is kept as its bytes and never
written again from here: unknown fields would be lost and the digest with them.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from sampan.errors import InvalidArgument
from sampan.oci import mediatypes
from sampan.oci.digest import Digest, chain_ids, digest_of
from sampan.oci.platform import Platform

__all__ = [
    "Descriptor",
    "DescriptorPlatform",
    "Healthcheck",
    "History",
    "ImageConfig",
    "Index",
    "Manifest",
    "RootFS",
    "RunConfig",
    "descriptor_of",
    "encode",
    "is_index",
    "parse",
]


class DescriptorPlatform(msgspec.Struct, kw_only=True, omit_defaults=True):
    architecture: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")
    variant: str = ""


class Descriptor(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A reference to content by digest and size."""

    media_type: str = ""
    digest: str
    size: int
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    data: str | None = None
    platform: DescriptorPlatform | None = None
    artifact_type: str = ""


class Manifest(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor
    layers: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Index(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    manifests: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Healthcheck(msgspec.Struct, kw_only=True, omit_defaults=True, rename="pascal"):
    """Docker's health check; durations in nanoseconds, 0 means the default."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class RunConfig(msgspec.Struct, kw_only=True, omit_defaults=True, rename="pascal"):
    """The image config's `config`: what a container of the image starts with."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    exposed_ports: dict[str, dict[str, Any]] | None = None
    env: list[str] | None = None
    cmd: list[str] | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    volumes: dict[str, dict[str, Any]] | None = None
    working_dir: str = ""
    entrypoint: list[str] | None = None
    on_build: list[str] | None = None
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: list[str] | None = None


class RootFS(msgspec.Struct, kw_only=True):
    type: str = "layers"
    diff_ids: list[str] | None = None


class History(msgspec.Struct, kw_only=True, omit_defaults=True):
    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The config document of one platform's image. Its digest is the image's id."""

    architecture: str = ""
    variant: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")
    created: str | None = None
    author: str = ""
    comment: str = ""
    parent: str = ""
    container: str = ""
    docker_version: str = ""
    config: RunConfig | None = None
    rootfs: RootFS = msgspec.field(default_factory=RootFS)
    history: list[History] | None = None

    @property
    def platform(self) -> Platform:
        return Platform.of(self.os or "linux", self.architecture, self.variant, self.os_version)

    @property
    def diff_ids(self) -> list[str]:
        """Digests of the uncompressed layers, bottom first."""
        return self.rootfs.diff_ids or []

    @property
    def chain_ids(self) -> list[Digest]:
        return chain_ids(self.diff_ids)

    @property
    def run(self) -> RunConfig:
        return self.config or RunConfig()


T = TypeVar("T")


def parse(content: bytes, kind: type[T], what: str) -> T:
    """Decode a document; `what` names it in the InvalidArgument that malformed content raises."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"invalid {what}: {error}") from None
    except RecursionError:
        raise InvalidArgument(f"invalid {what}: it nests too deeply") from None


def encode(document: msgspec.Struct) -> bytes:
    """A new document's bytes: stable, so that equal documents have equal digests."""
    return msgspec.json.encode(document)


def descriptor_of(content: bytes, media_type: str) -> Descriptor:
    """The descriptor that refers to `content`."""
    return Descriptor(media_type=media_type, digest=digest_of(content), size=len(content))


def is_index(document: bytes, media_type: str = "") -> bool:
    """Whether a manifest document is an index, by its media type or, lacking that, by what it holds."""
    if media_type:
        return media_type in mediatypes.INDEXES
    fields = parse(document, dict[str, Any], "manifest")
    declared = fields.get("mediaType")
    return declared in mediatypes.INDEXES if declared else "manifests" in fields
