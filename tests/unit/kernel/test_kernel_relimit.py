"""Which files get which values, in which order, and that a refused one leaves all as it was."""

import pytest

from sampan.kernel import relimit
from sampan.kernel.cgroups import CgroupLayout

MIB = 1 << 20
V1 = ("memory", "cpu", "cpuset", "pids", "blkio")


@pytest.fixture
def v1(tmp_path):
    files = {
        "memory": {"memory.limit_in_bytes": f"{100 * MIB}\n", "memory.memsw.limit_in_bytes": f"{200 * MIB}\n"},
        "cpu": {"cpu.shares": "1024\n", "cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"},
        "cpuset": {"cpuset.cpus": "0-1\n", "cpuset.mems": "0\n"},
        "pids": {"pids.max": "max\n"},
        "blkio": {"blkio.throttle.read_bps_device": ""},
    }
    for controller, contents in files.items():
        folder = tmp_path / controller / "g"
        folder.mkdir(parents=True)
        for name, text in contents.items():
            (folder / name).write_text(text)
    return CgroupLayout(1, {name: str(tmp_path / name) for name in V1})


@pytest.fixture
def v2(tmp_path):
    folder = tmp_path / "g"
    folder.mkdir()
    for name, text in {
        "memory.max": f"{100 * MIB}\n",
        "memory.swap.max": "max\n",
        "memory.low": "0\n",
        "cpu.weight": "100\n",
        "cpu.max": "max 100000\n",
        "pids.max": "max\n",
        "io.max": "",
    }.items():
        (folder / name).write_text(text)
    return CgroupLayout(2, {}, str(tmp_path))


def content(layout, controller, name):
    # A real cgroup file takes each write whole; a plain file keeps what was longer before.
    return (layout.directory(controller, "/g") / name).read_text().split("\n")[0]


@pytest.fixture
def written(monkeypatch):
    """The files in the order of their writing, with values."""
    order = []
    genuine = relimit._write

    def write(file, value):
        order.append((file.name, value))
        genuine(file, value)

    monkeypatch.setattr(relimit, "_write", write)
    return order


@pytest.mark.parametrize(
    ("memory", "order"),
    [
        ({"limit": 300 * MIB, "swap": 400 * MIB}, ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"]),
        ({"limit": 150 * MIB, "swap": -1}, ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"]),
        ({"limit": 10 * MIB, "swap": 20 * MIB}, ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]),
        ({"limit": 10 * MIB}, ["memory.limit_in_bytes"]),
    ],
)
def test_v1_memory_is_never_above_memory_and_swap(v1, written, memory, order):
    relimit.relimit(v1, "/g", {"memory": memory})
    assert [name for name, _ in written] == order


def test_v1_values(v1, written):
    section = {
        "cpu": {"shares": 512, "quota": 5000, "cpus": "0"},
        "pids": {"limit": -1},
        "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}]},
    }
    relimit.relimit(v1, "/g", section)
    assert written == [
        ("cpu.shares", "512"),
        ("cpu.cfs_quota_us", "5000"),
        ("cpuset.cpus", "0"),
        ("pids.max", "max"),
        ("blkio.throttle.read_bps_device", "8:0 1000"),
    ]


def test_v2_values(v2, written):
    section = {
        "memory": {"limit": 50 * MIB, "swap": 70 * MIB, "reservation": MIB},
        "cpu": {"shares": 1024, "quota": 50_000},
        "pids": {"limit": 10},
        "blockIO": {"throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 7}]},
    }
    relimit.relimit(v2, "/g", section)
    assert written == [
        ("memory.swap.max", str(20 * MIB)),
        ("memory.max", str(50 * MIB)),
        ("memory.low", str(MIB)),
        ("cpu.weight", "39"),
        ("cpu.max", "50000 100000"),
        ("pids.max", "10"),
        ("io.max", "8:0 wiops=7"),
    ]


def test_v2_swap_alone_is_measured_against_the_present_limit(v2, written):
    relimit.relimit(v2, "/g", {"memory": {"swap": 130 * MIB}})
    assert written == [("memory.swap.max", str(30 * MIB))]


def test_v2_no_quota(v2, written):
    relimit.relimit(v2, "/g", {"cpu": {"quota": -1, "period": 50_000}})
    assert written == [("cpu.max", "max 50000")]


def test_a_refusal_puts_everything_back(v1, written, monkeypatch):
    genuine = relimit._write

    def refuse(file, value):
        if file.name == "pids.max" and value == "3":
            raise OSError(16, "Device or resource busy")
        genuine(file, value)

    monkeypatch.setattr(relimit, "_write", refuse)
    with pytest.raises(relimit.RelimitFailed, match=r"pids\.max can't be 3: Device or resource busy"):
        relimit.relimit(v1, "/g", {"cpu": {"shares": 2048}, "pids": {"limit": 3}})
    assert written == [("cpu.shares", "2048"), ("cpu.shares", "1024")]
    assert content(v1, "cpu", "cpu.shares") == "1024"


def test_a_group_that_is_gone(v1):
    with pytest.raises(relimit.RelimitFailed):
        relimit.relimit(v1, "/nosuch", {"pids": {"limit": 3}})
