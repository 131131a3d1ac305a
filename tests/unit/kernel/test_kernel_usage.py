from __future__ import annotations

import os
from pathlib import Path

import pytest

from sampan.kernel.cgroups import CgroupLayout
from sampan.kernel.usage import IoCounter, interfaces, read_usage, system_cpu_time

V1_FILES = {
    "memory.usage_in_bytes": "1560576\n",
    "memory.max_usage_in_bytes": "4616192\n",
    "memory.limit_in_bytes": "104857600\n",
    "memory.failcnt": "2\n",
    "memory.stat": "cache 5\nshmem 6\ntotal_rss 7\nhierarchical_memory_limit 8\n",
    "cpuacct.usage": "138647235\n",
    "cpuacct.usage_percpu": "29336516 109310719 \n",
    "cpuacct.stat": "user 11\nsystem 1\n",
    "cpu.stat": "nr_periods 12\nnr_throttled 11\nthrottled_time 784222669\n",
    "pids.current": "3\n",
    "pids.max": "20\n",
    "blkio.throttle.io_service_bytes_recursive": "254:0 Read 921600\n254:0 Total 921600\nTotal 921600\n",
    "blkio.throttle.io_serviced_recursive": "Total 0\n",
}
V2_FILES = {
    "memory.current": "100\n",
    "memory.peak": "200\n",
    "memory.max": "max\n",
    "memory.events": "low 0\nmax 9\noom 4\noom_kill 1\n",
    "memory.stat": "anon 5\nfile 6\n",
    "cpu.stat": "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 1\nnr_throttled 2\nthrottled_usec 3\n",
    "pids.current": "3\n",
    "pids.max": "max\n",
    "io.stat": "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
}


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.fixture
def v1(tmp_path: Path) -> CgroupLayout:
    return CgroupLayout(1, dict.fromkeys(("memory", "cpu", "cpuacct", "blkio", "pids"), str(tmp_path)))


def test_v1(v1, tmp_path):
    write(tmp_path / "a", V1_FILES)
    found = read_usage(v1, "/a")
    assert found is not None
    assert (found.memory, found.memory_peak, found.memory_limit, found.memory_failures) == (
        1560576,
        4616192,
        104857600,
        2,
    )
    assert found.memory_stats == {"cache": 5, "total_rss": 7, "hierarchical_memory_limit": 8}
    assert (found.cpu, found.cpus) == (138647235, (29336516, 109310719))
    assert (found.cpu_user, found.cpu_kernel) == (110_000_000, 10_000_000)
    assert (found.periods, found.throttled_periods, found.throttled) == (12, 11, 784222669)
    assert (found.processes, found.processes_limit) == (3, 20)
    assert found.io_bytes == (IoCounter(254, 0, "Read", 921600), IoCounter(254, 0, "Total", 921600))
    assert found.io_operations == ()


def test_v1_without_limits(v1, tmp_path):
    write(tmp_path / "a", {"memory.limit_in_bytes": "9223372036854771712\n", "pids.max": "max\n"})
    found = read_usage(v1, "/a")
    assert found is not None
    assert (found.memory_limit, found.processes_limit, found.cpu) == (0, 0, 0)


def test_v2(tmp_path):
    layout = CgroupLayout(2, {}, str(tmp_path))
    write(tmp_path / "a", V2_FILES)
    found = read_usage(layout, "/a")
    assert found is not None
    assert (found.memory, found.memory_peak, found.memory_limit, found.memory_failures) == (100, 200, 0, 4)
    assert found.memory_stats == {"anon": 5, "file": 6}
    assert (found.cpu, found.cpu_user, found.cpu_kernel, found.throttled) == (30_000, 20_000, 10_000, 3_000)
    assert found.io_bytes == (IoCounter(254, 0, "read", 1), IoCounter(254, 0, "write", 2))
    assert found.io_operations == (IoCounter(254, 0, "read", 3), IoCounter(254, 0, "write", 4))


def test_a_group_that_is_gone(v1):
    assert read_usage(v1, "/a") is None


def test_this_machine():
    assert 0 < system_cpu_time() <= system_cpu_time()
    assert all(interface.name != "lo" for interface in interfaces(os.getpid()))
    assert interfaces(2**22 + 1) == []
