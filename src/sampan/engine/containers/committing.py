"""POST /commit: a container's changes become an image on its image.

config (the request's, else the container's) ─ changes ─ completed by the container's ─> the image's config
pause ─ pack the container's layer ─ image, tag ─ unpause
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from sampan.engine.containers.freezing import Freezing
from sampan.engine.containers.lifecycle import Emit
from sampan.engine.containers.merge import merge_image
from sampan.engine.containers.table import Container, Table
from sampan.errors import Conflict, SampanError
from sampan.images.changes import apply_changes
from sampan.images.commit import CommitRequest
from sampan.oci.digest import Digest
from sampan.oci.documents import Healthcheck, RunConfig
from sampan.oci.reference import Reference
from sampan.wire.base import Empty
from sampan.wire.containers import ContainerConfig, HealthConfig
from sampan.wire.images import CommitResponse


class Images(Protocol):
    """What it takes of the images."""

    async def commit(self, request: CommitRequest, image_id: str, repository: str = "", tag: str = "") -> Digest:
        """The new image's id. Raises InvalidArgument, NotFound."""


class Committing:
    """One per daemon."""

    def __init__(self, table: Table, freezing: Freezing, images: Images, emit: Emit) -> None:
        self._table = table
        self._freezing = freezing
        self._images = images
        self._emit = emit

    async def commit(
        self,
        ref: str,
        *,
        repo: str,
        tag: str,
        comment: str,
        author: str,
        pause: bool,
        changes: Sequence[str],
        config: ContainerConfig | None,
    ) -> CommitResponse:
        """Make the image; it is tagged when `repo` is given. Raises NotFound, Conflict, InvalidArgument."""
        container = self._table.find(ref)
        record = container.record
        if container.removing:
            raise Conflict(f"You cannot commit container {container.id} which is being removed")
        run = image_config(config, record.config, changes)
        name = Reference.parse(f"{repo}:{tag}" if tag else repo).with_default_tag().familiar if repo else ""
        request = CommitRequest(container.id, run, author, comment, " ".join(record.config.cmd or ()))
        async with self._standing_still(container, pause):
            with self._table.standing(container, ref):
                identity = await self._images.commit(request, record.image_id, repo, tag)
            self._emit(container, "commit", {"comment": comment, "imageID": identity, "imageRef": name})
        return CommitResponse(id=identity)

    @asynccontextmanager
    async def _standing_still(self, container: Container, pause: bool) -> AsyncIterator[None]:
        """The container is paused for the block, if it runs and that is wanted; it may end at any moment."""
        paused = False
        if pause and container.record.state.status == "running":
            with suppress(Conflict):
                await self._freezing.pause(container)
                paused = True
        try:
            yield
        finally:
            if paused:
                with suppress(SampanError):
                    await self._freezing.unpause(container)


def image_config(given: ContainerConfig | None, own: ContainerConfig, changes: Sequence[str]) -> RunConfig:
    """The config of the new image: `given` or the container's `own` with the changes, completed by its own.

    Raises InvalidArgument for an instruction that can't be.
    """
    changed = apply_changes(run_config(given or own), changes)
    return run_config(merge_image(_container_config(changed), run_config(own)))


def run_config(config: ContainerConfig) -> RunConfig:
    """What of a container's configuration an image takes over."""
    return RunConfig(
        user=config.user,
        exposed_ports={port: {} for port in config.exposed_ports} or None,
        env=config.env,
        cmd=config.cmd,
        healthcheck=_health(config.healthcheck),
        args_escaped=config.args_escaped,
        volumes={path: {} for path in config.volumes or ()} or None,
        working_dir=config.working_dir,
        entrypoint=config.entrypoint,
        on_build=config.on_build,
        labels=config.labels or None,
        stop_signal=config.stop_signal,
        stop_timeout=config.stop_timeout,
        shell=config.shell or None,
    )


def _container_config(run: RunConfig) -> ContainerConfig:
    health = run.healthcheck
    return ContainerConfig(
        user=run.user,
        exposed_ports={port: Empty() for port in run.exposed_ports or ()},
        env=run.env,
        cmd=run.cmd,
        healthcheck=None if health is None else _wire_health(health),
        args_escaped=run.args_escaped,
        volumes=None if run.volumes is None else {path: Empty() for path in run.volumes},
        working_dir=run.working_dir,
        entrypoint=run.entrypoint,
        on_build=run.on_build,
        labels=run.labels,
        stop_signal=run.stop_signal,
        stop_timeout=run.stop_timeout,
        shell=run.shell or [],
    )


def _health(health: HealthConfig | None) -> Healthcheck | None:
    if health is None:
        return None
    return Healthcheck(**{name: getattr(health, name) for name in Healthcheck.__struct_fields__})


def _wire_health(health: Healthcheck) -> HealthConfig:
    values = {name: getattr(health, name) for name in Healthcheck.__struct_fields__}
    return HealthConfig(**values | {"test": health.test or []})
