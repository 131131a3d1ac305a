"""One running daemon: its objects, composed inside out, how they begin and end, and what one noun asks of another."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sampan import __version__
from sampan.config import Config
from sampan.daemon import settings
from sampan.engine.containers.archives import Archives
from sampan.engine.containers.bundles import Bundles
from sampan.engine.containers.committing import Committing
from sampan.engine.containers.control import Control
from sampan.engine.containers.create import Creator
from sampan.engine.containers.execs import Execs
from sampan.engine.containers.freezing import Freezing
from sampan.engine.containers.groups import Groups
from sampan.engine.containers.health import HealthChecks
from sampan.engine.containers.launcher import Launcher, exit_of
from sampan.engine.containers.layers import ContainerLayers
from sampan.engine.containers.lifecycle import Lifecycle, patience_of
from sampan.engine.containers.links import Links
from sampan.engine.containers.logreading import LogReading
from sampan.engine.containers.observing import Observing
from sampan.engine.containers.probing import Prober
from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.recovery import Recovery
from sampan.engine.containers.rootfs import Rootfs
from sampan.engine.containers.roots import Roots
from sampan.engine.containers.service import Containers
from sampan.engine.containers.spec.validate import adjust, validate
from sampan.engine.containers.stats import Machine
from sampan.engine.containers.surroundings import Surroundings
from sampan.engine.containers.table import Container, Table
from sampan.engine.containers.updating import Updating
from sampan.engine.events import EventBus
from sampan.engine.images.registry import Registries
from sampan.engine.images.service import ImageService
from sampan.engine.images.sources import Sources
from sampan.engine.networks.service import Networks
from sampan.engine.system import Counts, System
from sampan.engine.tasks import Supervisor
from sampan.engine.usage import Usage
from sampan.engine.volumes.service import Volumes
from sampan.errors import DataLoss, Exhausted, SampanError
from sampan.images.service import Images
from sampan.kernel import facts
from sampan.monitor.client import MonitorClient, ProcessInfo
from sampan.server.app import ApiServer
from sampan.server.routes import Backends, build_routes
from sampan.store.db import Database, is_full
from sampan.store.paths import DataPaths, RunPaths
from sampan.wire.containers import CreateRequest

if TYPE_CHECKING:
    from sampan.images.remote import Remote
    from sampan.images.transfers import Transfers

log = logging.getLogger("sampan.daemon")

MONITOR_PATIENCE = 2.0
"""Seconds that the monitor may take to end after the last container."""


def open_database(path: Path) -> Database:
    """The rows. Raises DataLoss for a file that is no database or a damaged one."""
    try:
        return Database(path)
    except sqlite3.DatabaseError as error:
        if is_full(error):
            raise Exhausted(f"{path} can't be opened: no space left on device") from None
        raise DataLoss(
            f"{path} can't be read ({error}): restore it from a backup, or move the data root away to begin anew"
        ) from None


class Daemon:
    """Every object of one daemon, and the order in which they begin and end."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.paths, self.run = DataPaths(config.data_root), RunPaths(config.exec_root)
        self.host = facts.gather()
        self.tasks = Supervisor()
        self.events = EventBus()
        self._image_names: dict[tuple[str, str], str] = {}
        self.events.watch("image", self._image_names.clear)
        self.database = open_database(self.paths.database)
        self.table = Table(self.database)
        self.images = Images(self.database, self.paths, self.events, self._containers_of_image)
        self.snapshots = self.images.snapshots
        self.remote: Remote | None = None
        self._transfers: Transfers | None = None
        self.volumes = Volumes(self.database, self.paths, self.events.emit, self._containers_of_volume)
        self.networks = Networks(self.database, config, self.table, self.events.emit)
        self.surroundings = Surroundings(self.networks.network_of, self.events.emit)
        self.monitor = MonitorClient(self.run, self._process_exited, self._runtime_deleted)
        self.rootfs = Rootfs(self.snapshots.view, self.snapshots.view_reading, self.snapshots.upper)
        self.links = Links(self.table, self._bridge_address)
        self.launcher = Launcher(
            self.monitor,
            self.table,
            self.snapshots,
            self.rootfs,
            self.networks,
            self.volumes,
            Bundles(
                self.table,
                self.snapshots,
                self.paths,
                self.run,
                settings.runtime_settings(config, self.host),
                self.links,
            ),
        )
        self.groups = Groups(self.host.cgroups, self.launcher.bundles.cgroup_path)
        self.freezing = Freezing(self.table, self.groups, self._container_event)
        self.lifecycle = Lifecycle(
            self.table, self.launcher, self._container_event, self.tasks, thaw=self.freezing.thaw
        )
        self.execs = Execs(self.table, self.launcher, self._container_event)
        self.health = HealthChecks(
            self.table,
            Prober(self.execs, self.launcher.kill_process),
            self._container_event,
            self.tasks,
            lambda container: self.lifecycle.restart(container, None, None),
        )
        self.lifecycle.on_started.append(self.health.begin)
        self.lifecycle.on_exited += [self.health.end, self.execs.forget_unstarted]
        self.lifecycle.on_removed.append(self.execs.forget)
        self.containers = self._containers()
        self.system = System(
            settings.system_facts(config, self.host, self.launcher.bundles.settings),
            self._counts,
            lambda: self.events.listeners,
        )
        backends = Backends(
            system=self.system,
            events=self.events,
            containers=self.containers,
            control=self._control(),
            observe=Observing(
                self.table,
                self.groups,
                self._container_event,
                Machine(self.host.memory, self.host.cgroups.version == 2),
            ),
            archives=Archives(
                self.table,
                Roots(self.snapshots.view, self.snapshots.view_reading, self.paths, self.run),
                self.images.changes,
                self._container_event,
            ),
            commit=Committing(self.table, self.freezing, self.images, self._container_event),
            usage=Usage(
                lambda: self.images.list(shared_size=True),
                self.snapshots.layers,
                self.containers,
                self.volumes,
                self.paths,
            ),
            attach=self.containers,
            execs=self.containers,
            images=ImageService(self.images),
            sources=Sources(self.images, self.transfers),
            registry=Registries(self.images, self.transfers),
            volumes=self.volumes,
            networks=self.networks,
        )
        self.server = ApiServer(build_routes(backends), program=f"Sampan/{__version__}")

    def _containers(self) -> Containers:
        creator = Creator(
            self.table,
            self.images,
            self.volumes,
            self.rootfs,
            self.paths,
            settings.container_defaults(self.config, self.host),
            self._validate,
            lambda host: adjust(host, self.host),
            self.links,
            self._container_event,
            self.host.hostname,
        )
        return Containers(
            table=self.table,
            creator=creator,
            lifecycle=self.lifecycle,
            execs=self.execs,
            processes=self.launcher,
            read_log=LogReading(self.paths),
            networks=self.networks,
            links=self.links,
            snapshots=ContainerLayers(self.snapshots, self.run, self.images.size_of),
            paths=self.paths,
            emit=self._container_event,
            emit_prune=lambda freed: self.events.emit("container", "prune", "", {"reclaimed": str(freed)}),
            ancestors=self.images.descendants,
            image_name=self._image_name,
        )

    def _control(self) -> Control:
        updating = Updating(self.table, self.groups, self._container_event, self.host)
        return Control(self.table, self.freezing, updating)

    def _validate(self, request: CreateRequest) -> list[str]:
        if request.host_config is not None and request.host_config.runtime:
            self.launcher.bundles.runtime_path(request.host_config.runtime)
        return validate(request, self.host)

    # life

    async def recover(self) -> None:
        """Finish or undo what the last daemon left, then go on with what runs."""
        self.run.consoles.mkdir(mode=0o700, exist_ok=True)
        self.volumes.recover()
        await asyncio.to_thread(self.images.recover)
        await Recovery(
            self.table,
            self.lifecycle,
            self.launcher,
            self.monitor,
            self.tasks,
            self.images.forget_snapshots,
        ).run()
        await self.networks.recover()

    def reconfigure(self, config: Config) -> None:
        """Go on with other live settings, and tell of it. Raises InvalidArgument, and then nothing has changed."""
        runtime_settings = replace(self.launcher.bundles.settings, runtimes=settings.runtimes(config))
        self.config = config
        self.launcher.bundles.settings = runtime_settings
        self.containers.creator.defaults = settings.container_defaults(config, self.host)
        self.system.facts = settings.system_facts(config, self.host, runtime_settings)
        if self.remote is not None:
            self.remote.reconfigure(settings.remote_settings(config))
        attributes = settings.live_attributes(config, self.host)
        self.events.emit("daemon", "reload", self.system.facts.id, attributes)

    async def stop(self) -> None:
        """Answer what is in flight, stop the containers unless they are to live on, and let go of everything."""
        self.lifecycle.closing = True
        await self.server.close(grace=1.0)
        if not self.config.live_restore:
            await self._stop_containers()
        self.health.close()
        await self.tasks.drain(2.0)
        running = any(container.running for container in self.table)
        await self._leave_monitor(running)
        await self.networks.close(running)
        if self.remote is not None:
            await self.remote.close()
        self.images.close()
        self.database.close()
        if not running:
            self._remove_cgroup_parent()

    async def _leave_monitor(self, running: bool) -> None:
        """The monitor goes on while containers run; without any it ends, and we see it off."""
        pid = self.monitor.pid
        with suppress(SampanError):
            await self.monitor.quit_when_empty()
        self.monitor.close()
        if pid and not running:
            with suppress(TimeoutError, ProcessLookupError):
                await asyncio.wait_for(ended(pid), MONITOR_PATIENCE)

    async def _stop_containers(self) -> None:
        """All at once, each with the patience that it has itself, as `docker stop` would."""
        for container in self.table:
            if container.restarting is not None:
                container.restarting.cancel()
        stopping = {
            asyncio.create_task(self.lifecycle.stop(container, None, None)): container
            for container in self.table
            if container.running
        }
        if not stopping:
            return
        own = [patience_of(container) for container in stopping.values()]
        done, late = await asyncio.wait(stopping, timeout=settings.shutdown_patience(self.config, own))
        for task in late:
            task.cancel()
            log.warning("container %s did not stop in time and is left", stopping[task].name)
        for task in done:
            if error := task.exception():
                log.warning("container %s did not stop: %s", stopping[task].name, error)

    def _remove_cgroup_parent(self) -> None:
        parent = settings.cgroup_parent(self.config)
        for directory in self.host.cgroups.directories(f"/{parent.strip('/')}"):
            with suppress(OSError):
                directory.rmdir()

    # news

    def _process_exited(self, info: ProcessInfo) -> None:
        container = self.table.get(info.id)
        if container is not None:
            self.lifecycle.process_exited(container, exit_of(info))
        elif not self.execs.process_exited(info.id, exit_of(info)):
            self.launcher.forget_exec(info.id)

    def _runtime_deleted(self, process_id: str, error: str | None) -> None:
        container = self.table.get(process_id) or self.lifecycle.leaving.get(process_id)
        if container is not None:
            container.deleted.set()
        if error:
            log.warning("the runtime could not clear up %s: %s", process_id, error)

    def _container_event(self, container: Container, action: str, extra: Mapping[str, str] | None = None) -> None:
        record = container.record
        if action == "start":
            self.surroundings.taken(record)
        elif action == "die":
            self.surroundings.left(record)
        attributes = dict(record.config.labels or {})
        attributes |= {"image": record.image_name, "name": record.name, **(extra or {})}
        self.events.emit("container", action, container.id, attributes)

    # questions of one noun to another

    def _bridge_address(self, record: ContainerRecord) -> str:
        endpoints = self.networks.endpoints(record.id, record.host_config.network_mode)
        return endpoints["bridge"].ip_address if "bridge" in endpoints else ""

    def _containers_of_image(self, image_id: str) -> list[Container]:
        return [container for container in self.table if container.record.image_id == image_id]

    def _containers_of_volume(self, name: str) -> list[str]:
        return [c.id for c in self.table if any(point.name == name for point in c.record.mounts)]

    def _image_name(self, name: str, image_id: str) -> str:
        """What a list shows for a container's image: the name it was made from, while that still means the image."""
        shown = self._image_names.get((name, image_id))
        if shown is None:
            try:
                shown = name if self.images.resolve(name).id == image_id else image_id
            except SampanError:
                shown = image_id
            self._image_names[name, image_id] = shown
        return shown

    def _counts(self) -> Counts:
        statuses = [container.record.state.status for container in self.table]
        running, paused = sum(s in ("running", "restarting") for s in statuses), statuses.count("paused")
        return Counts(running, paused, len(statuses) - running - paused, self.images.count())

    def transfers(self) -> Transfers:
        """Pulls and pushes. The client of registries is loaded when it is first needed: it is large."""
        if self._transfers is None:
            from sampan.images.remote import Remote

            self.remote = Remote(settings.remote_settings(self.config))
            self._transfers = self.images.transfers(self.remote)
        return self._transfers


async def ended(pid: int) -> None:
    """Wait until a process has ended. Raises ProcessLookupError when it is gone already."""
    descriptor = os.pidfd_open(pid)
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
