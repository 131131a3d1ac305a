"""Changing the limits and the restart policy of a container that is there already: POST /containers/{id}/update.

request ─ plan_update ─ control group, when it runs ─ row
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from sampan.engine.containers.lifecycle import Emit
from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.spec.update import plan_update
from sampan.engine.containers.table import Container, Table
from sampan.errors import Conflict
from sampan.kernel.facts import HostFacts
from sampan.wire.containers import UpdateRequest, UpdateResponse


class LimitGroups(Protocol):
    """What it takes of the control groups. Waits for the kernel."""

    def limit(self, record: ContainerRecord, resources: Mapping[str, Any]) -> None:
        """Raises OSError, and then changes nothing."""


class Updating:
    """One per daemon."""

    def __init__(self, table: Table, groups: LimitGroups, emit: Emit, host: HostFacts) -> None:
        self._table = table
        self._groups = groups
        self._emit = emit
        self._host = host

    async def update(self, container: Container, request: UpdateRequest) -> UpdateResponse:
        """Change it, at once where it runs. Raises InvalidArgument, Conflict."""
        async with container.queue:
            plan = plan_update(container.record.host_config, request, self._host, container.id)
            if container.removing:
                raise self._refusal(container, 'Container is marked for removal and cannot be "update".')
            if plan.resources and container.running:
                await self._limit(container, plan.resources)
            container.record.host_config = plan.host_config
            await self._table.save(container)
        self._emit(container, "update")
        return UpdateResponse(warnings=plan.warnings or None)

    async def _limit(self, container: Container, resources: Mapping[str, Any]) -> None:
        try:
            await asyncio.to_thread(self._groups.limit, container.record, resources)
        except OSError as error:
            # The group of a process that ended meanwhile is gone; the next start has the new limits.
            if container.running:
                raise self._refusal(container, error.strerror or str(error)) from None

    def _refusal(self, container: Container, why: str) -> Conflict:
        return Conflict(f"Cannot update container {container.id}: {why}")
