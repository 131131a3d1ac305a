"""Limits as the kernel has them: at the start, after an update, after a restart, and as a container sees them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from guest_kit import MIB, Group, execute, inspect, wait

from rig.storm import run, wait_until

DISK = os.stat("/dev/vda").st_rdev if Path("/dev/vda").exists() else 0
DISK_NUMBER = f"{os.major(DISK)}:{os.minor(DISK)}"
SLEEP = ("sleep", "1000")


def limited(api, **limits):
    """A running container with these limits: its group."""
    return Group(run(api, "limited", *SLEEP, HostConfig=limits))


def update(api, **limits):
    answer = api.post("/containers/limited/update", limits)
    assert answer.status == 200, answer.message


@pytest.mark.parametrize(
    ("limits", "files"),
    [
        ({"Memory": 64 * MIB}, {"memory.max": str(64 * MIB), "memory.swap.max": str(64 * MIB)}),
        ({"Memory": 64 * MIB, "MemorySwap": 64 * MIB}, {"memory.max": str(64 * MIB), "memory.swap.max": "0"}),
        ({"Memory": 64 * MIB, "MemorySwap": -1}, {"memory.max": str(64 * MIB), "memory.swap.max": "max"}),
        ({"MemoryReservation": 32 * MIB}, {"memory.max": "max", "memory.low": str(32 * MIB)}),
        ({"NanoCpus": 1_500_000_000}, {"cpu.max": "150000 100000"}),
        ({"CpuQuota": 25_000, "CpuPeriod": 50_000}, {"cpu.max": "25000 50000"}),
        ({"CpuShares": 512}, {"cpu.weight": "20"}),
        ({"CpusetCpus": "1"}, {"cpuset.cpus": "1", "cpuset.cpus.effective": "1"}),
        ({"BlkioWeight": 300}, {"io.weight": "default 2930"}),
        ({"PidsLimit": 42}, {"pids.max": "42"}),
        ({"PidsLimit": -1}, {"pids.max": "max"}),
        ({}, {"memory.max": "max", "cpu.max": "max 100000", "pids.max": "max"}),
    ],
    ids=lambda value: "-".join(value) or "none",
)
def test_at_the_start(api, limits, files):
    group = limited(api, **limits)
    assert {name: group.value(name) for name in files} == files


def test_throttles_of_a_disk(api):
    rates = {
        "BlkioDeviceReadBps": [{"Path": "/dev/vda", "Rate": MIB}],
        "BlkioDeviceWriteIOps": [{"Path": "/dev/vda", "Rate": 100}],
    }
    group = limited(api, **rates)
    assert group.value("io.max") == f"{DISK_NUMBER} rbps={MIB} wbps=max riops=max wiops=100"


def test_only_named_devices(api):
    read = f"mknod /disk b {os.major(DISK)} {os.minor(DISK)}; head -c 1 /disk >/dev/null"
    device = {"PathOnHost": "/dev/vda", "PathInContainer": "/dev/disk", "CgroupPermissions": "rm"}
    run(api, "strict", *SLEEP)
    run(api, "named", *SLEEP, HostConfig={"Devices": [device]})
    run(api, "free", *SLEEP, HostConfig={"Privileged": True})
    code, said = execute(api, "strict", "sh", "-c", read)
    assert (code, "Operation not permitted" in said) == (1, True)
    assert execute(api, "named", "sh", "-c", read) == (0, "")
    code, said = execute(api, "named", "sh", "-c", "dd if=/dev/zero of=/dev/disk bs=1 count=1")
    assert (code, "Operation not permitted" in said) == (1, True)
    assert execute(api, "free", "head", "-c", "0", "/dev/vda") == (0, "")


def test_a_container_sees_its_own_group_as_the_root(api):
    limited(api, Memory=64 * MIB)
    assert execute(api, "limited", "cat", "/proc/self/cgroup") == (0, "0::/\n")
    assert execute(api, "limited", "cat", "/sys/fs/cgroup/memory.max") == (0, f"{64 * MIB}\n")
    code, said = execute(api, "limited", "sh", "-c", "echo max >/sys/fs/cgroup/memory.max")
    assert code != 0
    assert "Read-only file system" in said


def test_the_hosts_groups_where_asked(api):
    identity = run(api, "open", *SLEEP, HostConfig={"CgroupnsMode": "host"})
    assert execute(api, "open", "cat", "/proc/self/cgroup") == (0, f"0::/sampan/{identity}\n")


def test_another_parent(api):
    identity = run(api, "elsewhere", *SLEEP, HostConfig={"CgroupParent": "/other/parent"})
    folder = Path("/sys/fs/cgroup/other/parent") / identity
    assert folder.joinpath("cgroup.procs").read_text().split() == [str(inspect(api, identity)["State"]["Pid"])]
    assert api.delete(f"/containers/{identity}?force=1").status == 204
    wait_until(lambda: not folder.exists(), "the end of its group")
    folder.parent.rmdir()
    folder.parent.parent.rmdir()


def test_no_more_processes_than_allowed(api):
    code = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait"
    identity = run(api, "forker", "sh", "-c", code, HostConfig={"PidsLimit": 4})
    assert wait(api, "forker") != 0
    group = Group(run(api, "forks", *SLEEP, HostConfig={"PidsLimit": 4}))
    assert execute(api, "forks", "sh", "-c", code)[0] != 0
    assert group.counters("pids.events")["max"] > 0
    assert Group(identity).gone()


def test_an_update_changes_a_running_container(api):
    group = limited(api, Memory=64 * MIB)
    update(api, Memory=128 * MIB, MemorySwap=256 * MIB, MemoryReservation=32 * MIB)
    assert group.value("memory.max") == str(128 * MIB)
    assert group.value("memory.swap.max") == str(128 * MIB)
    assert group.value("memory.low") == str(32 * MIB)
    update(api, MemorySwap=-1)
    assert group.value("memory.swap.max") == "max"
    update(api, CpuQuota=50_000, CpuShares=2048, CpusetCpus="0", PidsLimit=77)
    assert group.value("cpu.max") == "50000 100000"
    assert group.value("cpu.weight") == "79"
    assert group.value("cpuset.cpus") == "0"
    assert group.value("pids.max") == "77"
    update(api, BlkioWeight=500)
    assert group.value("io.weight") == "default 4950"
    update(api, PidsLimit=-1)
    assert group.value("pids.max") == "max"
    update(api, CpuQuota=-1)
    assert group.value("cpu.max") == "max 100000"


def test_an_update_holds_after_a_restart(api):
    group = limited(api)
    update(api, NanoCpus=500_000_000, PidsLimit=55, Memory=64 * MIB, MemorySwap=64 * MIB)
    assert api.post("/containers/limited/restart?t=0").status == 204
    assert group.value("cpu.max") == "50000 100000"
    assert (group.value("pids.max"), group.value("memory.max"), group.value("memory.swap.max")) == (
        "55",
        str(64 * MIB),
        "0",
    )


def test_what_the_kernel_refuses_changes_nothing(api):
    group = limited(api, PidsLimit=33)
    before = group.value("cpu.weight")
    refused = api.post("/containers/limited/update", {"CpuShares": 4096, "CpuQuota": 50_000, "CpusetMems": "0-63"})
    assert refused.status >= 400
    assert (group.value("cpu.weight"), group.value("cpu.max")) == (before, "max 100000")
    host = inspect(api, "limited")["HostConfig"]
    assert (host["CpuShares"], host["CpuQuota"], host["CpusetMems"]) == (0, 0, "")


def test_the_processors_of_a_cpuset(api):
    limited(api, CpusetCpus="1")
    pid = inspect(api, "limited")["State"]["Pid"]
    assert os.sched_getaffinity(pid) == {1}
    update(api, CpusetCpus="0-1")
    assert os.sched_getaffinity(pid) == {0, 1}
