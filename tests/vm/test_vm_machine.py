"""The machine is what these tests are about: systemd, cgroup v2 and nothing else, sampand as a service."""

from __future__ import annotations

from pathlib import Path


def test_nothing_but_cgroup_v2_is_mounted():
    kinds = [line.partition(" - ")[2].split()[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert "cgroup2" in kinds
    assert "cgroup" not in kinds


def test_systemd_is_the_first_process():
    assert Path("/proc/1/comm").read_text() == "systemd\n"


def test_the_engine_says_so(api):
    info = api.get("/info").json()
    assert info["CgroupVersion"] == "2"
    assert "name=cgroupns" in info["SecurityOptions"]
    for name in ("MemoryLimit", "SwapLimit", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit"):
        assert info[name], name
