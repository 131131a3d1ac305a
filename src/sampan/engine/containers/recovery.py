"""After a start of the daemon: make rows, monitor and disk agree again.

row says      monitor has it        then
intent create  (any)                undone: the row and all it had go
not running    running              it was started and the daemon died: running
any            exited               the exit is applied, with its code
running        (nothing)            both died: adopted if it still lives, else exited with an unknown code
(no row)       running              it was being removed: killed
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from sampan.engine.containers import transitions
from sampan.engine.containers.launcher import Launcher, exit_of
from sampan.engine.containers.lifecycle import Exit, Lifecycle
from sampan.engine.containers.table import Container, Table
from sampan.engine.tasks import Supervisor
from sampan.errors import SampanError
from sampan.monitor.client import MonitorClient, ProcessInfo

log = logging.getLogger(__name__)


@dataclass
class Recovery:
    """`forget_snapshots` removes the snapshots of all keys but those given; `kill` ends a process of no row."""

    table: Table
    lifecycle: Lifecycle
    launcher: Launcher
    monitor: MonitorClient
    tasks: Supervisor
    forget_snapshots: Callable[[set[str]], Awaitable[None]]

    async def run(self) -> None:
        """Once, before the first request is served."""
        found = {info.id: info for info in await self._processes()}
        for container in self.table:
            info = found.pop(container.id, None)
            if container.record.intent == "create":
                await self._undo_create(container, info)
            else:
                await self._agree(container, info)
        self._end_orphans(found.values())
        await self.forget_snapshots({container.id for container in self.table} | self.table.damaged)
        self._sweep_files()
        self._restart_policies()

    async def _processes(self) -> list[ProcessInfo]:
        if self.monitor.exists() or any(container.running for container in self.table):
            return await self.monitor.ensure()
        return []

    async def _undo_create(self, container: Container, info: ProcessInfo | None) -> None:
        await self.table.delete(container)
        await self.launcher.forget_volumes(container)
        await self.launcher.discard(container)
        if info is not None:
            self._end_orphans([info])

    async def _agree(self, container: Container, info: ProcessInfo | None) -> None:
        record = container.record
        if record.state.status == "restarting":
            record.state.status = "exited"
        if info is None and container.running:
            info = await self.launcher.adopt(record)
        if info is None or info.state == "refused":
            if container.running:
                self.lifecycle.process_exited(container, Exit(None, False, time.time_ns()))
            return
        if not info.deleted:
            container.at_work()
        if not container.running and info.started_at > record.state.finished_at:
            record.state = transitions.started(record.state, info.pid, info.start_time, info.started_at)
            await self.table.note(container)
        if info.state == "exited" and not container.running:
            self.tasks.spawn(self.launcher.settle(container), "settle")
        elif info.state == "exited":
            self.lifecycle.process_exited(container, exit_of(info))
        else:
            container.record.state.status = "paused" if self.launcher.is_frozen(record) else "running"
            for hook in self.lifecycle.on_started:
                hook(container)

    def _end_orphans(self, infos: Iterable[ProcessInfo]) -> None:
        for info in infos:
            if info.state == "exited":
                self.tasks.spawn(self._forget(info.id), "forget")
            elif self.monitor.kind(info.id) == "container":
                log.warning("ending process %d of container %s, which was being removed", info.pid, info.id)
                self.launcher.kill_process(info.id)

    async def _forget(self, process_id: str) -> None:
        try:
            await self.monitor.forget(process_id)
        except SampanError as error:
            log.warning("the monitor could not forget %s: %s", process_id, error)

    def _sweep_files(self) -> None:
        known = {container.id for container in self.table} | self.table.damaged
        for folder in (self.launcher.bundles.run.bundles, self.launcher.bundles.paths.containers):
            for entry in folder.iterdir() if folder.is_dir() else ():
                if entry.name not in known:
                    self.launcher.remove_files(entry.name)

    def _restart_policies(self) -> None:
        for container in self.table:
            record = container.record
            if not container.running and record.state.status == "exited" and container.restarting is None:
                if record.host_config.auto_remove:
                    self.tasks.spawn(self.lifecycle.remove(container, force=False, volumes=True), "auto-remove")
                elif transitions.restarts_with_daemon(record.host_config.restart_policy, record.state):
                    self.tasks.spawn(self._start(container), "start with the daemon")

    async def _start(self, container: Container) -> None:
        await self.lifecycle.start(container)
