"""Making a container: POST /containers/create.

Everything is checked before anything is made. Then: name reserved, row written with the intent `create`, snapshot,
volumes, files, and last the row without intent. What fails on the way is undone in reverse; what a crash leaves, the
next start undoes by the intent.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from sampan.engine.containers import names
from sampan.engine.containers.lifecycle import Emit
from sampan.engine.containers.links import Links
from sampan.engine.containers.logs import plan_log
from sampan.engine.containers.merge import Defaults, complete_host, config_of, merge_image
from sampan.engine.containers.mounts import Wanted, from_point, parse_volumes_from, wanted_mounts, with_mode
from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.rootfs import Rootfs, copy_into_volume, make_directory
from sampan.engine.containers.signals import parse_signal
from sampan.engine.containers.spec.users import User
from sampan.engine.containers.table import Container, Table
from sampan.errors import InvalidArgument, NotFound, SampanError
from sampan.kernel.mounts import within
from sampan.store.files import full_disk_told
from sampan.store.paths import DataPaths
from sampan.wire.containers import (
    ContainerConfig,
    CreateRequest,
    CreateResponse,
    HostConfig,
    MountPoint,
    NetworkingConfig,
)


class ImageSource(Protocol):
    """The images, as creating needs them."""

    def resolve(self, ref: str, platform: str | None = None) -> Any:
        """The image; raises NotFound in docker's words."""

    async def prepare(self, image_id: str, key: str) -> None:
        """Make the container's snapshot on the image."""

    async def discard(self, key: str) -> None:
        """Remove a container's snapshot."""


class VolumeSource(Protocol):
    """The volumes, as creating needs them."""

    def mountpoint(self, name: str) -> Path: ...

    async def acquire(
        self, name: str, driver: str, options: dict[str, str], labels: dict[str, str] | None, anonymous: bool
    ) -> Any: ...

    async def remove(self, name: str, force: bool = False) -> None: ...


Validate = Callable[[CreateRequest], list[str]]
Adjust = Callable[[HostConfig], HostConfig]


_LINKABLE = ("bridge", "none")
"""Modes with the default bridge or nothing; networks of one's own know names by themselves."""


@dataclass
class Creator:
    """Makes containers. `validate` checks single values and returns warnings, `adjust` drops what those warn of."""

    table: Table
    images: ImageSource
    volumes: VolumeSource
    rootfs: Rootfs
    paths: DataPaths
    defaults: Defaults
    validate: Validate
    adjust: Adjust
    links: Links
    emit: Emit
    host_name: str

    async def create(
        self, request: CreateRequest, name: str | None, platform: str | None, shallow_read_only: bool = False
    ) -> CreateResponse:
        """Make a container. Raises InvalidArgument, NotFound (image), Conflict (name), ..."""
        config = config_of(request)
        host = request.host_config or HostConfig()
        networking = request.networking_config or NetworkingConfig()
        wished = names.check_name(name) if name else ""
        warnings = self._check(request)
        image = self.images.resolve(config.image, platform)
        merged = merge_image(config, image.config.run)
        _refuse_nul(merged)
        container_id = names.new_id()
        record = self._record(container_id, merged, host, networking, image, config.image)
        record.shallow_read_only = shallow_read_only
        wanted = wanted_mounts(merged, record.host_config, self._inherited(host), str(self.paths.root))
        if record.host_config.network_mode in _LINKABLE:
            record.links = self.links.resolve(host.links or ())
        record.name = self._reserve(wished, container_id)
        container = Container(record)
        try:
            await self._make(container, wanted)
        except BaseException:
            self.table.release(record.name, container_id)
            raise
        self.table.enter(container)
        self.emit(container, "create")
        return CreateResponse(id=container_id, warnings=warnings)

    def _check(self, request: CreateRequest) -> list[str]:
        if request == CreateRequest():
            raise InvalidArgument("config cannot be empty in order to create a container")
        if request.stop_signal:
            parse_signal(request.stop_signal)
        return self.validate(request)

    def _record(
        self,
        container_id: str,
        config: ContainerConfig,
        host: HostConfig,
        networking: NetworkingConfig,
        image: Any,
        image_name: str,
    ) -> ContainerRecord:
        host = self.adjust(complete_host(host, self.defaults))
        plan_log(host.log_config, config)
        driver = host.log_config.type
        if config.working_dir:
            config = msgspec.structs.replace(config, working_dir=posixpath.normpath(config.working_dir))
        host = self._joined(host)
        if not config.hostname:
            own = self.host_name if host.network_mode == "host" else container_id[:12]
            config = msgspec.structs.replace(config, hostname=own)
        path = "" if driver == "none" else str(self.paths.container_log(container_id, driver))
        return ContainerRecord(
            id=container_id,
            name="",
            created=time.time_ns(),
            image_id=image.id,
            image_name=image_name,
            platform="linux",
            config=config,
            host_config=host,
            networking=networking,
            mounts=[],
            log_path=path if driver == "json-file" else "",
            intent="create",
        )

    def _joined(self, host: HostConfig) -> HostConfig:
        """`container:NAME` becomes `container:ID`, where there is such a container."""

        def resolved(mode: str) -> str:
            if not mode.startswith("container:"):
                return mode
            try:
                return f"container:{self.table.find(mode.removeprefix('container:')).id}"
            except SampanError:
                return mode

        return msgspec.structs.replace(
            host,
            network_mode=resolved(host.network_mode),
            pid_mode=self._must_be(resolved(host.pid_mode)),
            ipc_mode=self._must_be(resolved(host.ipc_mode)),
        )

    def _must_be(self, mode: str) -> str:
        """`mode`, whose container must be there. Raises InvalidArgument."""
        if mode.startswith("container:"):
            self._other(mode.removeprefix("container:"))
        return mode

    def _other(self, ref: str) -> Container:
        """A container that the request names. A missing one is no 404: clients would take the image to be missing."""
        try:
            return self.table.find(ref)
        except NotFound as error:
            raise InvalidArgument(str(error)) from None

    def _reserve(self, wished: str, container_id: str) -> str:
        if wished:
            self.table.reserve(wished, container_id)
            return wished
        name = names.random_name()
        while self.table.named(name):
            name = f"{names.random_name()}{len(self.table) % 10}"
        self.table.reserve(name, container_id)
        return name

    def _inherited(self, host: HostConfig) -> list[Wanted]:
        wishes: list[Wanted] = []
        for text in host.volumes_from or ():
            ref, mode = parse_volumes_from(text)
            other = self._other(ref).record
            wishes += [from_point(with_mode(p, mode), other.subpaths.get(p.destination, "")) for p in other.mounts]
        return wishes

    def _point(self, wish: Wanted) -> MountPoint:
        """The mount as it will be; an anonymous volume gets its name here, so that the row knows it from the start."""
        if wish.kind != "volume":
            return wish.point()
        name = wish.source or secrets.token_hex(32)
        return wish.point(name, str(self.volumes.mountpoint(name)))

    async def _make(self, container: Container, wanted: Sequence[Wanted]) -> None:
        record = container.record
        record.mounts = [self._point(wish) for wish in wanted]
        record.subpaths = {wish.target: wish.subpath for wish in wanted if wish.subpath}
        async with AsyncExitStack() as undo:
            undo.enter_context(full_disk_told("making the container"))
            await self.table.insert(container)
            undo.push_async_callback(self.table.delete, container)
            await self.images.prepare(record.image_id, record.id)
            undo.push_async_callback(self.images.discard, record.id)
            fillable = []
            for wish, point in zip(wanted, record.mounts, strict=True):
                if wish.kind == "volume":
                    await self._make_volume(wish, point.name, undo)
                    fillable += [] if wish.no_copy else [point]
            await self._fill(record, fillable)
            record.intent = ""
            await self.table.save(container)
            undo.pop_all()

    async def _make_volume(self, wish: Wanted, name: str, undo: AsyncExitStack) -> None:
        options = wish.spec.volume_options if wish.spec else None
        driver_options = options.driver_config.options if options and options.driver_config else {}
        labels = options.labels if options else None
        await self.volumes.acquire(name, wish.driver, driver_options, labels or None, wish.anonymous)
        if wish.anonymous:
            undo.push_async_callback(self.volumes.remove, name, True)

    async def _fill(self, record: ContainerRecord, points: Sequence[MountPoint]) -> None:
        """Make the working directory and copy the image's files into empty volumes, where there is need."""
        needs_directory = record.config.working_dir not in ("", "/") and not await self.rootfs.image_has_directory(
            record.image_id, record.id, record.config.working_dir
        )
        if points or needs_directory:
            owner = await self.rootfs.user(record) if needs_directory else User()
            await asyncio.to_thread(self._fill_blocking, record, points, needs_directory, owner)

    def _fill_blocking(
        self, record: ContainerRecord, points: Sequence[MountPoint], needs_directory: bool, owner: User
    ) -> None:
        with self.rootfs.view(record.id) as root:
            if needs_directory:
                make_directory(root, record.config.working_dir, owner.uid, owner.gid)
            for point in points:
                with _part(point.source, record.subpaths.get(point.destination, ".")) as source:
                    if source and stat.S_ISDIR(os.stat(source).st_mode):
                        copy_into_volume(root, point.destination, source)


def _refuse_nul(config: ContainerConfig) -> None:
    """No request has a NUL, but an image may."""
    lists = (config.env, config.cmd, config.entrypoint)
    texts = [config.working_dir, config.user, *(text for texts in lists for text in texts or ())]
    if any("\0" in text for text in texts):
        raise InvalidArgument(f"the image {config.image} has a NUL character in its configuration")


@contextmanager
def _part(volume: str, subpath: str) -> Iterator[str]:
    """A path to a part of a volume; "" where there is no such part, which the start will refuse."""
    with ExitStack() as stack:
        try:
            path = stack.enter_context(within(volume, subpath))
        except OSError:
            path = ""
        yield path
