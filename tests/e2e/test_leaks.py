"""Many lives of containers leave memory, descriptors, mounts, files and the database as they were."""

from __future__ import annotations

import pytest

from rig import leaks, storm
from rig.flatness import weigh

pytestmark = pytest.mark.root
SPARE_PAGES = 32
"""Free pages that removals which come late may have left."""


def pages(engine):
    """The pages of the database, which is at rest: all of them, and those in use."""
    with leaks.copied_database(engine) as rows:
        count, free = (rows.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    return count, count - free


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
        before, stored = weigh(engine.pid), pages(engine)
        for number in range(10_000 if long_run else 200):
            cycle(client)
            if number % 1000 == 999:
                print(f"{number + 1} cycles: {weigh(engine.pid)}", flush=True)
        assert not leaks.settled(engine)
        after = weigh(engine.pid)
        assert after.megabytes < before.megabytes + 5, f"memory grew from {before} to {after}"
        assert after.descriptors <= before.descriptors + 5, f"descriptors grew from {before} to {after}"
        count, used = pages(engine)
        assert count <= stored[0] + SPARE_PAGES, f"the database grew from {stored[0]} to {count} pages"
        assert used <= stored[1] + 2, f"the pages in use grew from {stored[1]} to {used}"


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
