"""SIGKILL of sampand at random moments of a storm: nothing leaks, nothing that was confirmed is lost."""

from __future__ import annotations

import random
import threading
import time

import pytest

from rig import storm

pytestmark = pytest.mark.root

COUNTER = "i=0; while :; do echo $i; i=$((i+1)); usleep 2000; done"
WORKERS = 3


def start_enders(client, dice, turn):
    """Containers that end by themselves soon, some of them while the daemon is away: name to exit code."""
    enders = {}
    for index in range(2):
        name, code = f"ender-{turn}-{index}", dice.randrange(1, 120)
        storm.run(client, name, "sh", "-c", f"usleep {dice.randrange(600_000)}; exit {code}")
        enders[name] = code
    return enders


def check_enders(client, enders):
    for name, code in enders.items():
        ended = storm.wait_until(
            lambda name=name: (now := storm.state(client, name))["Status"] == "exited" and now, f"{name} has ended", 5
        )
        assert ended["ExitCode"] == code, f"{name}: {ended}"
        assert ended["FinishedAt"] > ended["StartedAt"]


@pytest.mark.timeout(3600)
def test_kill_at_random_points_of_a_storm(fresh_sampand, long_run):
    engine, dice = fresh_sampand, storm.dice()
    with engine.client() as client:
        keepers = {f"keeper-{n}": 0 for n in range(2)}
        for name in keepers:
            storm.run(client, name, "sh", "-c", COUNTER, Tty=False)
            keepers[name] = storm.state(client, name)["Pid"]
        for turn in range(200 if long_run else 20):
            enders = start_enders(client, dice, turn)
            stopping = threading.Event()
            workers = [storm.Worker(engine, n, stopping, random.Random(dice.random())) for n in range(WORKERS)]
            for worker in workers:
                worker.start()
            time.sleep(dice.uniform(0.0, 0.5))
            engine.kill()
            stopping.set()
            for worker in workers:
                worker.join(30)
            client.close()
            time.sleep(dice.choice([0, 0, 0.3]))
            engine.start()
            storm.check_notes(client, workers)
            check_enders(client, enders)
            for name, pid in keepers.items():
                now = storm.state(client, name)
                assert (now["Status"], now["Pid"]) == ("running", pid), f"turn {turn}: {name}: {now}"
            storm.remove(client, [*enders, *(name for worker in workers for name in worker.notes)])
        for name in keepers:
            client.post(f"/containers/{name}/kill")
            client.post(f"/containers/{name}/wait")
            raw = storm.logged(client, name)
            assert storm.check_numbers(storm.unframed(raw), name) > 100


@pytest.mark.timeout(600)
def test_a_log_follower_of_the_next_daemon_sees_everything(fresh_sampand):
    engine = fresh_sampand
    with engine.client() as client:
        storm.run(client, "talker", "sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); usleep 500; done")
        for _ in range(3):
            engine.kill()
            client.close()
            engine.start()
        answer = client.get("/containers/talker/logs?stdout=1&follow=1")
        assert storm.check_numbers(storm.unframed(answer.body), "talker") == 3000


def test_restart_by_sigterm_is_invisible_to_containers(fresh_sampand):
    engine = fresh_sampand
    with engine.client() as client:
        storm.run(client, "keeper", "sh", "-c", COUNTER)
        before = storm.state(client, "keeper")
        client.close()
        engine.restart()
        after = storm.state(client, "keeper")
        assert (after["Pid"], after["StartedAt"]) == (before["Pid"], before["StartedAt"])
        made = client.post("/containers/keeper/exec", {"Cmd": ["true"]}).json()["Id"]
        assert client.post(f"/exec/{made}/start", {"Detach": True}).status == 200


def test_names_of_killed_creates_are_free_again(fresh_sampand, long_run):
    """Kill at every few milliseconds of a single life: its name can always be used again."""
    engine, dice = fresh_sampand, storm.dice()
    with engine.client() as client:
        for turn in range(60 if long_run else 8):
            worker = storm.Worker(engine, 0, threading.Event(), random.Random(turn))
            worker.start()
            time.sleep(dice.uniform(0.0, 0.08))
            engine.kill()
            worker.stopping.set()
            worker.join(30)
            client.close()
            engine.start()
            storm.check_notes(client, [worker])
            storm.remove(client, list(worker.notes))
            assert client.get("/containers/json?all=1").json() == []
