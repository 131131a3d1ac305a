"""A container's changes become an image on its own image (docker commit), a tar becomes an image alone (import)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from sampan import __version__
from sampan.images.catalog import Image, NewImage
from sampan.images.making import Maker, StoredLayer
from sampan.images.pack import pack
from sampan.images.streams import More
from sampan.oci.digest import Digest
from sampan.oci.documents import Descriptor, History, ImageConfig, RootFS, RunConfig
from sampan.oci.platform import Platform
from sampan.store.leases import Lease
from sampan.wire import codec

__all__ = ["CommitRequest", "ImportRequest", "adopt", "commit"]

_EMPTY_TAR = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


@dataclass(frozen=True)
class CommitRequest:
    """What a commit is made of: the container's snapshot and the config that the image shall have."""

    key: str
    run: RunConfig
    author: str = ""
    comment: str = ""
    created_by: str = ""
    changes: Sequence[str] = ()


@dataclass(frozen=True)
class ImportRequest:
    """What an imported image says of itself."""

    run: RunConfig
    platform: Platform
    comment: str = ""


def adopt(request: ImportRequest, more: More, maker: Maker, lease: Lease) -> NewImage:
    """An image of one layer: the tar that `more` gives, compressed or not. Blocks. Raises InvalidArgument."""
    layer = maker.store_layer(more, lease)
    now = codec.format_time(time.time_ns())
    config = ImageConfig(
        architecture=request.platform.architecture,
        variant=request.platform.variant,
        os=request.platform.os,
        created=now,
        comment=request.comment,
        docker_version=__version__,
        config=request.run,
        rootfs=RootFS(diff_ids=[layer.diff_id]),
        history=[History(created=now, comment=request.comment)],
    )
    return maker.make(config, [layer], lease)


def commit(
    request: CommitRequest, base: Image, layers: Sequence[Descriptor], upper: int, maker: Maker, lease: Lease
) -> NewImage:
    """The image `base` (with its manifest's `layers`) and one layer more, unless nothing was changed. Blocks.

    `upper` is the descriptor of the directory with the changes.
    """
    below = [StoredLayer(layer, Digest(diff)) for layer, diff in zip(layers, base.config.diff_ids, strict=True)]
    lease.keep(*(layer.digest for layer in layers), *base.chain_ids)
    with closing(pack(upper, overlay=True)) as chunks:
        layer = maker.store_layer(lambda: next((chunk for chunk in chunks if chunk), b""), lease)
    empty = layer.diff_id == _EMPTY_TAR
    if empty:
        maker.forget(layer)
    return maker.make(_config(request, base, layer, empty), below if empty else [*below, layer], lease, base.id)


def _config(request: CommitRequest, base: Image, layer: StoredLayer, empty: bool) -> ImageConfig:
    now = codec.format_time(time.time_ns())
    step = History(
        created=now,
        created_by=request.created_by,
        author=request.author,
        comment=request.comment,
        empty_layer=empty,
    )
    old = base.config
    return ImageConfig(
        architecture=old.architecture,
        variant=old.variant,
        os=old.os or "linux",
        os_version=old.os_version,
        os_features=old.os_features,
        created=now,
        author=request.author,
        comment=request.comment,
        container=request.key,
        docker_version=__version__,
        config=request.run,
        rootfs=RootFS(diff_ids=old.diff_ids if empty else [*old.diff_ids, layer.diff_id]),
        history=[*(old.history or []), step],
    )
