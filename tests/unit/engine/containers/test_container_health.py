"""Health checks: what is asked, how results are judged, and when the next one is due."""

import asyncio
import time

import pytest

from sampan.engine.containers.health import (
    RESTART_LABEL,
    HealthChecks,
    Plan,
    Result,
    go_duration,
    judged,
    pause_before,
    plan_of,
)
from sampan.engine.containers.probing import LIMIT, Output
from sampan.engine.containers.record import ContainerRecord, State, decode, encode
from sampan.engine.containers.table import Container, Table
from sampan.engine.containers.transitions import exited, started
from sampan.engine.tasks import Supervisor
from sampan.errors import Conflict
from sampan.store.db import Database
from sampan.wire.containers import ContainerConfig, Health, HealthConfig, HostConfig, NetworkingConfig

SECOND = 10**9
PLAN = Plan(("check",), SECOND, SECOND, 10 * SECOND, SECOND // 2, 2)


class TestPlan:
    @pytest.mark.parametrize("test", [None, [], ["NONE"], ["BOGUS", "x"]])
    def test_no_check(self, test):
        config = ContainerConfig(healthcheck=HealthConfig(test=test) if test is not None else None)
        assert plan_of(config) is None

    def test_defaults(self):
        plan = plan_of(ContainerConfig(healthcheck=HealthConfig(test=["CMD", "a", "b"])))
        assert plan == Plan(("a", "b"), 30 * SECOND, 30 * SECOND, 0, 5 * SECOND, 3)

    def test_a_shell(self):
        health = HealthConfig(test=["CMD-SHELL", "a && b"])
        assert plan_of(ContainerConfig(healthcheck=health)).command == ("/bin/sh", "-c", "a && b")
        config = ContainerConfig(healthcheck=health, shell=["/bin/bash", "-ec"])
        assert plan_of(config).command == ("/bin/bash", "-ec", "a && b")


def results(*codes, start=100 * SECOND, health=None):
    """The state after checks with these exit codes, of a container that has run since 0."""
    health = health or Health(status="starting", log=[])
    for code in codes:
        health = judged(health, Result(start, start + 1, code, "said"), PLAN, 0)
    return health.status, health.failing_streak


class TestJudging:
    def test_one_success_is_healthy(self):
        assert results(0) == ("healthy", 0)
        assert results(1, 1, 1, 0) == ("healthy", 0)

    def test_failures_in_a_row_are_unhealthy(self):
        assert results(1) == ("starting", 1)
        assert results(1, 1) == ("unhealthy", 2)
        assert results(0, 1) == ("healthy", 1)
        assert results(0, 1, 0, 1) == ("healthy", 1)
        assert results(0, -1, 3) == ("unhealthy", 2)

    def test_failures_in_the_start_period_do_not_count(self):
        assert results(1, 1, 1, start=5 * SECOND) == ("starting", 0)
        assert results(0, 1, 1, start=5 * SECOND) == ("unhealthy", 2)

    def test_the_last_five_are_kept(self):
        health = Health(status="starting", log=[])
        for number in range(7):
            health = judged(health, Result(number * SECOND, number * SECOND + 1, number, "x"), PLAN, 0)
        assert [entry.exit_code for entry in health.log] == [2, 3, 4, 5, 6]
        assert health.log[-1].start == "1970-01-01T00:00:06Z"


@pytest.mark.parametrize(
    ("status", "running_for", "seconds"),
    [("starting", 5, 0.5), ("starting", 10, 1), ("healthy", 5, 1), ("unhealthy", 50, 1)],
)
def test_the_next_check(status, running_for, seconds):
    assert pause_before(Health(status=status), PLAN, running_for * SECOND) == seconds


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (SECOND, "1s"),
        (30 * SECOND, "30s"),
        (90 * SECOND, "1m30s"),
        (2_500_000_000, "2.5s"),
        (3600 * SECOND, "1h0m0s"),
        (100_000_000, "100ms"),
    ],
)
def test_durations_in_gos_words(nanoseconds, text):
    assert go_duration(nanoseconds) == text


class TestOutput:
    def frame(self, data, stream=1):
        return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data

    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_frames_however_they_are_cut(self, size):
        data, output = self.frame(b"out\n") + self.frame(b"err\n", 2) + self.frame(b""), Output()
        for start in range(0, len(data), size):
            output.feed(data[start : start + size])
        assert output.text() == "out\nerr\n"

    def test_too_much(self):
        output = Output()
        output.feed(self.frame(b"x" * LIMIT))
        assert output.text() == "x" * LIMIT
        output.feed(self.frame(b"y"))
        assert output.text() == "x" * LIMIT + "..."


class TestRows:
    def test_a_start_begins_anew_with_the_old_log(self):
        log = [judged(Health(), Result(0, 1, 0, ""), PLAN, 0).log[0]]
        state = State(health_report=Health(status="healthy", failing_streak=1, log=log))
        ended = exited(state, 0, False, 5)
        assert ended.health_report.status == "unhealthy"
        again = started(ended, 1, 1, 6)
        assert (again.health_report.status, again.health_report.failing_streak) == ("starting", 0)
        assert again.health_report.log == log

    def test_a_report_survives_in_the_row(self):
        record = a_record()
        record.state.health_report = judged(Health(status="starting"), Result(1, 2, 3, "words"), PLAN, 0)
        assert decode(encode(record)).state == record.state


def a_record(labels=None):
    health = HealthConfig(test=["CMD", "check"], interval=1_000_000, timeout=SECOND, retries=1)
    return ContainerRecord(
        id="c" * 64,
        name="box",
        created=1,
        image_id="sha256:x",
        image_name="x",
        platform="linux",
        config=ContainerConfig(healthcheck=health, labels=labels),
        host_config=HostConfig(),
        networking=NetworkingConfig(),
        mounts=[],
        log_path="",
        state=State(status="running", started_at=time.time_ns()),
    )


class FakeProber:
    def __init__(self):
        self.codes = []
        self.asked = []
        self.idle = asyncio.Event()

    async def probe(self, container, command, timeout):
        self.asked.append((command, timeout))
        if not self.codes:
            self.idle.set()
            await asyncio.Event().wait()
        code = self.codes.pop(0)
        if isinstance(code, Exception):
            raise code
        return code, "words"


@pytest.fixture
async def rig(tmp_path):
    database = Database(tmp_path / "db")
    table, prober, tasks, events, restarts = Table(database), FakeProber(), Supervisor(), [], []

    async def restart(container):
        restarts.append(container.id)

    checks = HealthChecks(table, prober, lambda c, action, extra=None: events.append(action), tasks, restart)

    async def run(codes, labels=None):
        container = Container(a_record(labels))
        table.reserve("box", container.id)
        await table.insert(container)
        table.enter(container)
        prober.codes = codes
        checks.begin(container)
        await prober.idle.wait()
        return container

    run.events, run.restarts, run.checks, run.prober = events, restarts, checks, prober
    yield run
    checks.close()
    await tasks.cancel()
    database.close()


class TestChecks:
    async def test_changes_are_told_once(self, rig):
        container = await rig([0, 0, 1, 1, 0])
        assert rig.events == ["health_status: healthy", "health_status: unhealthy", "health_status: healthy"]
        assert container.record.state.health_report.status == "healthy"
        assert rig.prober.asked[0] == (("check",), 1.0)
        assert not rig.restarts

    async def test_what_can_not_be_started_is_a_failure(self, rig):
        container = await rig([Conflict("no such program")])
        entry = container.record.state.health_report.log[0]
        assert (entry.exit_code, entry.output) == (-1, "no such program")

    async def test_a_check_that_takes_too_long(self, rig):
        container = await rig([None])
        assert container.record.state.health_report.log[0].output == "Health check exceeded timeout (1s): words"

    async def test_an_unhealthy_container_is_restarted_when_it_wants_that(self, rig):
        container = await rig([0, 1], {RESTART_LABEL: "true"})
        assert rig.restarts == [container.id]

    async def test_after_the_end_nothing_is_asked(self, rig):
        container = await rig([0])
        rig.checks.end(container)
        asked = len(rig.prober.asked)
        rig.prober.codes = [0]
        await asyncio.sleep(0.02)
        assert len(rig.prober.asked) == asked

    async def test_a_paused_container_is_left_alone(self, rig):
        container = await rig([0])
        rig.checks.end(container)
        container.record.state.status = "paused"
        rig.checks.begin(container)
        asked = len(rig.prober.asked)
        await asyncio.sleep(0.02)
        assert len(rig.prober.asked) == asked
