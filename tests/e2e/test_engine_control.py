"""Pausing, updating, top and stats on the real kernel."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from rig.waiting import wait_until

pytestmark = pytest.mark.root

MIB = 1 << 20
COUNTING = "i=0; while :; do i=$((i+1)); echo $i >/count; done"


@pytest.fixture
def busy(docker):
    """A container that never stands still."""
    docker.ok("run", "-d", "--name", "busy", "--net", "none", "busybox", "sh", "-c", COUNTING)
    return "busy"


def cpu_ticks(docker, name):
    """What the container's first process has used."""
    pid = docker.inspect(name)["State"]["Pid"]
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]


def stands_still(docker, name):
    before = cpu_ticks(docker, name)
    time.sleep(0.3)
    return cpu_ticks(docker, name) == before


def used_now(api, name):
    return api.get(f"/containers/{name}/stats?stream=0&one-shot=1").json()


def actions(docker, since, name):
    lines = docker.ok("events", "--since", str(since), "--until", str(time.time()), "--format", "{{json .}}")
    events = [json.loads(line) for line in lines.splitlines()]
    return [e["Action"] for e in events if e["Actor"]["Attributes"].get("name") == name]


class TestPause:
    def test_everything_stands_still_until_unpaused(self, docker, busy):
        docker.ok("pause", busy)
        assert stands_still(docker, busy)
        state = docker.inspect(busy)["State"]
        assert (state["Status"], state["Running"], state["Paused"]) == ("paused", True, True)
        assert "(Paused)" in docker.ok("ps", "--format", "{{.Status}}")
        docker.ok("unpause", busy)
        wait_until(lambda: not stands_still(docker, busy))
        assert docker.inspect(busy)["State"]["Status"] == "running"

    def test_refusals(self, docker, api, busy):
        assert api.post(f"/containers/{busy}/unpause").status == 500
        docker.ok("pause", busy)
        again = api.post(f"/containers/{busy}/pause")
        assert (again.status, "is already paused" in again.message) == (409, True)
        assert "try unpause instead" in api.post(f"/containers/{busy}/start").message
        assert "unpause the container before exec" in docker.fails("exec", busy, "true")
        assert "must be unpaused first" in docker.fails("rm", busy)
        docker.ok("create", "--name", "still", "--net", "none", "busybox", "true")
        assert api.post("/containers/still/pause").status == 409

    def test_stop_and_kill_reach_a_paused_container(self, docker, busy):
        since = time.time()
        docker.ok("pause", busy)
        docker.ok("stop", "-t", "0", busy)
        assert docker.inspect(busy)["State"]["Status"] == "exited"
        docker.ok("start", busy)
        docker.ok("pause", busy)
        docker.ok("kill", busy)
        state = docker.inspect(busy)["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 137)
        found = actions(docker, since, busy)
        assert found[:3] == ["pause", "kill", "unpause"]

    def test_a_paused_container_is_removed_by_force(self, docker, busy):
        docker.ok("pause", busy)
        docker.ok("rm", "-f", busy)
        assert not docker.exists(busy)

    @pytest.mark.parametrize("how", ["terminate", "kill"])
    def test_the_kernel_says_what_is_paused_after_a_daemon(self, fresh_sampand, how):
        with fresh_sampand.client() as api:
            body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}}
            for name in ("one", "two"):
                assert api.post(f"/containers/create?name={name}", body).status == 201
                assert api.post(f"/containers/{name}/start").status == 204
            assert api.post("/containers/one/pause").status == 204
        getattr(fresh_sampand, how)()
        fresh_sampand.start()
        with fresh_sampand.client() as api:
            assert api.get("/containers/one/json").json()["State"]["Status"] == "paused"
            assert api.get("/containers/two/json").json()["State"]["Status"] == "running"
            assert api.post("/containers/one/unpause").status == 204
            assert api.get("/containers/one/json").json()["State"]["Status"] == "running"


class TestUpdate:
    def test_limits_of_a_running_container_change_at_once(self, docker, busy):
        arguments = "--memory 64m --memory-swap 128m --cpu-shares 512 --cpu-quota 50000 --pids-limit 77 --cpuset-cpus 0"
        assert docker.ok("update", *arguments.split(), busy) == busy
        host = docker.inspect(busy)["HostConfig"]
        assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (64 * MIB, 128 * MIB, 77)
        assert (host["CpuShares"], host["CpuQuota"], host["CpusetCpus"]) == (512, 50_000, "0")
        stats = json.loads(docker.ok("stats", "--no-stream", "--format", "{{json .}}", busy))
        assert stats["MemUsage"].endswith("/ 64MiB")
        pid = docker.inspect(busy)["State"]["Pid"]
        allowed = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "Cpus_allowed_list" in line]
        assert allowed[0].split()[1] == "0"

    def test_they_hold_after_a_restart(self, docker, api, busy):
        docker.ok("update", "--pids-limit", "55", busy)
        assert used_now(api, busy)["pids_stats"]["limit"] == 55
        docker.ok("restart", "-t", "0", busy)
        assert used_now(api, busy)["pids_stats"]["limit"] == 55

    def test_a_value_that_the_kernel_refuses_changes_nothing(self, docker, api):
        fill = "head -c 40000000 /dev/zero >/t/x; sleep 1000"
        docker.ok("run", "-d", "--name", "full", "--net", "none", "--tmpfs", "/t", "busybox", "sh", "-c", fill)
        wait_until(lambda: used_now(api, "full")["memory_stats"]["usage"] > 39_000_000)
        refused = api.post("/containers/full/update", {"Memory": 8 * MIB, "MemorySwap": 8 * MIB, "CpuShares": 100})
        if refused.status == 200:
            pytest.skip("this kernel takes a limit below what is used (cgroup v2)")
        assert refused.status == 409
        assert refused.message.startswith("Cannot update container ")
        host = docker.inspect("full")["HostConfig"]
        assert (host["Memory"], host["CpuShares"]) == (0, 0)

    def test_the_restart_policy(self, docker, busy):
        docker.ok("update", "--restart", "on-failure:3", busy)
        assert docker.inspect(busy)["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
        pid = docker.inspect(busy)["State"]["Pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: docker.inspect(busy)["State"]["Pid"] not in (0, pid))
        docker.ok("update", "--restart", "no", busy)
        os.kill(docker.inspect(busy)["State"]["Pid"], signal.SIGKILL)
        wait_until(lambda: docker.inspect(busy)["State"]["Status"] == "exited")
        assert "unknown policy" in docker.fails("update", "--restart", "sometimes", busy)

    def test_contradictions(self, docker, api, busy):
        refused = api.post(f"/containers/{busy}/update", {"Memory": 64 * MIB})
        assert refused.status == 409
        assert "smaller than already set memoryswap" in refused.message
        assert api.post(f"/containers/{busy}/update", {"Memory": 1000}).status == 400
        assert api.post("/containers/nosuch/update", {}).status == 404
        assert api.post(f"/containers/{busy}/update", {}).json() == {"Warnings": None}


class TestTop:
    def test_only_the_containers_processes_with_host_pids(self, docker, busy):
        docker.ok("exec", "-d", busy, "sleep", "777")
        wait_until(lambda: "sleep 777" in docker.ok("top", busy))
        header, *rows = docker.ok("top", busy, "-o", "pid,args").splitlines()
        assert header.split() == ["PID", "COMMAND"]
        pids = {int(row.split()[0]) for row in rows}
        assert docker.inspect(busy)["State"]["Pid"] in pids
        assert any(row.endswith("sleep 777") for row in rows)
        assert all("/proc" not in row for row in rows)

    def test_options_that_do_not_go_with_a_list_of_processes(self, docker, busy):
        assert "sh -c" in docker.ok("top", busy, "axf", "-o", "pid,args")

    def test_refusals(self, docker, api, busy):
        assert "Couldn't find PID field" in docker.fails("top", busy, "-o", "args")
        assert "ps:" in docker.fails("top", busy, "--nonsense")
        docker.ok("stop", "-t", "0", busy)
        refused = api.get(f"/containers/{busy}/top")
        assert (refused.status, "is not running" in refused.message) == (409, True)


class TestStats:
    def test_a_working_container_uses_a_processor(self, docker, api, busy):
        sample = api.get(f"/containers/{busy}/stats?stream=false").json()
        assert sample["name"] == f"/{busy}"
        used = sample["cpu_stats"]["cpu_usage"]["total_usage"] - sample["precpu_stats"]["cpu_usage"]["total_usage"]
        passed = sample["cpu_stats"]["system_cpu_usage"] - sample["precpu_stats"]["system_cpu_usage"]
        assert 0 < used <= passed
        assert sample["pids_stats"]["current"] >= 1
        assert sample["memory_stats"]["usage"] > 0
        assert sample["memory_stats"]["limit"] > 0

    def test_a_stream_has_each_sample_after_the_one_before(self, api, busy):
        stream = api.stream(api.begin("GET", f"/containers/{busy}/stats"))
        first, second = (json.loads(next(stream)) for _ in range(2))
        assert first["preread"] == "0001-01-01T00:00:00Z"
        assert second["preread"] == first["read"]
        assert second["precpu_stats"] == first["cpu_stats"]
        api.close()

    def test_a_stream_ends_with_the_container(self, docker, api, busy):
        stream = api.stream(api.begin("GET", f"/containers/{busy}/stats"))
        assert json.loads(next(stream))["name"] == f"/{busy}"
        docker.ok("stop", "-t", "0", busy)
        wait_until(lambda: json.loads(next(stream))["memory_stats"] == {})
        docker.ok("rm", busy)
        for _ in stream:
            pass

    def test_what_does_not_run_has_zeros(self, docker, api):
        docker.ok("create", "--name", "still", "--net", "none", "busybox", "true")
        sample = api.get("/containers/still/stats?stream=false").json()
        assert sample["name"] == "/still"
        assert sample["memory_stats"] == {}
        assert api.get("/containers/nosuch/stats").status == 404

    def test_the_network_is_counted(self, docker, api):
        docker.ok("run", "-d", "--name", "talker", "busybox", "sleep", "1000")
        before = used_now(api, "talker")["networks"]["eth0"]
        docker.run("exec", "talker", "ping", "-c", "3", "-W", "1", gateway(docker, "talker"))
        after = used_now(api, "talker")["networks"]["eth0"]
        assert after["tx_packets"] > before["tx_packets"]

    def test_the_hosts_network_is_not_the_containers(self, docker, api):
        docker.ok("run", "-d", "--name", "open", "--net", "host", "busybox", "sleep", "1000")
        assert "networks" not in used_now(api, "open")


def gateway(docker, name):
    return docker.inspect(name)["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
