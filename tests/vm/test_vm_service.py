"""The daemon as a service: containers go on while it restarts, stops, or is killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from guest_kit import GROUPS, MIB, Group, actions, execute, inspect, main_pid, monitor_pid, output, systemctl, wait

from rig.storm import create, run, wait_until

TICKING = ("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done")
UNTIL_TOLD = ("sh", "-c", "while ! [ -e /go ]; do sleep 0.1; done; echo told; exit 9")


def restart(api):
    systemctl("restart", "sampand")
    api.close()


def crash(api):
    """Kill the daemon; systemd starts another."""
    before = main_pid()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: main_pid() not in (0, before), "another daemon", 60)
    systemctl("start", "sampand")
    api.close()
    api.until_answer(60)


@pytest.mark.parametrize("again", [restart, crash])
def test_containers_go_on(api, again):
    identity = run(api, "ticking", *TICKING, HostConfig={"Memory": 64 * MIB})
    run(api, "paused", *TICKING)
    assert api.post("/containers/paused/pause").status == 204
    before, daemon, monitor = inspect(api, "ticking")["State"], main_pid(), monitor_pid()
    again(api)
    assert main_pid() != daemon
    assert monitor_pid() == monitor
    state = inspect(api, "ticking")["State"]
    assert (state["Status"], state["Pid"], state["StartedAt"]) == ("running", before["Pid"], before["StartedAt"])
    assert Group(identity).processes() >= {before["Pid"]}
    assert inspect(api, "paused")["State"]["Status"] == "paused"
    assert api.post("/containers/paused/unpause").status == 204
    assert execute(api, "ticking", "echo", "hello") == (0, "hello\n")
    last = int(output(api, "ticking").split()[-1])
    wait_until(lambda: int(output(api, "ticking").split()[-1]) > last, "more output")
    numbers = output(api, "ticking").split()
    assert numbers == [str(number + 1) for number in range(len(numbers))], "the log has a gap"
    assert api.post("/containers/ticking/kill").status == 204
    assert wait(api, "ticking") == 137


def test_an_end_without_a_daemon_is_told_by_the_next_one(api):
    since = time.time()
    identity = run(api, "ending", *UNTIL_TOLD)
    greedy = {"Memory": 16 * MIB, "MemorySwap": 16 * MIB}
    greedy_id = run(
        api, "greedy", "sh", "-c", "while ! [ -e /go ]; do sleep 0.1; done; exec tail /dev/zero", HostConfig=greedy
    )
    roots = [f"/proc/{inspect(api, name)['State']['Pid']}/root/go" for name in ("ending", "greedy")]
    groups = [Group(identity), Group(greedy_id)]
    systemctl("stop", "sampand")
    api.close()
    assert all(group.processes() for group in groups)
    for path in roots:
        os.close(os.open(path, os.O_CREAT))
    wait_until(lambda: all(group.gone() for group in groups), "both ends", 60)
    systemctl("start", "sampand")
    state = inspect(api, "ending")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 9)
    assert output(api, "ending") == "told\n"
    state = inspect(api, "greedy")["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)
    assert actions(api, since, identity)[-1] == "die"


def test_a_policy_starts_containers_with_the_service(api):
    create(api, "wanted", "sleep", "1000", HostConfig={"RestartPolicy": {"Name": "always"}})
    assert api.post("/containers/wanted/start").status == 204
    pid = inspect(api, "wanted")["State"]["Pid"]
    systemctl("stop", "sampand")
    api.close()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "its end")
    systemctl("start", "sampand")
    wait_until(lambda: inspect(api, "wanted")["State"]["Running"], "its start", 60)


def test_the_services_group_holds_no_container(api):
    pid = inspect(api, run(api, "apart", "sleep", "1000"))["State"]["Pid"]
    assert Path(f"/proc/{pid}/cgroup").read_text().startswith("0::/sampan/")
    assert systemctl("show", "--property=Delegate", "--value", "sampand") == "yes"
    systemctl("daemon-reload")
    assert Group(inspect(api, "apart")["Id"]).processes() == {pid}


def test_a_service_without_containers_leaves_nothing(api):
    identity = run(api, "short", "true")
    assert wait(api, "short") == 0
    wait_until(Group(identity).gone, "the end of its group")
    assert api.delete("/containers/short").status == 204
    monitor = monitor_pid()
    systemctl("stop", "sampand")
    api.close()
    wait_until(lambda: not os.path.exists(f"/proc/{monitor}"), "the monitor's end", 60)
    assert not GROUPS.exists()
    systemctl("start", "sampand")
