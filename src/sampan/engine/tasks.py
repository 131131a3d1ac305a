"""The one owner of background tasks: none is lost, none fails unseen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from sampan.errors import SampanError

log = logging.getLogger(__name__)


class Supervisor:
    """Keeps every background task until it ends, and logs one that fails."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` beside the caller."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, SampanError):
            log.warning("%s: %s", task.get_name(), error)
        else:
            log.error("%s failed", task.get_name(), exc_info=error)

    async def drain(self, patience: float) -> None:
        """Let all tasks end, for at most `patience` seconds, then cancel those that are left."""
        pending = set(self._tasks)
        if pending:
            await asyncio.wait(pending, timeout=patience)
        await self.cancel()

    async def cancel(self) -> None:
        """Cancel everything and wait until it is gone."""
        pending = set(self._tasks)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
