"""The life cycle with a launcher that only pretends: orders of events, waiters, restarts, removal."""

import asyncio

import pytest

from sampan.engine.containers.lifecycle import Exit, Lifecycle, Started, StartFailed
from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.table import Container, Table
from sampan.engine.tasks import Supervisor
from sampan.errors import Conflict, InvalidArgument, NotFound, NotModified
from sampan.store.db import Database
from sampan.wire.containers import ContainerConfig, HostConfig, NetworkingConfig, RestartPolicy


class Pretender:
    """A launcher whose processes end when they are told to, or by a signal."""

    def __init__(self):
        self.lifecycle = None
        self.calls = []
        self.failure = None
        self.exits_at_once = None
        self.ignores = set()

    async def launch(self, container):
        self.calls.append("launch")
        await asyncio.sleep(0)
        if self.failure:
            raise self.failure
        if self.exits_at_once is not None:
            self.lifecycle.process_exited(container, Exit(self.exits_at_once << 8, False, 2))
        return Started(pid=42, start_time=1, at=1)

    async def signal(self, container, number):
        self.calls.append(number)
        if number not in self.ignores:
            asyncio.get_running_loop().call_soon(self.lifecycle.process_exited, container, Exit(number, False, 3))

    async def settle(self, container):
        self.calls.append("settle")
        container.at_rest()

    async def forget_volumes(self, container):
        self.calls.append("forget volumes")

    async def discard(self, container):
        self.calls.append("discard")


@pytest.fixture
async def rig(tmp_path):
    database = Database(tmp_path / "db")
    table = Table(database)
    launcher = Pretender()
    events = []
    tasks = Supervisor()
    lifecycle = Lifecycle(table, launcher, lambda c, action, extra=None: events.append(action), tasks)
    launcher.lifecycle = lifecycle

    async def make(name="c1", **host):
        record = ContainerRecord(
            id=name * 8,
            name=name,
            created=1,
            image_id="i",
            image_name="i",
            platform="linux",
            config=ContainerConfig(cmd=["x"]),
            host_config=HostConfig(**host),
            networking=NetworkingConfig(),
            mounts=[],
            log_path="",
        )
        container = Container(record)
        table.reserve(name, record.id)
        await table.insert(container)
        table.enter(container)
        return container

    rig = type("Rig", (), {})()
    rig.table, rig.launcher, rig.events, rig.tasks, rig.lifecycle, rig.make = (
        table, launcher, events, tasks, lifecycle, make,
    )  # fmt: skip
    rig.database = database
    yield rig
    await tasks.cancel()
    database.close()


async def test_an_exit_that_overtakes_the_answer_to_its_start_is_not_lost(rig):
    rig.launcher.exits_at_once = 3
    container = await rig.make()
    waiting = asyncio.ensure_future(rig.lifecycle.wait(container, "next-exit"))
    await rig.lifecycle.start(container)
    assert (await waiting).status_code == 3
    assert rig.events == ["start", "die"]
    assert container.record.state.status == "exited"


async def test_stop_sends_the_signal_then_kills(rig):
    container = await rig.make()
    await rig.lifecycle.start(container)
    rig.launcher.ignores = {15}
    await rig.lifecycle.stop(container, 0, None)
    assert [c for c in rig.launcher.calls if isinstance(c, int)] == [15, 9]
    assert container.record.state.exit_code == 137
    assert rig.events == ["start", "kill", "kill", "die", "stop"]
    with pytest.raises(NotModified):
        await rig.lifecycle.stop(container, 0, None)


async def patient(rig, container, verb):
    """A stop or restart that waits for a process that ignores its signal."""
    rig.launcher.ignores = {15}
    rig.launcher.calls.clear()
    waiting = asyncio.ensure_future(verb(container, -1, None))
    for _ in range(3000):
        if 15 in rig.launcher.calls:
            return waiting
        await asyncio.sleep(0.01)
    raise AssertionError("the signal was not sent")


async def test_a_patient_stop_lets_others_through(rig):
    container = await rig.make()
    await rig.lifecycle.start(container)
    stopping = await patient(rig, container, rig.lifecycle.stop)
    async with asyncio.timeout(30):
        with pytest.raises(NotModified):
            await rig.lifecycle.start(container)
        again = asyncio.ensure_future(rig.lifecycle.stop(container, 0, None))
        await asyncio.gather(stopping, again)
        assert container.record.state.exit_code == 137
        await rig.lifecycle.start(container)
        stopping = await patient(rig, container, rig.lifecycle.stop)
        await rig.lifecycle.kill(container, "KILL")
        await stopping
        assert container.record.state.stopped_by_hand


@pytest.mark.parametrize("verb", ["stop", "restart"])
async def test_what_is_stopped_patiently_can_be_removed(rig, verb):
    container = await rig.make()
    await rig.lifecycle.start(container)
    waiting = await patient(rig, container, getattr(rig.lifecycle, verb))
    async with asyncio.timeout(30):
        await rig.lifecycle.remove(container, force=True, volumes=False)
        left = await asyncio.gather(waiting, return_exceptions=True)
    assert rig.table.named("c1") is None
    if verb == "restart":
        assert isinstance(left[0], Conflict)


async def test_a_start_that_waits_for_the_last_end_gives_way_to_a_removal(rig):
    rig.launcher.exits_at_once = 0
    container = await rig.make()
    await rig.lifecycle.start(container)
    await rig.tasks.drain(30)
    container.at_work()  # the runtime is not done yet with the last process
    rig.launcher.calls.clear()
    starting = asyncio.ensure_future(rig.lifecycle.start(container))
    await asyncio.sleep(0)
    removing = asyncio.ensure_future(rig.lifecycle.remove(container, force=True, volumes=False))
    await asyncio.sleep(0)
    container.at_rest()
    async with asyncio.timeout(30):
        with pytest.raises(Conflict, match="marked for removal"):
            await starting
        await removing
    assert "launch" not in rig.launcher.calls


async def test_a_patient_restart_goes_on_after_a_kill(rig):
    container = await rig.make(auto_remove=True)
    await rig.lifecycle.start(container)
    restarting = await patient(rig, container, rig.lifecycle.restart)
    async with asyncio.timeout(30):
        await rig.lifecycle.kill(container, "KILL")
        await restarting
    assert container.record.state.status == "running"
    assert rig.events[-1] == "restart"


async def test_wait_for_what_does_not_run_answers_at_once(rig):
    container = await rig.make()
    assert (await rig.lifecycle.wait(container, "")).status_code == 0
    with pytest.raises(InvalidArgument):
        rig.lifecycle.wait(container, "sometime")


async def test_a_failed_start_is_shown_and_can_be_repeated(rig):
    container = await rig.make()
    rig.launcher.failure = StartFailed("no such program", 127)
    with pytest.raises(StartFailed):
        await rig.lifecycle.start(container)
    state = container.record.state
    assert (state.status, state.exit_code, state.error) == ("created", 127, "no such program")
    rig.launcher.failure = None
    await rig.lifecycle.start(container)
    assert container.record.state.error == ""


async def test_removing_what_runs_needs_force(rig):
    container = await rig.make()
    await rig.lifecycle.start(container)
    with pytest.raises(Conflict, match="container is running"):
        await rig.lifecycle.remove(container, force=False, volumes=False)
    removed = asyncio.ensure_future(rig.lifecycle.wait(container, "removed"))
    await asyncio.sleep(0)
    await rig.lifecycle.remove(container, force=True, volumes=True)
    assert (await removed).status_code == 137
    assert rig.table.named("c1") is None
    await asyncio.sleep(0.01)
    assert rig.launcher.calls[-2:] == ["forget volumes", "discard"]


async def test_an_auto_removed_container_goes_after_its_exit(rig):
    rig.launcher.exits_at_once = 0
    container = await rig.make(auto_remove=True)
    removed = asyncio.ensure_future(rig.lifecycle.wait(container, "removed"))
    await asyncio.sleep(0)
    await rig.lifecycle.start(container)
    assert (await removed).status_code == 0
    assert rig.events == ["start", "die", "destroy"]


async def test_the_restart_policy_starts_it_again_until_the_count(rig):
    rig.launcher.exits_at_once = 1
    container = await rig.make(restart_policy=RestartPolicy(name="on-failure", maximum_retry_count=2))
    await rig.lifecycle.start(container)
    assert container.record.state.status == "restarting"
    for _ in range(100):
        await asyncio.sleep(0.01)
        if rig.events.count("die") == 3 and container.record.state.status == "exited":
            break
    assert rig.events.count("start") == 3
    assert container.record.state.restart_count == 2


async def test_stopping_ends_a_restart_to_come(rig):
    rig.launcher.exits_at_once = 1
    container = await rig.make(restart_policy=RestartPolicy(name="always"))
    await rig.lifecycle.start(container)
    await rig.lifecycle.stop(container, 0, None)
    await asyncio.sleep(0.15)
    assert rig.events.count("start") == 1
    assert container.record.state.status == "exited"


async def test_a_signal_that_ends_it_counts_as_stopped_by_hand(rig):
    container = await rig.make(restart_policy=RestartPolicy(name="always"))
    await rig.lifecycle.start(container)
    await rig.lifecycle.kill(container, "USR1")
    await asyncio.sleep(0.01)
    assert container.record.state.status == "exited"
    assert container.record.state.exit_code == 138


async def test_a_signal_that_it_survives_does_not(rig):
    container = await rig.make(restart_policy=RestartPolicy(name="always"))
    await rig.lifecycle.start(container)
    rig.launcher.ignores = {10}
    await rig.lifecycle.kill(container, "USR1")
    rig.lifecycle.process_exited(container, Exit(1 << 8, False, 5))
    assert container.record.state.status == "restarting"


async def test_rows_tell_what_happened(rig):
    rig.launcher.exits_at_once = 7
    container = await rig.make()
    await rig.lifecycle.start(container)
    await rig.tasks.drain(1)
    again = Table(rig.database)
    assert again.find("c1").record.state.exit_code == 7
    assert container.record.intent == ""


async def test_what_a_stopping_daemon_ends_was_not_stopped_by_hand(rig):
    container = await rig.make(restart_policy=RestartPolicy(name="unless-stopped"))
    await rig.lifecycle.start(container)
    rig.lifecycle.closing = True
    await rig.lifecycle.stop(container, 0, None)
    state = container.record.state
    assert (state.status, state.stopped_by_hand) == ("exited", False)


async def test_a_row_that_can_not_be_read_is_left_alone(rig):
    await rig.make("c1")
    await rig.database.write(lambda rows: rows.execute("INSERT INTO containers VALUES ('x1', 'odd', 1, 'xx')"))
    table = Table(rig.database)
    assert table.damaged == {"x1"}
    assert [container.name for container in table] == ["c1"]
    with pytest.raises(Conflict, match="already in use"):
        table.reserve("odd", "other")


async def test_what_fails_on_a_removed_container_is_not_found(rig):
    container = await rig.make()
    with pytest.raises(OSError, match="broken"), rig.table.standing(container, "c1"):
        raise OSError("broken")
    await rig.table.delete(container)
    with pytest.raises(NotFound, match="No such container: c1"), rig.table.standing(container, "c1"):
        raise FileNotFoundError("its bytes")
