"""The containers service: what the API's routes call. It finds the container and hands on to the part that does it.

create.Creator      making             lifecycle.Lifecycle   start, stop, kill, restart, wait, remove, exits
execs.Execs         commands           streams               attaching
listing, render     reading            recovery              after a start of the daemon
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from sampan.engine.containers import listing, names, render
from sampan.engine.containers.create import Creator
from sampan.engine.containers.detachkeys import parse_detach_keys
from sampan.engine.containers.execs import Execs
from sampan.engine.containers.lifecycle import Lifecycle
from sampan.engine.containers.links import Links
from sampan.engine.containers.logs import READABLE
from sampan.engine.containers.streams import AttachSession
from sampan.engine.containers.table import Container, Table
from sampan.errors import Conflict, InvalidArgument, NotFound, NotImplementedYet
from sampan.monitor.client import Channel
from sampan.store.paths import DataPaths
from sampan.wire.containers import (
    ContainerInspect,
    ContainerSummary,
    CreateRequest,
    CreateResponse,
    NetworkSettings,
    PruneReport,
    WaitResponse,
)
from sampan.wire.exec import ExecCreateRequest, ExecInspect, ExecStartRequest
from sampan.wire.networks import EndpointSettings

Filters = Mapping[str, list[str]]


@dataclass(frozen=True)
class LogOptions:
    """What GET .../logs asks for; times in nanoseconds since 1970, `tail` in lines (None: all)."""

    stdout: bool = False
    stderr: bool = False
    follow: bool = False
    since: int | None = None
    until: int | None = None
    tail: int | None = None
    timestamps: bool = False
    details: bool = False


@dataclass(frozen=True)
class LogStream:
    """A container's log as bytes: raw for a terminal, else in stdcopy frames."""

    tty: bool
    chunks: AsyncIterator[bytes]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks


@dataclass(frozen=True)
class AttachOptions:
    """What POST .../attach asks for."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    stream: bool = False
    logs: bool = False
    detach_keys: str = ""


class Processes(Protocol):
    """The live side of containers, as the service needs it."""

    async def attach(self, container: Container, channel: Channel) -> None:
        """Give the monitor's end of a channel to a running container."""

    async def resize(self, process_id: str, height: int, width: int) -> None: ...


class LogReader(Protocol):
    """Opens a container's log."""

    def __call__(
        self, container: Container, options: LogOptions, ended: asyncio.Event
    ) -> AsyncGenerator[bytes, None]: ...


class Networks(Protocol):
    """What containers' networks look like to inspect and list."""

    def endpoints(self, container_id: str, network_mode: str) -> dict[str, EndpointSettings]: ...

    def settings(self, container: Container) -> NetworkSettings: ...

    def ports(self, container: Container) -> render.Ports: ...

    def names(self, container: Container) -> list[str]: ...


class Snapshots(Protocol):
    """A container's layer, as inspect and size need it."""

    def graph(self, container: Container) -> dict[str, str]: ...

    async def sizes(self, container: Container) -> tuple[int, int]:
        """Bytes of the container's own layer, and of it with its image."""


@dataclass
class Containers:
    """One per daemon. `ancestors` gives the ids that the filter `ancestor` means, `image_name` what a list shows."""

    table: Table
    creator: Creator
    lifecycle: Lifecycle
    execs: Execs
    processes: Processes
    read_log: LogReader
    networks: Networks
    links: Links
    snapshots: Snapshots
    paths: DataPaths
    emit: Callable[..., None]
    emit_prune: Callable[[int], None]
    ancestors: Callable[[str], set[str]]
    image_name: Callable[[str, str], str]

    # making and reading

    async def create(
        self, request: CreateRequest, name: str | None, platform: str | None, shallow_read_only: bool = False
    ) -> CreateResponse:
        """POST /containers/create."""
        return await self.creator.create(request, name, platform, shallow_read_only)

    def list(self, all: bool, limit: int, filters: Filters) -> Sequence[ContainerSummary]:
        """GET /containers/json, without sizes."""
        names = self.links.names()
        return [self._summary(item, names) for item in self._select(all, limit, filters)]

    async def list_with_sizes(self, all: bool, limit: int, filters: Filters) -> Sequence[ContainerSummary]:
        """GET /containers/json?size=1: walks every container's layer."""
        rows = []
        names = self.links.names()
        for item in self._select(all, limit, filters):
            row = self._summary(item, names)
            if (container := self.table.get(item.record.id)) is None:
                continue
            with suppress(NotFound), self.table.standing(container, container.id):
                row.size_rw, row.size_root_fs = await self.snapshots.sizes(container)
                rows.append(row)
        return rows

    def _select(self, all: bool, limit: int, filters: Filters) -> Sequence[listing.Listed]:
        listed = [self._listed(container, "network" in filters) for container in self.table]
        return listing.select(listed, all, limit, filters, self.ancestors)

    def _listed(self, container: Container, with_networks: bool) -> listing.Listed:
        health = container.record.state.health_report
        networks = self.networks.names(container) if with_networks else ()
        return listing.Listed(container.record, self._status(container), health.status if health else "", networks)

    def _summary(self, item: listing.Listed, names: Mapping[str, Sequence[str]]) -> ContainerSummary:
        record = item.record
        container = self.table.get(record.id)
        return render.render_summary(
            record,
            item.status,
            record.state.health_report,
            self.image_name(record.image_name, record.image_id),
            self.networks.endpoints(record.id, record.host_config.network_mode),
            self.networks.ports(container) if container else {},
            names.get(record.id, ()),
        )

    def _status(self, container: Container) -> str:
        return render.status_of(container.record.state, container.removing)

    async def inspect(self, ref: str, size: bool = False) -> ContainerInspect:
        """GET /containers/{id}/json."""
        container = self.table.find(ref)
        state = render.render_state(container.record.state, container.removing, container.record.state.health_report)
        document = render.render_inspect(
            container.record,
            state,
            self.paths.container(self._owner_of_files(container)),
            self.execs.running_ids(container),
            self.snapshots.graph(container),
            self.networks.settings(container),
        )
        document.host_config = msgspec.structs.replace(document.host_config, links=self.links.shown(container.record))
        if size:
            with self.table.standing(container, ref):
                document.size_rw, document.size_root_fs = await self.snapshots.sizes(container)
        return document

    def _owner_of_files(self, container: Container) -> str:
        """Whose hosts, hostname and resolv.conf it has: those of the container whose network it joins."""
        mode = container.record.host_config.network_mode
        joined = self.table.get(mode.removeprefix("container:")) if mode.startswith("container:") else None
        return joined.id if joined else container.id

    # life cycle

    async def start(self, ref: str, detach_keys: str = "") -> None:
        """POST .../start."""
        parse_detach_keys(detach_keys)
        await self.lifecycle.start(self.table.find(ref))

    async def stop(self, ref: str, timeout: int | None, signal: str | None) -> None:
        """POST .../stop."""
        await self.lifecycle.stop(self.table.find(ref), timeout, signal)

    async def restart(self, ref: str, timeout: int | None, signal: str | None) -> None:
        """POST .../restart."""
        await self.lifecycle.restart(self.table.find(ref), timeout, signal)

    async def kill(self, ref: str, signal: str) -> None:
        """POST .../kill."""
        try:
            container = self.table.find(ref)
        except NotFound as error:
            raise NotFound(f"cannot kill container: {ref}: {error}") from None
        await self.lifecycle.kill(container, signal)

    async def wait(self, ref: str, condition: str) -> Awaitable[WaitResponse]:
        """POST .../wait: the first await registers, the second is the exit."""
        return self.lifecycle.wait(self.table.find(ref), condition)

    async def remove(self, ref: str, force: bool, volumes: bool, link: bool) -> None:
        """DELETE /containers/{id}."""
        container = self.table.find(ref)
        if link:
            await self.links.remove(ref)
            return
        await self.lifecycle.remove(container, force, volumes)

    async def rename(self, ref: str, new: str) -> None:
        """POST .../rename. Raises InvalidArgument, Conflict."""
        container = self.table.find(ref)
        if not new:
            raise InvalidArgument("Neither old nor new names may be empty")
        try:
            name = names.check_name("/" + new.removeprefix("/"))
        except InvalidArgument as error:
            raise InvalidArgument(f"Error when allocating new name: {error}") from None
        async with container.queue:
            old = container.name
            if name == old:
                raise InvalidArgument("Renaming a container with the same name as its current name")
            if container.removing:
                raise Conflict(f"container {old} is being removed")
            try:
                await self.table.rename(container, name)
            except Conflict as error:
                raise Conflict(f"Error when allocating new name: {error}") from None
        self.emit(container, "rename", {"oldName": f"/{old}"})

    async def resize(self, ref: str, height: int, width: int) -> None:
        """POST .../resize."""
        container = self.table.find(ref)
        if not container.running:
            raise Conflict(f"container {container.id} is not running")
        await self.processes.resize(container.id, height, width)
        self.emit(container, "resize", {"height": str(height), "width": str(width)})

    async def prune(self, filters: Filters) -> PruneReport:
        """POST /containers/prune: removes what does not run."""
        from sampan.engine.containers.prune import prune

        report = await prune(self.table, self.lifecycle, self.snapshots, filters)
        self.emit_prune(report.space_reclaimed)
        return report

    # output and input

    async def logs(self, ref: str, options: LogOptions) -> LogStream:
        """GET .../logs. Raises NotImplementedYet for a driver that can't be read."""
        container = self.table.find(ref)
        if not (options.stdout or options.stderr):
            raise InvalidArgument("Bad parameters: you must choose at least one stream")
        return LogStream(container.record.config.tty, self._log_chunks(container, options))

    def _log_chunks(self, container: Container, options: LogOptions) -> AsyncGenerator[bytes, None]:
        driver = container.record.host_config.log_config.type
        if driver not in READABLE:
            raise NotImplementedYet(f"configured logging driver does not support reading: {driver}")
        return self._follow_log(container, options)

    async def _follow_log(self, container: Container, options: LogOptions) -> AsyncGenerator[bytes, None]:
        ended = asyncio.Event()
        exit = None
        if container.running or container.starting or container.record.state.status == "restarting":
            exit = self.lifecycle.next_exit(container)
            exit.add_done_callback(lambda _: ended.set())
        else:
            ended.set()
        try:
            async with aclosing(self.read_log(container, options, ended)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            if exit is not None:
                exit.cancel()

    async def attach(self, ref: str, options: AttachOptions) -> AttachSession:
        """POST .../attach. Raises Conflict for a paused or restarting container, InvalidArgument for bad keys.

        The output so far and what follows come without a gap or a repetition: where the container runs, both from its
        log; where it doesn't, the log up to now and then the channel, which the next start finds.
        """
        container = self.table.find(ref)
        config = container.record.config
        keys = parse_detach_keys(options.detach_keys)
        status = container.record.state.status
        if status in ("paused", "restarting"):
            advice = {"paused": "unpause the container before attach", "restarting": "wait until it is running"}
            raise Conflict(f"container {ref} is {status}, {advice[status]}")
        readable = container.record.host_config.log_config.type in READABLE
        replay = options.logs and readable and (options.stdout or options.stderr)
        past = LogOptions(options.stdout, options.stderr)

        async def open_channel() -> Channel | None:
            nonlocal past
            if not options.stream:
                return None
            async with container.queue:
                follow = replay and container.running
                past = replace(past, follow=follow, until=None if follow else time.time_ns())
                stdin = options.stdin and config.open_stdin
                channel = Channel(
                    stdin=stdin, stdout=options.stdout and not follow, stderr=options.stderr and not follow
                )
                connected = await self._connect(container, channel)
            self.emit(container, "attach")
            return channel if connected else None

        async def from_log() -> AsyncGenerator[bytes, None]:
            async with aclosing(self._log_chunks(container, past)) as chunks:
                async for chunk in chunks:
                    yield chunk

        return AttachSession(
            tty=config.tty,
            open=open_channel,
            stdin=options.stdin and options.stream and config.open_stdin,
            keys=keys if config.tty else b"",
            before=from_log() if replay else None,
            detached=lambda: self.emit(container, "detach"),
        )

    async def _connect(self, container: Container, channel: Channel) -> bool:
        """To the process that runs, or to the one that will be started; False when neither is to be had any more."""
        if container.running:
            return await self._join(container, channel)
        if container.removing:
            channel.close()
            return False
        container.channels = [known for known in container.channels if not known.closed]
        container.channels.append(channel)
        return True

    async def _join(self, container: Container, channel: Channel) -> bool:
        try:
            await self.processes.attach(container, channel)
        except (NotFound, Conflict):
            channel.close()
            return False
        return True

    # commands

    async def exec_create(self, ref: str, request: ExecCreateRequest) -> str:
        """POST .../exec."""
        return await self.execs.create(self.table.find(ref), request)

    async def exec_start(self, exec_id: str, request: ExecStartRequest) -> AttachSession | None:
        """POST /exec/{id}/start; None when it was started detached."""
        return await self.execs.start(exec_id, request)

    def exec_inspect(self, exec_id: str) -> ExecInspect:
        """GET /exec/{id}/json."""
        return self.execs.inspect(exec_id)

    async def exec_resize(self, exec_id: str, height: int, width: int) -> None:
        """POST /exec/{id}/resize."""
        await self.execs.resize(exec_id, height, width)
