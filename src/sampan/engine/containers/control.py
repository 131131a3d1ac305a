"""The API's pause, unpause and update: finds the container and hands on."""

from __future__ import annotations

from dataclasses import dataclass

from sampan.engine.containers.freezing import Freezing
from sampan.engine.containers.table import Table
from sampan.engine.containers.updating import Updating
from sampan.wire.containers import UpdateRequest, UpdateResponse


@dataclass(frozen=True)
class Control:
    """One per daemon."""

    table: Table
    freezing: Freezing
    updating: Updating

    async def pause(self, ref: str) -> None:
        """POST .../pause."""
        await self.freezing.pause(self.table.find(ref))

    async def unpause(self, ref: str) -> None:
        """POST .../unpause."""
        await self.freezing.unpause(self.table.find(ref))

    async def update(self, ref: str, request: UpdateRequest) -> UpdateResponse:
        """POST .../update."""
        return await self.updating.update(self.table.find(ref), request)
