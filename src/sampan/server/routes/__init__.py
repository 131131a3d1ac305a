"""All operations, put together from the services that do them.

    table = build_routes(Backends(system=..., containers=..., ...))

Each module has a noun's OPERATIONS, their handlers (decode, one service call, reply) and the Protocol of the service
that they call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sampan.server.outside import OUTSIDE
from sampan.server.routes import (
    archives,
    attach,
    build,
    commit,
    containers,
    control,
    events,
    exec,
    images,
    networks,
    observe,
    registry,
    sources,
    system,
    usage,
    volumes,
)
from sampan.server.table import Route, RouteTable


@dataclass(frozen=True, kw_only=True)
class Backends:
    """The services behind the API. One object may stand for several; what is None is not there yet and answers 501."""

    system: system.SystemBackend | None = None
    events: events.EventBackend | None = None
    usage: usage.UsageBackend | None = None
    containers: containers.ContainerBackend | None = None
    control: control.ControlBackend | None = None
    attach: attach.AttachBackend | None = None
    observe: observe.ObserveBackend | None = None
    archives: archives.ArchiveBackend | None = None
    commit: commit.CommitBackend | None = None
    execs: exec.ExecBackend | None = None
    images: images.ImageBackend | None = None
    sources: sources.SourceBackend | None = None
    registry: registry.RegistryBackend | None = None
    build: build.BuildBackend | None = None
    volumes: volumes.VolumeBackend | None = None
    networks: networks.NetworkBackend | None = None


def build_routes(backends: Backends) -> RouteTable:
    """The table of all operations of the Engine API, those left out among them."""
    return RouteTable([*(outside.route() for outside in OUTSIDE), *_routes(backends)])


def _routes(backends: Backends) -> Iterator[Route]:
    builder = "1" if backends.build is None else "2"
    yield from (operation.bound(builder) for operation in system.PING)
    yield from (operation.bound(backends.system) for operation in system.OPERATIONS)
    yield from (operation.bound(backends.events) for operation in events.OPERATIONS)
    yield from (operation.bound(backends.usage) for operation in usage.OPERATIONS)
    yield from (operation.bound(backends.containers) for operation in containers.OPERATIONS)
    yield from (operation.bound(backends.control) for operation in control.OPERATIONS)
    yield from (operation.bound(backends.attach) for operation in attach.OPERATIONS)
    yield from (operation.bound(backends.observe) for operation in observe.OPERATIONS)
    yield from (operation.bound(backends.archives) for operation in archives.OPERATIONS)
    yield from (operation.bound(backends.commit) for operation in commit.OPERATIONS)
    yield from (operation.bound(backends.execs) for operation in exec.OPERATIONS)
    yield from (operation.bound(backends.images) for operation in images.OPERATIONS)
    yield from (operation.bound(backends.sources) for operation in sources.OPERATIONS)
    yield from (operation.bound(backends.registry) for operation in registry.OPERATIONS)
    yield from (operation.bound(backends.build) for operation in build.OPERATIONS)
    yield from (operation.bound(backends.volumes) for operation in volumes.OPERATIONS)
    yield from (operation.bound(backends.networks) for operation in networks.OPERATIONS)
