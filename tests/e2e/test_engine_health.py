"""Health checks on the real kernel."""

from __future__ import annotations

import json
import time

import pytest

from rig.waiting import wait_until

pytestmark = pytest.mark.root

SECOND = 10**9


def run(docker, name, check, *options):
    base = ["--health-cmd", check, "--health-interval", "100ms", "--health-retries", "2", "--net", "none"]
    docker.ok("run", "-d", "--name", name, *base, *options, "busybox", "sleep", "1000")


def health(docker, name):
    return docker.inspect(name)["State"]["Health"]


def is_now(docker, name, status):
    return wait_until(lambda: health(docker, name)["Status"] == status)


def actions(docker, since, name):
    lines = docker.ok("events", "--since", str(since), "--until", str(time.time()), "--format", "{{json .}}")
    events = [json.loads(line) for line in lines.splitlines()]
    return [e["Action"] for e in events if e["Actor"]["Attributes"].get("name") == name]


def test_from_starting_to_unhealthy_to_healthy(docker):
    since = time.time()
    run(docker, "box", "echo out; echo err >&2; test -e /well")
    is_now(docker, "box", "unhealthy")
    found = health(docker, "box")
    assert found["FailingStreak"] >= 2
    assert found["Log"][0]["ExitCode"] == 1
    assert set(found["Log"][0]["Output"].split()) == {"out", "err"}
    assert "(unhealthy)" in docker.ok("ps", "--format", "{{.Status}}")
    assert docker.ok("ps", "-q", "--filter", "health=unhealthy") != ""
    docker.ok("exec", "box", "touch", "/well")
    is_now(docker, "box", "healthy")
    assert "(healthy)" in docker.ok("ps", "--format", "{{.Status}}")
    wait_until(lambda: len(health(docker, "box")["Log"]) == 5)
    told = [action for action in actions(docker, since, "box") if action.startswith("health_status")]
    assert told == ["health_status: unhealthy", "health_status: healthy"]


def test_execs_of_checks_are_not_kept(docker):
    run(docker, "box", "true")
    wait_until(lambda: len(health(docker, "box")["Log"]) == 5)
    assert len(docker.inspect("box")["ExecIDs"] or []) <= 1


def test_a_check_that_hangs_is_ended(docker):
    run(docker, "box", "echo before; sleep 1234", "--health-timeout", "200ms", "--health-retries", "1")
    is_now(docker, "box", "unhealthy")
    entry = health(docker, "box")["Log"][0]
    assert entry["ExitCode"] == -1
    assert entry["Output"].startswith("Health check exceeded timeout (200ms): before")
    docker.ok("rm", "-f", "box")


def test_the_start_period_forgives(docker):
    run(docker, "box", "false", "--health-start-period", "1h", "--health-start-interval", "100ms")
    wait_until(lambda: len(health(docker, "box")["Log"]) >= 4)
    found = health(docker, "box")
    assert (found["Status"], found["FailingStreak"]) == ("starting", 0)


def test_a_program_that_is_not_there(api, docker):
    check = {"Test": ["CMD", "nosuch"], "Interval": SECOND // 10, "Retries": 1}
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "Healthcheck": check, "HostConfig": {"NetworkMode": "none"}}
    assert api.post("/containers/create?name=box", body).status == 201
    assert "Health" not in docker.inspect("box")["State"]
    docker.ok("start", "box")
    is_now(docker, "box", "unhealthy")
    assert '"nosuch": executable file not found' in health(docker, "box")["Log"][0]["Output"]


def test_the_check_is_the_containers_user_in_its_directory(docker):
    run(docker, "box", "id -u; pwd; echo $WORD", "-u", "1000", "-w", "/tmp", "-e", "WORD=said")
    is_now(docker, "box", "healthy")
    assert health(docker, "box")["Log"][0]["Output"] == "1000\n/tmp\nsaid\n"


def test_stopped_and_started(docker):
    run(docker, "box", "true")
    is_now(docker, "box", "healthy")
    docker.ok("stop", "-t", "0", "box")
    assert health(docker, "box")["Status"] == "unhealthy"
    docker.ok("start", "box")
    is_now(docker, "box", "healthy")


def test_no_healthcheck(docker):
    docker.ok("run", "-d", "--name", "box", "--no-healthcheck", "--net", "none", "busybox", "sleep", "1000")
    assert "Health" not in docker.inspect("box")["State"]
    assert docker.ok("ps", "--filter", "health=none", "--format", "{{.Names}}") == "box"


def test_an_unhealthy_container_is_restarted_when_it_wants_that(docker):
    since = time.time()
    run(docker, "box", "test ! -e /ill", "--label", "io.sampan.restart-unhealthy=true", "--stop-timeout", "0")
    is_now(docker, "box", "healthy")
    first = docker.inspect("box")["State"]["Pid"]
    docker.ok("exec", "box", "touch", "/ill")
    wait_until(lambda: docker.inspect("box")["State"]["Pid"] not in (0, first))
    # It may be on its way into the next restart.
    wait_until(lambda: docker.run("exec", "box", "rm", "-f", "/ill").returncode == 0)
    is_now(docker, "box", "healthy")
    assert "restart" in actions(docker, since, "box")


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_new_daemon_goes_on(fresh_sampand, how):
    check = {"Test": ["CMD-SHELL", "test ! -e /ill"], "Interval": SECOND // 10, "Retries": 2}
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "Healthcheck": check, "HostConfig": {"NetworkMode": "none"}}

    def now(api):
        return api.get("/containers/box/json").json()["State"]["Health"]

    with fresh_sampand.client() as api:
        assert api.post("/containers/create?name=box", body).status == 201
        assert api.post("/containers/box/start").status == 204
        wait_until(lambda: len(now(api)["Log"]) >= 3)
    getattr(fresh_sampand, how)()
    fresh_sampand.start()
    with fresh_sampand.client() as api:
        assert now(api)["Status"] == "healthy"
        assert len(now(api)["Log"]) >= 2
        last = now(api)["Log"][-1]["End"]
        wait_until(lambda: now(api)["Log"][-1]["End"] != last)
        made = api.post("/containers/box/exec", {"Cmd": ["touch", "/ill"]}).json()["Id"]
        assert api.post(f"/exec/{made}/start", {"Detach": True}).status == 200
        wait_until(lambda: now(api)["Status"] == "unhealthy")
