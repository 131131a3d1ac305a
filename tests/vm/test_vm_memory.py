"""Running out of memory: the kernel kills, the engine says so."""

from __future__ import annotations

import time

from guest_kit import MIB, Group, actions, execute, inspect, wait

from rig.storm import run, wait_until

LITTLE = {"Memory": 16 * MIB, "MemorySwap": 16 * MIB}
# tail keeps all of a line in memory.
GREEDY = "tail /dev/zero"


def test_the_first_process_is_killed(api):
    since = time.time()
    identity = run(api, "greedy", "sh", "-c", f"exec {GREEDY}", HostConfig=LITTLE)
    assert wait(api, "greedy") == 137
    state = inspect(api, "greedy")["State"]
    assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 137, True)
    found = actions(api, since, identity)
    assert found[-2:] == ["oom", "die"]


def test_it_is_forgotten_at_the_next_start(api):
    run(api, "twice", "sh", "-c", f"[ -e /done ] && exit 0; touch /done; exec {GREEDY}", HostConfig=LITTLE)
    assert wait(api, "twice") == 137
    assert api.post("/containers/twice/start").status == 204
    assert wait(api, "twice") == 0
    assert inspect(api, "twice")["State"]["OOMKilled"] is False


def test_another_process_is_killed_and_the_container_goes_on(api):
    group = Group(run(api, "spared", "sleep", "1000", HostConfig=LITTLE))
    assert execute(api, "spared", "sh", "-c", f"exec {GREEDY}")[0] == 137
    assert inspect(api, "spared")["State"]["Running"] is True
    events = group.counters("memory.events")
    assert events["oom_kill"] == 1
    sample = api.get("/containers/spared/stats?stream=0&one-shot=1").json()
    assert sample["memory_stats"]["failcnt"] == events["oom"] > 0
    assert sample["pids_stats"]["limit"] == 2**64 - 1


def test_a_restart_policy_starts_it_again(api):
    since = time.time()
    policy = {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1}}
    identity = run(api, "again", "sh", "-c", f"exec {GREEDY}", HostConfig=LITTLE | policy)
    wait_until(lambda: inspect(api, "again")["State"]["Status"] == "exited", "the second end", 60)
    assert inspect(api, "again")["RestartCount"] == 1
    assert actions(api, since, identity).count("oom") == 2
