"""A daemon that is not to leave containers running stops them as `docker stop` would, all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from rig import storm
from rig.care import load, started, stop_and_check
from rig.engines import Sampand

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

OBEDIENT = "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done"
SLOW = "trap 'sleep 3; exit 4' TERM; echo up; while :; do sleep 0.1; done"


@pytest.fixture
def daemon() -> Iterator[Callable[..., Sampand]]:
    made: list[Sampand] = []

    def start(*flags: str) -> Sampand:
        made.append(started(Sampand(flags=("--live-restore=false", *flags))))
        load(made[-1])
        return made[-1]

    yield start
    for one in made:
        stop_and_check(one)


def up(client, name, script, **options):
    storm.run(client, name, "sh", "-c", script, **options)
    storm.wait_until(lambda: b"up" in storm.logged(client, name), f"{name} is up", 60)


def test_each_container_has_its_own_patience(daemon):
    """Neither waits for the daemon's ten minutes: the one that ignores the signal is killed after its own second."""
    engine = daemon("--shutdown-timeout=600")
    with engine.client() as client:
        up(client, "stubborn", "trap '' TERM; echo up; while :; do sleep 0.1; done", StopTimeout=1)
        up(client, "obedient", OBEDIENT)
        up(client, "again", OBEDIENT, HostConfig={"RestartPolicy": {"Name": "always"}})
        storm.run(client, "crashing", "false", HostConfig={"RestartPolicy": {"Name": "always"}})
    assert engine.terminate(60) == 0
    engine.start()
    with engine.client() as client:
        codes = {name: storm.state(client, name)["ExitCode"] for name in ("stubborn", "obedient")}
        assert codes == {"stubborn": 137, "obedient": 3}
        assert not storm.state(client, "stubborn")["Running"]
        storm.wait_until(lambda: storm.state(client, "again")["Running"], "the policy starts it again", 60)


def test_a_container_that_needs_longer_than_the_daemon_has_gets_it(daemon):
    engine = daemon("--shutdown-timeout=1")
    with engine.client() as client:
        up(client, "slow", SLOW, StopTimeout=50)
    assert engine.terminate(60) == 0
    engine.start()
    with engine.client() as client:
        assert storm.state(client, "slow")["ExitCode"] == 4
