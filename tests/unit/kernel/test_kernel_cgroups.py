from __future__ import annotations

from pathlib import Path

import pytest

from sampan.kernel import cgroups
from sampan.kernel.cgroups import CgroupLayout

V1 = """25 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
29 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
32 25 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 25 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd
"""
UNIFIED = "38 25 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


def test_layout_v1():
    layout = cgroups.detect(V1)
    assert layout.version == 1
    assert layout.controllers == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/memory",
        "systemd": "/sys/fs/cgroup/systemd",
    }
    assert not layout.hybrid
    assert layout.directory("memory", "/a/b") == Path("/sys/fs/cgroup/memory/a/b")
    assert layout.directory("pids", "/a") is None
    assert layout.oom_counter("/a") == Path("/sys/fs/cgroup/memory/a/memory.oom_control")


def test_layout_hybrid():
    layout = cgroups.detect(V1 + UNIFIED)
    assert (layout.version, layout.hybrid, layout.unified) == (1, True, "/sys/fs/cgroup/unified")
    assert Path("/sys/fs/cgroup/unified/x") in layout.directories("/x")
    assert len(layout.directories("/x")) == 4


@pytest.fixture
def v2(tmp_path: Path) -> CgroupLayout:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cpuset.cpus.effective").write_text("0-3\n")
    return cgroups.detect(f"30 25 0:26 / {tmp_path} rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")


def test_layout_v2(v2, tmp_path):
    assert (v2.version, v2.hybrid, v2.unified) == (2, False, str(tmp_path))
    assert v2.directory("anything", "/a") == tmp_path / "a"
    assert v2.directories("/a") == [tmp_path / "a"]
    assert v2.oom_counter("/a") == tmp_path / "a" / "memory.events"


def test_limits_v2(v2, tmp_path):
    limits = cgroups.available_limits(v2)
    assert limits.memory and limits.cpu_cfs and limits.pids and limits.blkio_read_bps and limits.cpuset
    assert not (limits.swap or limits.oom_kill_disable or limits.swappiness or limits.cpu_realtime)
    assert limits.cpus == "0-3"
    (tmp_path / "system.slice").mkdir()
    (tmp_path / "system.slice" / "memory.swap.max").touch()
    assert cgroups.available_limits(v2).swap


def test_limits_v1_follow_the_files(tmp_path):
    layout = CgroupLayout(1, {name: str(tmp_path) for name in ("memory", "cpu", "cpuset", "pids")})
    assert not cgroups.available_limits(layout).memory
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "cpu.cfs_quota_us"):
        (tmp_path / name).touch()
    (tmp_path / "cpuset.cpus").write_text("0-1\n")
    limits = cgroups.available_limits(layout)
    assert limits.memory and limits.swap and limits.cpu_cfs and limits.pids and limits.cpuset
    assert limits.cpus == "0-1"
    assert not (limits.blkio_weight or limits.reservation)


def test_a_machine_without_control_groups():
    layout = cgroups.detect("")
    assert (layout.version, layout.controllers) == (2, {})
    assert not cgroups.available_limits(layout).memory


def test_counters(tmp_path):
    file = tmp_path / "memory.oom_control"
    file.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert cgroups.read_counter(file, "oom_kill") == 3
    assert cgroups.read_counter(file, "other") == 0
    assert cgroups.read_counter(tmp_path / "absent", "oom_kill") == 0


def test_processes_of_a_group_and_those_below(v2, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "cgroup.procs").write_text("12\n3\n")
    (tmp_path / "a" / "b" / "cgroup.procs").write_text("7\n")
    assert cgroups.processes(v2, "/a") == [3, 7, 12]
    assert cgroups.processes(v2, "/absent") == []


def test_removal(v2, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert cgroups.remove(v2, "/a")
    assert not (tmp_path / "a").exists()
    assert cgroups.remove(v2, "/a")


def test_a_busy_group_stays_and_that_is_told(v2, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    assert not cgroups.remove(v2, "/a", wait=0)


@pytest.mark.parametrize("path", ["", "/", "//"])
def test_root_groups_are_never_removed(v2, path):
    with pytest.raises(ValueError, match="root groups"):
        cgroups.remove(v2, path)
