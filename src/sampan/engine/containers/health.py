"""Health checks: a command in the container, again and again, that says by its exit code how it is.

              ┌────────────────────────────── exit 0 ─────────────────────────────┐
    start ─▶ starting ──`retries` failures in a row, after the start period──▶ unhealthy ◀─┐
              └── exit 0 ──▶ healthy ──────────`retries` failures in a row──────────┘  the container ended

A check is due `interval` after the last one ended; within the start period, until the first success, `start_interval`
after it. A paused container is not checked. State and the last five results are in the container's row, so that a new
daemon goes on where the last one stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sampan.engine.containers.lifecycle import Emit
from sampan.engine.containers.table import Container, Table
from sampan.engine.tasks import Supervisor
from sampan.errors import SampanError
from sampan.wire.codec import format_time
from sampan.wire.containers import ContainerConfig, Health, HealthResult

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
RESTART_LABEL = "io.sampan.restart-unhealthy"
"""A container with this label, `true`, is restarted when it becomes unhealthy."""

_SECOND = 10**9
_KEPT = 5
_NO_EXIT_CODE = -1
_SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True)
class Plan:
    """A check as it is done; durations in nanoseconds."""

    command: tuple[str, ...]
    interval: int
    timeout: int
    start_period: int
    start_interval: int
    retries: int


@dataclass(frozen=True)
class Result:
    """One check; times in nanoseconds since 1970. `exit_code` is -1 for one that did not end by itself."""

    start: int
    end: int
    exit_code: int
    output: str


class Prober(Protocol):
    """Runs a check's command in a container."""

    async def probe(self, container: Container, command: Sequence[str], timeout: float) -> tuple[int | None, str]:
        """Its exit code, None where it was ended after `timeout` seconds, and what it printed.

        Raises SampanError where it could not be started.
        """


def plan_of(config: ContainerConfig) -> Plan | None:
    """The check that a configuration asks for; None for none, and for a kind that nobody knows."""
    wanted = config.healthcheck
    if wanted is None or not wanted.test:
        return None
    kind, *words = wanted.test
    if kind == "CMD-SHELL":
        words = [*(config.shell or _SHELL), *words]
    elif kind != "CMD":
        return None
    return Plan(
        tuple(words),
        wanted.interval or 30 * _SECOND,
        wanted.timeout or 30 * _SECOND,
        wanted.start_period,
        wanted.start_interval or 5 * _SECOND,
        wanted.retries or 3,
    )


def judged(health: Health, result: Result, plan: Plan, started_at: int) -> Health:
    """The state after a check, of a container that runs since `started_at` (nanoseconds)."""
    entry = HealthResult(
        start=format_time(result.start),
        end=format_time(result.end),
        exit_code=result.exit_code,
        output=result.output,
    )
    status, streak = health.status, health.failing_streak
    if result.exit_code == 0:
        status, streak = HEALTHY, 0
    elif status != STARTING or result.start - started_at >= plan.start_period:
        streak += 1
        status = UNHEALTHY if streak >= plan.retries else status
    return Health(status=status, failing_streak=streak, log=[*(health.log or ()), entry][-_KEPT:])


def pause_before(health: Health, plan: Plan, running_for: int) -> float:
    """Seconds until the next check of a container that runs for so many nanoseconds."""
    starting = health.status == STARTING and running_for < plan.start_period
    return (plan.start_interval if starting else plan.interval) / _SECOND


class HealthChecks:
    """One per daemon. `restart` is what is done to an unhealthy container that wants it."""

    def __init__(
        self,
        table: Table,
        prober: Prober,
        emit: Emit,
        tasks: Supervisor,
        restart: Callable[[Container], Awaitable[None]],
    ) -> None:
        self._table = table
        self._prober = prober
        self._emit = emit
        self._tasks = tasks
        self._restart = restart
        self._watching: dict[str, asyncio.Task[None]] = {}

    def begin(self, container: Container) -> None:
        """The container runs: check it from now on."""
        plan = plan_of(container.record.config)
        if plan is None:
            return
        self.end(container)
        state = container.record.state
        if state.health_report is None:
            state.health_report = Health(status=STARTING, log=[])
        self._watching[container.id] = self._tasks.spawn(self._watch(container, plan), f"health of {container.name}")

    def end(self, container: Container) -> None:
        """The container does not run any more."""
        task = self._watching.pop(container.id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def close(self) -> None:
        """The daemon ends; containers go on unchecked until the next one begins."""
        for task in self._watching.values():
            task.cancel()
        self._watching.clear()

    async def _watch(self, container: Container, plan: Plan) -> None:
        while container.running:
            state = container.record.state
            assert state.health_report is not None
            await asyncio.sleep(pause_before(state.health_report, plan, time.time_ns() - state.started_at))
            if container.record.state.status == "running" and not container.removing:
                await self._check(container, plan)

    async def _check(self, container: Container, plan: Plan) -> None:
        started_at = container.record.state.started_at
        result = await self._result(container, plan)
        state = container.record.state
        if state.status != "running" or state.started_at != started_at or state.health_report is None:
            # It ended or was paused amid the check, which says nothing then.
            return
        before = state.health_report.status
        state.health_report = judged(state.health_report, result, plan, started_at)
        changed = state.health_report.status != before
        if changed:
            self._emit(container, f"health_status: {state.health_report.status}")
        await self._table.note(container)
        if changed and state.health_report.status == UNHEALTHY and _wants_restart(container):
            self._tasks.spawn(self._restarted(container), "restart of an unhealthy container")

    async def _result(self, container: Container, plan: Plan) -> Result:
        begun = time.time_ns()
        try:
            code, output = await self._prober.probe(container, plan.command, plan.timeout / _SECOND)
        except SampanError as error:
            return Result(begun, time.time_ns(), _NO_EXIT_CODE, str(error))
        if code is None:
            said = f"Health check exceeded timeout ({go_duration(plan.timeout)})"
            return Result(begun, time.time_ns(), _NO_EXIT_CODE, f"{said}: {output}" if output else said)
        return Result(begun, time.time_ns(), code, output)

    async def _restarted(self, container: Container) -> None:
        if container.running and not container.removing:
            await self._restart(container)


def _wants_restart(container: Container) -> bool:
    return (container.record.config.labels or {}).get(RESTART_LABEL, "").lower() == "true"


def go_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: 1m30s, 2.5s, 100ms."""
    if nanoseconds < _SECOND:
        return f"{nanoseconds / 1e6:g}ms"
    hours, rest = divmod(nanoseconds, 3600 * _SECOND)
    minutes, rest = divmod(rest, 60 * _SECOND)
    seconds = f"{rest / 1e9:.9f}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + seconds
