"""One container that is stuck holds up nobody else."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rig import storm
from rig.care import load, started, stop_and_check
from rig.engines import Sampand
from rig.ramdisk import RamDisk

pytestmark = pytest.mark.root

# How long an answer may take before it counts as hung. It is no measure of speed.
HUNG = 15


def others_work(engine):
    """List, inspect, logs, run, exec, stop and remove of other containers, each on a connection that times out."""
    with engine.client(timeout=HUNG) as client:
        assert client.get("/containers/json?all=1").status == 200
        assert client.get("/containers/stuck/json").status == 200
        assert client.get("/containers/stuck/logs?stdout=1").status == 200
        storm.run(client, "other", "sleep", "100")
        made = client.post("/containers/other/exec", {"Cmd": ["true"]}).json()["Id"]
        assert client.post(f"/exec/{made}/start", {"Detach": True}).status == 200
        assert client.post("/containers/other/stop?t=0").status == 204
        assert client.delete("/containers/other").status == 204


@pytest.fixture
def frozen_disk(tmp_path):
    disk = RamDisk(tmp_path / "disk", 64)
    yield disk
    disk.close()


def in_background(engine, method, path):
    """A request that may hang: the thread, and a list that its answer's status goes to."""
    statuses = []

    def ask():
        with engine.client(timeout=100) as client:
            statuses.append(client.request(method, path).status)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, statuses


def test_a_process_in_uninterruptible_sleep(frozen_disk, fresh_sampand):
    engine = fresh_sampand
    with engine.client() as client:
        script = "while :; do echo x > /frozen/file; done"
        storm.run(client, "stuck", "sh", "-c", script, HostConfig={"Binds": [f"{frozen_disk.path}:/frozen"]})
        pid = storm.state(client, "stuck")["Pid"]
        frozen_disk.freeze()
        try:
            storm.wait_until(lambda: sleeps_uninterruptibly(pid), "the writer sleeps uninterruptibly")
            stopper, stopped = in_background(engine, "POST", "/containers/stuck/stop?t=0")
            remover, removed = in_background(engine, "DELETE", "/containers/stuck?force=1")
            for _ in range(3):
                others_work(engine)
            assert not removed
        finally:
            frozen_disk.thaw()
        stopper.join(60)
        remover.join(60)
        assert removed == [204] and stopped and stopped[0] in (204, 404)
        assert storm.state(client, "stuck")["Status"] == storm.GONE


def sleeps_uninterruptibly(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "D"


@pytest.fixture
def slow_runtime(tmp_path):
    """A runtime that hangs on every command for as long as the file `hold` is there."""
    script = tmp_path / "slow-runtime"
    script.write_text(f'#!/bin/sh\nwhile [ -e {tmp_path}/hold ]; do sleep 0.1; done\nexec crun "$@"\n')
    script.chmod(0o755)
    return script


def test_a_runtime_that_hangs(slow_runtime, tmp_path):
    engine = started(Sampand(flags=(f"--add-runtime=slow={slow_runtime}",)))
    load(engine)
    try:
        with engine.client() as client:
            storm.create(client, "stuck", "sh", "-c", "exit 3", HostConfig={"Runtime": "slow"})
            (tmp_path / "hold").touch()
            starter, answered = in_background(engine, "POST", "/containers/stuck/start")
            for _ in range(3):
                others_work(engine)
            assert not answered
            (tmp_path / "hold").unlink()
            starter.join(60)
            assert answered == [204]
            assert client.post("/containers/stuck/wait").json()["StatusCode"] == 3
    finally:
        stop_and_check(engine)


def test_a_stopped_process_can_be_killed(fresh_sampand):
    """A container whose processes are all stopped by SIGSTOP still goes away."""
    with fresh_sampand.client(timeout=60) as client:
        storm.run(client, "stuck", "sleep", "1000")
        assert client.post("/containers/stuck/kill?signal=STOP").status == 204
        others_work(fresh_sampand)
        assert client.delete("/containers/stuck?force=1").status == 204
