"""Images as the Engine API shows them: pure functions from an Image to wire documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sampan.images.catalog import Image
from sampan.images.register import created_ns
from sampan.oci.digest import Digest
from sampan.oci.documents import Healthcheck, RunConfig
from sampan.wire import codec
from sampan.wire.base import Empty
from sampan.wire.images import (
    DriverData,
    HistoryItem,
    ImageConfig,
    ImageHealth,
    ImageInspect,
    ImageMetadata,
    ImageSummary,
    RootFS,
)

__all__ = ["history", "inspect", "summary", "wire_config"]

DRIVER = "overlay2"
_MISSING = "<missing>"
_SECOND = 10**9


def summary(image: Image, references: tuple[list[str], list[str]], containers: int, shared: int) -> ImageSummary:
    """A row of the list. `references` are the tags and digests that the filters left."""
    tags, digests = references
    return ImageSummary(
        id=image.id,
        parent_id=image.parent,
        repo_tags=tags,
        repo_digests=digests,
        created=image.created // _SECOND,
        size=image.size,
        shared_size=shared,
        labels=image.config.run.labels,
        containers=containers,
    )


def inspect(image: Image, graph: Mapping[str, str]) -> ImageInspect:
    """The whole document; `graph` names the overlay's directories."""
    config = image.config
    steps = config.history or []
    return ImageInspect(
        id=image.id,
        repo_tags=image.repo_tags,
        repo_digests=image.repo_digests,
        parent=image.parent,
        comment=config.comment or (steps[-1].comment if steps else ""),
        created=codec.format_time(image.created) if config.created else "",
        docker_version=config.docker_version,
        author=config.author,
        architecture=config.architecture,
        variant=config.variant,
        os=config.os or "linux",
        os_version=config.os_version,
        size=image.size,
        graph_driver=DriverData(name=DRIVER, data=dict(graph)),
        root_fs=RootFS(type=config.rootfs.type, layers=config.diff_ids),
        metadata=ImageMetadata(last_tag_time=codec.format_time(image.tagged)),
        config=wire_config(config.run),
    )


def wire_config(run: RunConfig) -> ImageConfig:
    """An image's own config as inspect shows it."""
    return ImageConfig(
        args_escaped=run.args_escaped,
        cmd=run.cmd,
        entrypoint=run.entrypoint,
        env=run.env,
        exposed_ports={port: Empty() for port in run.exposed_ports or {}},
        healthcheck=_wire_health(run.healthcheck),
        labels=run.labels,
        on_build=run.on_build,
        shell=run.shell or [],
        stop_signal=run.stop_signal,
        user=run.user,
        volumes=None if run.volumes is None else {path: Empty() for path in run.volumes},
        working_dir=run.working_dir,
    )


def _wire_health(health: Healthcheck | None) -> ImageHealth | None:
    if health is None:
        return None
    return ImageHealth(
        test=health.test or [],
        interval=health.interval,
        timeout=health.timeout,
        start_period=health.start_period,
        start_interval=health.start_interval,
        retries=health.retries,
    )


def history(image: Image, layer_size: Callable[[Digest], int], ancestors: Sequence[Image]) -> list[HistoryItem]:
    """The steps that made an image, newest first. `ancestors` are those of its parents that are here, nearest first."""
    items: list[HistoryItem] = []
    layers = iter(image.chain_ids)
    for step in image.config.history or []:
        layer = None if step.empty_layer else next(layers, None)
        items.insert(
            0,
            HistoryItem(
                id=_MISSING,
                created=created_ns(step.created) // _SECOND,
                created_by=step.created_by,
                comment=step.comment,
                size=layer_size(layer) if layer else 0,
            ),
        )
    for item, known in zip(items, (image, *ancestors), strict=False):
        item.id = known.id
        item.tags = known.repo_tags or None
    return items
