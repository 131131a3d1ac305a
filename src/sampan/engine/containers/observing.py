"""What runs in containers and what it uses: the API's top and stats."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Protocol

from sampan.engine.containers.lifecycle import Emit
from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.stats import Machine, Sample, idle_stats, render_stats
from sampan.engine.containers.table import Container, Table
from sampan.engine.containers.top import top
from sampan.errors import Conflict
from sampan.kernel import usage
from sampan.wire.containers import TopResponse
from sampan.wire.stats import Stats

PERIOD = 1.0
"""Seconds between the samples of a stream."""
SHORT_PERIOD = 0.5
"""Seconds between the two samples that a single answer is made of."""


class UsageGroups(Protocol):
    """What it takes of the control groups. Both wait for the kernel."""

    def processes(self, record: ContainerRecord) -> list[int]: ...

    def usage(self, record: ContainerRecord) -> usage.Usage | None: ...


class Observing:
    """One per daemon."""

    def __init__(self, table: Table, groups: UsageGroups, emit: Emit, machine: Machine) -> None:
        self._table = table
        self._groups = groups
        self._emit = emit
        self._machine = machine

    async def top(self, ref: str, ps_args: str) -> TopResponse:
        """GET .../top. Raises NotFound, Conflict, and Internal with the words of `ps`."""
        container = self._table.find(ref)
        if not container.running:
            raise Conflict(f"container {container.id} is not running")
        processes = await asyncio.to_thread(self._groups.processes, container.record)
        answer = await top(ps_args, frozenset(processes))
        self._emit(container, "top")
        return answer

    async def stats(self, ref: str, stream: bool, one_shot: bool) -> AsyncIterator[Stats]:
        """GET .../stats; the await finds the container. Raises NotFound."""
        container = self._table.find(ref)
        return self._stream(container) if stream else self._single(container, one_shot)

    async def _single(self, container: Container, one_shot: bool) -> AsyncIterator[Stats]:
        before = None
        if not one_shot and container.running:
            before = await self._sample(container)
            await asyncio.sleep(SHORT_PERIOD)
        sample = await self._sample(container)
        if sample is None or one_shot:
            yield render_stats(sample, None, self._machine) if sample else self._named(container, None, None)
        else:
            yield self._named(container, sample, before)

    async def _stream(self, container: Container) -> AsyncIterator[Stats]:
        """A sample a second until the container is removed; of one that does not run, empty ones."""
        removed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        container.removed.append(removed)
        clock = asyncio.get_running_loop().time
        before, due = None, clock()
        try:
            while not container.removing and not removed.done():
                sample = await self._sample(container)
                yield self._named(container, sample, before)
                before, due = sample, max(due + PERIOD, clock())
                await asyncio.wait([removed], timeout=due - clock())
        finally:
            if removed in container.removed:
                container.removed.remove(removed)

    def _named(self, container: Container, sample: Sample | None, before: Sample | None) -> Stats:
        if sample is None:
            return idle_stats(container.id, container.name)
        stats = render_stats(sample, before, self._machine)
        stats.id, stats.name = container.id, f"/{container.name}"
        return stats

    async def _sample(self, container: Container) -> Sample | None:
        if not container.running:
            return None
        return await asyncio.to_thread(self._take, container.record)

    def _take(self, record: ContainerRecord) -> Sample | None:
        used = self._groups.usage(record)
        if used is None:
            return None
        shared = record.host_config.network_mode == "host"
        interfaces = [] if shared else usage.interfaces(record.state.pid)
        return Sample(time.time_ns(), used, interfaces, usage.system_cpu_time(), os.cpu_count() or 1)
