"""Many lives of containers leave memory, descriptors, mounts and files as they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rig import leaks, storm

pytestmark = pytest.mark.root


def resident_megabytes(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def cycle(client):
    storm.run(client, "cycled", "echo", "x")
    client.post("/containers/cycled/wait")
    assert client.delete("/containers/cycled").status == 204


@pytest.mark.timeout(3600)
def test_many_cycles(fresh_sampand, long_run):
    engine = fresh_sampand
    with engine.client() as client:
        for _ in range(100):
            cycle(client)
        assert not leaks.settled(engine)
        before = resident_megabytes(engine.pid), leaks.descriptors(engine.pid)
        for _ in range(10_000 if long_run else 200):
            cycle(client)
        assert not leaks.settled(engine)
        after = resident_megabytes(engine.pid), leaks.descriptors(engine.pid)
        assert after[0] < before[0] + 5, f"memory grew from {before[0]:.1f} to {after[0]:.1f} MB"
        assert after[1] <= before[1] + 5, f"descriptors grew from {before[1]} to {after[1]}"


def vanish(engine, client):
    """Attach, logs, wait, exec and events whose clients go away in the middle."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
    with engine.client() as attached, engine.client() as follower, engine.client() as waiter:
        attached.begin("POST", "/containers/talker/attach?stream=1&stdin=1&stdout=1", None, upgrade)
        follower.begin("GET", "/containers/talker/logs?stdout=1&follow=1")
        waiter.begin("POST", "/containers/talker/wait")
    with engine.client() as runner, engine.client() as watcher:
        made = client.post("/containers/talker/exec", {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True})
        runner.begin("POST", f"/exec/{made.json()['Id']}/start", {"Detach": False}, upgrade)
        watcher.begin("GET", "/events")


def test_clients_that_go_away_leave_nothing(fresh_sampand):
    engine = fresh_sampand
    with engine.client() as client:
        storm.run(client, "talker", "sh", "-c", "while :; do echo x; usleep 1000; done", OpenStdin=True)
        for _ in range(20):  # until every worker thread has its own connection to the database
            vanish(engine, client)
        before = leaks.descriptors(engine.pid)
        for _ in range(40):
            vanish(engine, client)
        storm.wait_until(lambda: leaks.descriptors(engine.pid) <= before + 5, f"descriptors are back at {before}")


def test_who_waits_for_what_is_removed_is_let_go(fresh_sampand):
    upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
    engine = fresh_sampand
    with engine.client() as client:
        before = leaks.descriptors(engine.pid)
        for _ in range(10):
            storm.create(client, "never-started", "true")
            with engine.client() as attached:
                attached.begin("POST", "/containers/never-started/attach?stream=1&stdout=1", None, upgrade)
                connection, early = attached.hijack()
            assert client.delete("/containers/never-started").status == 204
            with connection:
                assert early + connection.recv(100) == b""
            others = [engine.client() for _ in range(4)]  # whoever gets the descriptors that were closed
            assert [other.get("/_ping").status for other in others] == [200] * 4
            for other in others:
                other.close()
        storm.wait_until(lambda: leaks.descriptors(engine.pid) <= before + 5, f"descriptors are back at {before}")


@pytest.mark.timeout(600)
def test_two_hundred_at_once(fresh_sampand):
    engine, count = fresh_sampand, 200
    with engine.client() as client:
        for number in range(count):
            storm.run(client, f"many-{number}", "sleep", "100000")
        shown = client.get("/containers/json").json()
        assert len(shown) == count and {c["State"] for c in shown} == {"running"}
        client.close()
        engine.kill()
        engine.start()
        assert len(client.get("/containers/json").json()) == count
        storm.remove(client, [f"many-{number}" for number in range(count)])
