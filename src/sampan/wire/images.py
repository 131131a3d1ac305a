"""Images on the wire. Engine API 1.51, definitions ImageInspect, ImageSummary, ImageHistoryResponseItem and so on."""

# ruff: noqa: RUF012

from __future__ import annotations

from sampan.wire.base import Document, Empty, Int, StrSlice, always, always_new, pascal
from sampan.wire.distribution import Descriptor, Platform


class DriverData(Document, kw_only=True, rename=pascal()):
    """What the storage driver knows of an image or a container."""

    data: dict[str, str] | None = always(None)
    name: str = always("")


class RootFS(Document, kw_only=True, rename=pascal()):
    """The layers of an image: digests of their uncompressed tars, lowest first."""

    type: str = ""
    layers: list[str] = []


class ImageMetadata(Document, kw_only=True, rename=pascal()):
    """What this daemon remembers of an image; time RFC 3339."""

    last_tag_time: str = always("")


class ImageHealth(Document, kw_only=True, rename=pascal()):
    """Health check of an image; durations in nanoseconds."""

    test: list[str] = []
    interval: Int = 0
    timeout: Int = 0
    start_period: Int = 0
    start_interval: Int = 0
    retries: Int = 0


class ImageConfig(Document, kw_only=True, rename=pascal()):
    """What an image says about how to run it."""

    args_escaped: bool = False
    cmd: StrSlice | None = always(None)
    entrypoint: StrSlice | None = always(None)
    env: list[str] | None = always(None)
    exposed_ports: dict[str, Empty] = {}
    healthcheck: ImageHealth | None = None
    labels: dict[str, str] | None = always(None)
    on_build: list[str] | None = always(None)
    shell: StrSlice = []
    stop_signal: str = ""
    user: str = always("")
    volumes: dict[str, Empty] | None = always(None)
    working_dir: str = always("")


class ManifestSize(Document, kw_only=True, rename=pascal()):
    """Bytes of a manifest: its blobs, and all in all."""

    total: Int = always(0)
    content: Int = always(0)


class UnpackedSize(Document, kw_only=True, rename=pascal()):
    """Bytes of an unpacked image."""

    unpacked: Int = always(0)


class ManifestImageData(Document, kw_only=True, rename=pascal()):
    """A manifest that is an image."""

    platform: Platform = always_new(Platform)
    containers: list[str] | None = always(None)
    size: UnpackedSize = always_new(UnpackedSize)


class AttestationData(Document, kw_only=True, rename={"subject": "For"}):
    """A manifest that attests something; `subject` is the digest of the image it speaks of."""

    subject: str = always("")


class ManifestSummary(Document, kw_only=True, rename=pascal(id="ID")):
    """One manifest of an index; `kind` is image, attestation or unknown."""

    id: str = always("")
    descriptor: Descriptor = always_new(Descriptor)
    available: bool = always(False)
    size: ManifestSize = always_new(ManifestSize)
    kind: str = always("")
    image_data: ManifestImageData | None = None
    attestation_data: AttestationData | None = None


class ImageInspect(Document, kw_only=True, rename=pascal(root_fs="RootFS")):
    """Answer of GET /images/{name}/json; times RFC 3339."""

    id: str = always("")
    repo_tags: list[str] | None = always_new(list)
    repo_digests: list[str] | None = always_new(list)
    parent: str = always("")
    comment: str = always("")
    created: str = ""
    docker_version: str = always("")
    author: str = always("")
    architecture: str = always("")
    variant: str = ""
    os: str = always("")
    os_version: str = ""
    size: Int = always(0)
    virtual_size: Int = 0
    graph_driver: DriverData = always_new(DriverData)
    root_fs: RootFS = always_new(RootFS)
    metadata: ImageMetadata = always_new(ImageMetadata)
    descriptor: Descriptor | None = None
    manifests: list[ManifestSummary] = []
    config: ImageConfig | None = always_new(ImageConfig)


class ImageSummary(Document, kw_only=True, rename=pascal()):
    """A row of GET /images/json; -1 where a size or count was not asked for."""

    containers: Int = always(-1)
    created: Int = always(0)
    id: str = always("")
    labels: dict[str, str] | None = always(None)
    parent_id: str = always("")
    descriptor: Descriptor | None = None
    manifests: list[ManifestSummary] = []
    repo_digests: list[str] | None = always_new(list)
    repo_tags: list[str] | None = always_new(list)
    shared_size: Int = always(-1)
    size: Int = always(0)
    virtual_size: Int = 0


class HistoryItem(Document, kw_only=True, rename=pascal()):
    """A row of GET /images/{name}/history; `created` in seconds since 1970."""

    comment: str = always("")
    created: Int = always(0)
    created_by: str = always("")
    id: str = always("")
    size: Int = always(0)
    tags: list[str] | None = always(None)


class DeleteItem(Document, kw_only=True, rename=pascal()):
    """One thing that DELETE /images/{name} did."""

    untagged: str = ""
    deleted: str = ""


class SearchItem(
    Document,
    kw_only=True,
    rename={"star_count": "star_count", "is_official": "is_official", "is_automated": "is_automated"},
):
    """A row of GET /images/search."""

    star_count: Int = always(0)
    is_official: bool = always(False)
    name: str = always("")
    is_automated: bool = always(False)
    description: str = always("")


class PruneReport(Document, kw_only=True, rename=pascal()):
    """Answer of POST /images/prune."""

    images_deleted: list[DeleteItem] | None = always(None)
    space_reclaimed: int = always(0)


class CommitResponse(Document, kw_only=True, rename=pascal()):
    """Answer of POST /commit."""

    id: str = always("")
