"""Pausing, stats, top and commands, against the files of the control group."""

from __future__ import annotations

import json

from guest_kit import MIB, Group, execute, inspect

from rig.storm import run, wait_until

COUNTING = ("sh", "-c", "i=0; while :; do i=$((i+1)); done")


def used_now(api, name):
    return api.get(f"/containers/{name}/stats?stream=0&one-shot=1").json()


def test_a_paused_container_is_frozen(api):
    group = Group(run(api, "busy", *COUNTING))
    assert api.post("/containers/busy/pause").status == 204
    assert group.counters("cgroup.events")["frozen"] == 1
    assert inspect(api, "busy")["State"]["Status"] == "paused"
    before = group.counters("cpu.stat")["usage_usec"]
    assert api.post("/containers/busy/pause").status == 409
    assert group.counters("cpu.stat")["usage_usec"] == before
    assert api.post("/containers/busy/unpause").status == 204
    assert group.counters("cgroup.events")["frozen"] == 0
    wait_until(lambda: group.counters("cpu.stat")["usage_usec"] > before, "going on")


def test_stop_and_kill_and_removal_reach_a_paused_container(api):
    identity = run(api, "busy", *COUNTING)
    for how in ("stop?t=0", "kill"):
        assert api.post("/containers/busy/pause").status == 204
        assert api.post(f"/containers/busy/{how}").status == 204
        wait_until(lambda: inspect(api, "busy")["State"]["Status"] == "exited", how)
        assert api.post("/containers/busy/start").status == 204
    assert api.post("/containers/busy/pause").status == 204
    assert api.delete("/containers/busy?force=1").status == 204
    wait_until(Group(identity).gone, "the end of its group")


def test_a_command_needs_a_container_that_goes_on(api):
    run(api, "busy", *COUNTING)
    assert api.post("/containers/busy/pause").status == 204
    assert api.post("/containers/busy/exec", {"Cmd": ["true"]}).status == 409


def test_stats_are_the_groups_counters(api):
    group = Group(run(api, "busy", *COUNTING, HostConfig={"Memory": 64 * MIB, "PidsLimit": 9}))
    execute(api, "busy", "sh", "-c", "head -c 8000000 /dev/zero >/filled; sync")
    low = group.counters("cpu.stat")
    assert api.post("/containers/busy/pause").status == 204
    sample, high = used_now(api, "busy"), group.counters("cpu.stat")
    assert low["usage_usec"] * 1000 < sample["cpu_stats"]["cpu_usage"]["total_usage"] <= high["usage_usec"] * 1000
    assert "percpu_usage" not in sample["cpu_stats"]["cpu_usage"]
    assert sample["pids_stats"] == {"current": len(group.processes()), "limit": 9}
    memory = sample["memory_stats"]
    assert memory["limit"] == 64 * MIB
    # The kernel gives single pages back late.
    wait_until(
        lambda: used_now(api, "busy")["memory_stats"]["usage"] == int(group.value("memory.current")), "the same usage"
    )
    assert set(group.counters("memory.stat")) == set(memory["stats"])
    assert memory["stats"]["file"] >= 8_000_000
    written = [entry for entry in sample["blkio_stats"]["io_service_bytes_recursive"] if entry["op"] == "write"]
    assert sum(entry["value"] for entry in written) >= 8_000_000


def test_a_throttled_container_is_counted(api):
    run(api, "slow", *COUNTING, HostConfig={"NanoCpus": 100_000_000})
    wait_until(lambda: used_now(api, "slow")["cpu_stats"]["throttling_data"]["throttled_periods"] > 2, "throttling")


def test_a_stream_of_stats(api):
    run(api, "busy", *COUNTING)
    stream = api.stream(api.begin("GET", "/containers/busy/stats"))
    first, second = (json.loads(next(stream)) for _ in range(2))
    api.close()
    assert second["precpu_stats"] == first["cpu_stats"]
    assert second["cpu_stats"]["system_cpu_usage"] > first["cpu_stats"]["system_cpu_usage"]
    assert second["cpu_stats"]["online_cpus"] == 2


def test_top_lists_the_groups_processes(api):
    group = Group(run(api, "many", "sh", "-c", "sleep 555 & sleep 666 & wait"))
    wait_until(lambda: len(group.processes()) == 3, "three processes")
    listed = api.get("/containers/many/top?ps_args=-o%20pid,args").json()
    assert listed["Titles"] == ["PID", "COMMAND"]
    assert {int(row[0]) for row in listed["Processes"]} == group.processes()
    assert {"sleep 555", "sleep 666"} < {row[1] for row in listed["Processes"]}


def test_commands_are_in_the_containers_group(api):
    group = Group(run(api, "home", "sleep", "1000"))
    made = api.post("/containers/home/exec", {"Cmd": ["sleep", "444"]}).json()["Id"]
    assert api.post(f"/exec/{made}/start", {"Detach": True}).status == 200
    pid = wait_until(lambda: api.get(f"/exec/{made}/json").json()["Pid"], "the command's start")
    assert group.processes() == {inspect(api, "home")["State"]["Pid"], pid}


def test_commands_with_options(api):
    run(api, "home", "sleep", "1000")
    asked = {"Env": ["COLOUR=red"], "WorkingDir": "/tmp", "User": "1000:50"}
    script = "echo $COLOUR; pwd; id -u; id -g; exit 7"
    assert execute(api, "home", "sh", "-c", script, **asked) == (7, "red\n/tmp\n1000\n50\n")
