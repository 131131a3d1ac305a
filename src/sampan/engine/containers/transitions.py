"""How a container's state changes, and when it is started again. Pure: a State goes in, a new State comes out."""

from __future__ import annotations

import msgspec

from sampan.engine.containers.record import State
from sampan.wire.containers import RestartPolicy

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
STEADY_AFTER = 10.0
"""A run of this many seconds sets the delay back to the first one."""

_replace = msgspec.structs.replace


def started(state: State, pid: int, pid_start_time: int, at: int) -> State:
    """The process lives since `at` (nanoseconds)."""
    return _replace(
        state,
        status="running",
        pid=pid,
        pid_start_time=pid_start_time,
        exit_code=0,
        error="",
        oom_killed=False,
        started_at=at,
        stopped_by_hand=False,
        health_report=_replace(state.health_report, status="starting", failing_streak=0)
        if state.health_report
        else None,
    )


def not_started(state: State, exit_code: int, error: str) -> State:
    """The runtime refused to start it: docker leaves such a container as it was, with the reason."""
    return _replace(state, exit_code=exit_code, error=error, pid=0, pid_start_time=0)


def exited(state: State, exit_code: int, oom_killed: bool, at: int, error: str = "") -> State:
    """The process ended at `at` (nanoseconds)."""
    return _replace(
        state,
        status="exited",
        pid=0,
        pid_start_time=0,
        exit_code=exit_code,
        oom_killed=oom_killed,
        finished_at=at,
        error=error,
        health_report=_replace(state.health_report, status="unhealthy") if state.health_report else None,
    )


def exit_code(wait_status: int) -> int:
    """What docker calls the exit code of a wait status: 128 and the signal where one ended it."""
    signal = wait_status & 0x7F
    return 128 + signal if signal else (wait_status >> 8) & 0xFF


def restarts(policy: RestartPolicy, state: State) -> bool:
    """Whether a container that just exited is to be started again."""
    if state.stopped_by_hand:
        return False
    if policy.name in ("always", "unless-stopped"):
        return True
    if policy.name != "on-failure" or state.exit_code == 0:
        return False
    return policy.maximum_retry_count == 0 or state.restart_count < policy.maximum_retry_count


def restarts_with_daemon(policy: RestartPolicy, state: State) -> bool:
    """Whether a container that a daemon finds dead at its own start is to be started again."""
    if policy.name == "always":
        return state.status != "created"
    if state.stopped_by_hand or state.status == "created":
        return False
    if policy.name == "on-failure":
        tries_left = policy.maximum_retry_count == 0 or state.restart_count < policy.maximum_retry_count
        return state.exit_code != 0 and tries_left
    return policy.name == "unless-stopped"


def next_delay(previous: float, ran_for: float) -> float:
    """Seconds to wait before the next restart, doubling up to a minute; `ran_for` seconds the last run took."""
    if previous == 0 or ran_for >= STEADY_AFTER:
        return FIRST_DELAY
    return min(previous * 2, LONGEST_DELAY)
