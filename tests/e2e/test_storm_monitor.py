"""SIGKILL of the monitor: no container notices, no byte of a log and no exit code is lost."""

from __future__ import annotations

import os
import signal
import time

import pytest

from rig import storm

pytestmark = pytest.mark.root

# Writes without pause. The log is large enough that nothing is rotated away.
WRITER = "i=0; while :; do echo $i; i=$((i+1)); done"
LOG = {"LogConfig": {"Type": "json-file", "Config": {"max-size": "4g", "max-file": "1"}}}


def kill_monitor(engine):
    pid = storm.wait_until(engine.monitor_pid, "there is a monitor to kill")
    os.kill(pid, signal.SIGKILL)
    return pid


@pytest.mark.timeout(1800)
def test_containers_that_write_without_pause_lose_nothing(fresh_sampand, long_run):
    engine, dice = fresh_sampand, storm.dice()
    with engine.client() as client:
        writers = {f"writer-{n}": 0 for n in range(2)}
        for name in writers:
            storm.run(client, name, "sh", "-c", WRITER, HostConfig=LOG)
            writers[name] = storm.state(client, name)["Pid"]
        for turn in range(50 if long_run else 5):
            ender, code = f"ender-{turn}", dice.randrange(1, 120)
            storm.run(client, ender, "sh", "-c", f"usleep {dice.randrange(400_000)}; exit {code}")
            time.sleep(dice.uniform(0.0, 0.4))
            killed = kill_monitor(engine)
            ended = storm.wait_until(
                lambda ender=ender: (now := storm.state(client, ender))["Status"] == "exited" and now, ender, 10
            )
            assert ended["ExitCode"] == code, f"turn {turn}: {ender}: {ended}"
            storm.remove(client, [ender])
            storm.wait_until(lambda killed=killed: engine.monitor_pid() not in (None, killed), "there is a new monitor")
            for name, pid in writers.items():
                now = storm.state(client, name)
                assert (now["Status"], now["Pid"]) == ("running", pid), f"turn {turn}: {name}: {now}"
        for name in writers:
            client.post(f"/containers/{name}/kill")
            assert client.post(f"/containers/{name}/wait").json()["StatusCode"] == 137
            assert storm.check_numbers(storm.unframed(storm.logged(client, name)), name) > 1000


def test_an_attached_client_sees_the_rest(fresh_sampand):
    engine = fresh_sampand
    with engine.client() as client, engine.client() as attached:
        script = "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); usleep 500; done; exit 9"
        storm.create(client, "talker", "sh", "-c", script)
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
        answer = attached.begin("POST", "/containers/talker/attach?stream=1&stdout=1", None, headers)
        assert answer.status == 101
        client.post("/containers/talker/start")
        time.sleep(0.3)
        kill_monitor(engine)
        connection, data = attached.hijack()
        with connection:
            while piece := connection.recv(1 << 16):
                data += piece
        assert storm.check_numbers(storm.unframed(data), "the attached client") == 2000
        assert client.post("/containers/talker/wait").json()["StatusCode"] == 9


def test_exec_and_start_work_right_after(fresh_sampand):
    engine = fresh_sampand
    with engine.client() as client:
        storm.run(client, "host", "sleep", "1000")
        for turn in range(5):
            kill_monitor(engine)

            def start_another(turn=turn):
                client.delete(f"/containers/next-{turn}?force=1")
                storm.create(client, f"next-{turn}", "sh", "-c", f"exit {turn}")
                return client.post(f"/containers/next-{turn}/start").status == 204

            storm.wait_until(start_another, "a container starts after the monitor was killed", 10)
            assert client.post(f"/containers/next-{turn}/wait").json()["StatusCode"] == turn
        assert storm.state(client, "host")["Running"]


@pytest.mark.timeout(600)
def test_both_killed_at_once(fresh_sampand, long_run):
    """Containers may meet a broken pipe then; states, pids of those that live and logs so far are right."""
    engine, dice = fresh_sampand, storm.dice()
    with engine.client() as client:
        for turn in range(20 if long_run else 4):
            storm.run(client, "quiet", "sleep", "100000")
            storm.run(client, "writer", "sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); usleep 1000; done")
            pid = storm.state(client, "quiet")["Pid"]
            time.sleep(dice.uniform(0.05, 0.4))
            monitor = engine.monitor_pid()
            engine.process.kill()
            os.kill(monitor, signal.SIGKILL)
            engine.process.wait()
            client.close()
            engine.start()
            quiet = storm.state(client, "quiet")
            assert (quiet["Status"], quiet["Pid"]) == ("running", pid), f"turn {turn}: {quiet}"
            storm.check_numbers(storm.unframed(storm.logged(client, "writer")), "writer")
            assert client.post("/containers/quiet/kill").status == 204
            client.post("/containers/quiet/wait")
            assert storm.state(client, "quiet")["Status"] == "exited"
            storm.remove(client, ["quiet", "writer"])
