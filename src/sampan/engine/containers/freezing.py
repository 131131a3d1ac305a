"""Pausing: all processes of a container stand still in the kernel's freezer.

    running ──pause──▶ paused ──unpause──▶ running        paused ──stop, kill──▶ signalled, then thawed

The kernel's own word counts: a daemon that starts asks the freezer, not the row.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from sampan.engine.containers.lifecycle import Emit
from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.table import Container, Table
from sampan.errors import Conflict, Internal


class FreezerGroups(Protocol):
    """What it takes of the control groups. Both wait for the kernel."""

    def freeze(self, record: ContainerRecord) -> None: ...

    def thaw(self, record: ContainerRecord) -> None: ...


class Freezing:
    """One per daemon."""

    def __init__(self, table: Table, groups: FreezerGroups, emit: Emit) -> None:
        self._table = table
        self._groups = groups
        self._emit = emit

    async def pause(self, container: Container) -> None:
        """Stop its processes where they are. Raises Conflict, and Internal when the kernel can't stop them."""
        async with container.queue:
            check_pausable(container)
            try:
                await asyncio.to_thread(self._groups.freeze, container.record)
            except OSError as error:
                if container.record.state.status == "running":
                    raise Internal(f"Cannot pause container {container.id}: {error}") from None
            if container.record.state.status != "running":
                raise Conflict(f"container {container.id} is not running")
            container.record.state.status = "paused"
            await self._table.note(container)
        self._emit(container, "pause")

    async def unpause(self, container: Container) -> None:
        """Let its processes go on. Raises Internal when it is not paused, as dockerd does."""
        async with container.queue:
            if container.record.state.status != "paused":
                raise Internal(f"Container {container.id} is not paused")
            await self.thaw(container)
            await self._table.note(container)
        self._emit(container, "unpause")

    async def thaw(self, container: Container) -> None:
        """Let the processes of a paused container go on, out of turn; the caller tells of it, and saves the row."""
        if container.record.state.status != "paused":
            return
        try:
            await asyncio.to_thread(self._groups.thaw, container.record)
        except OSError as error:
            if container.record.state.status == "paused":
                raise Internal(f"Cannot unpause container {container.id}: {error}") from None
        if container.record.state.status == "paused":
            container.record.state.status = "running"


def check_pausable(container: Container) -> None:
    """Raise Conflict unless it runs and is not paused."""
    status = container.record.state.status
    if status == "paused":
        raise Conflict(f"Container {container.id} is already paused")
    if status == "restarting":
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if status != "running":
        raise Conflict(f"container {container.id} is not running")
