"""From the kernel's counters to the API's sample."""

from sampan.engine.containers.stats import Machine, Sample, idle_stats, render_stats
from sampan.kernel.usage import Interface, IoCounter, Usage
from sampan.wire import codec

MIB = 1 << 20
SECOND = 10**9


def sample(at=5 * SECOND, interfaces=(), **used):
    return Sample(at, Usage(**used), interfaces, system=100 * SECOND, processors=2)


def test_an_idle_container_has_a_name_and_zeros():
    document = codec.decode(codec.encode(idle_stats("abc", "c1")), dict)
    assert (document["id"], document["name"]) == ("abc", "/c1")
    assert document["read"] == document["preread"] == "0001-01-01T00:00:00Z"
    assert document["memory_stats"] == document["pids_stats"] == {}
    assert "networks" not in document


def test_the_sample_before_stands_beside():
    found = render_stats(sample(cpu=30, cpus=(10, 20)), sample(4 * SECOND, cpu=7), Machine(8 * MIB, False))
    assert (found.read, found.preread) == ("1970-01-01T00:00:05Z", "1970-01-01T00:00:04Z")
    assert found.cpu_stats.cpu_usage.total_usage == 30
    assert found.cpu_stats.cpu_usage.percpu_usage == [10, 20]
    assert found.precpu_stats.cpu_usage.total_usage == 7
    assert (found.cpu_stats.system_cpu_usage, found.cpu_stats.online_cpus) == (100 * SECOND, 2)


def test_the_first_sample_has_none_before():
    found = render_stats(sample(cpu=30), None, Machine(8 * MIB, False))
    assert found.preread == "0001-01-01T00:00:00Z"
    assert found.precpu_stats.online_cpus == 0


def test_without_a_limit_all_memory_is_the_limit():
    machine = Machine(8 * MIB, False)
    assert render_stats(sample(), None, machine).memory_stats.limit == 8 * MIB
    assert render_stats(sample(memory_limit=3 * MIB), None, machine).memory_stats.limit == 3 * MIB
    assert render_stats(sample(memory_limit=9 * MIB), None, machine).memory_stats.limit == 8 * MIB


def test_version_2_shows_what_docker_shows_of_it():
    used = sample(memory=5, memory_peak=6, memory_failures=7, io_bytes=(IoCounter(8, 0, "read", 9),))
    old, new = (render_stats(used, None, Machine(MIB, unified)) for unified in (False, True))
    assert (old.memory_stats.max_usage, old.memory_stats.failcnt) == (6, 7)
    assert (new.memory_stats.max_usage, new.memory_stats.failcnt) == (0, 7)
    assert (old.pids_stats.limit, new.pids_stats.limit) == (0, 2**64 - 1)
    assert old.blkio_stats.io_queue_recursive == []
    assert new.blkio_stats.io_queue_recursive is None
    assert [(e.major, e.op, e.value) for e in new.blkio_stats.io_service_bytes_recursive] == [(8, "read", 9)]


def test_interfaces_by_name():
    found = render_stats(sample(interfaces=[Interface("eth0", 1, 2, 3, 4, 5, 6, 7, 8)]), None, Machine(MIB, True))
    assert list(found.networks) == ["eth0"]
    assert (found.networks["eth0"].rx_bytes, found.networks["eth0"].tx_dropped) == (1, 8)
