"""What lists show of containers, images and samples."""

from __future__ import annotations

import pytest

from sampan.cli.commands.container.ls import listing, ports
from sampan.cli.commands.container.stats import cpu_percentage, memory_used
from sampan.cli.commands.image.ls import named
from sampan.wire.containers import ContainerSummary, Port
from sampan.wire.images import ImageSummary
from sampan.wire.stats import CPUStats, CPUUsage, MemoryStats, Stats


def port(private, public=0, ip="", type="tcp"):
    return Port(private_port=private, public_port=public, ip=ip, type=type)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], ""),
        ([port(80)], "80/tcp"),
        ([port(82), port(80), port(81), port(90)], "80-82/tcp, 90/tcp"),
        ([port(80, 80, "0.0.0.0"), port(80, 80, "::")], "0.0.0.0:80->80/tcp, [::]:80->80/tcp"),
        ([port(80, 8080, "0.0.0.0"), port(53, type="udp")], "53/udp, 0.0.0.0:8080->80/tcp"),
        ([port(80, 80, "1.1.1.1"), port(81, 81, "1.1.1.1")], "1.1.1.1:80-81->80-81/tcp"),
    ],
)
def test_ports(found, text):
    assert ports(found) == text


def shown(container, whole=False):
    names = ("ID", "Names", "Image", "Command", "Size")
    return listing(whole).render([container], "|".join(f"{{{{.{name}}}}}" for name in names)).rstrip("\n").split("|")


def test_a_container_is_shortened():
    container = ContainerSummary(
        id="a" * 64,
        names=["/web", "/other/alias"],
        image="sha256:" + "b" * 64,
        command="a command that is long",
        size_rw=5,
        size_root_fs=1000,
    )
    assert shown(container) == ["a" * 12, "web", "b" * 12, '"a command that is l…"', "5B (virtual 1kB)"]
    assert shown(container, True)[:3] == ["a" * 64, "web,other/alias", "sha256:" + "b" * 64]


@pytest.mark.parametrize(
    ("tags", "digests", "show", "lines"),
    [
        ([], [], False, [("<none>", "<none>", "<none>")]),
        (["a:1", "b:5000/c:2"], [], False, [("a", "1", "<none>"), ("b:5000/c", "2", "<none>")]),
        (["a:1"], ["a@d1", "a@d2"], False, [("a", "1", "d1")]),
        (["a:1"], ["a@d1", "a@d2"], True, [("a", "1", "d1"), ("a", "1", "d2")]),
        ([], ["a@d1"], False, [("a", "<none>", "d1")]),
        (None, None, False, [("<none>", "<none>", "<none>")]),
    ],
)
def test_an_image_has_a_line_for_each_name(tags, digests, show, lines):
    image = ImageSummary(repo_tags=tags, repo_digests=digests)
    assert [(line.repository, line.tag, line.digest) for line in named([image], show)] == lines


def cpu(total, system, cpus=2):
    return CPUStats(cpu_usage=CPUUsage(total_usage=total), system_cpu_usage=system, online_cpus=cpus)


def test_cpu_percentage():
    assert cpu_percentage(Stats(cpu_stats=cpu(300, 2000), precpu_stats=cpu(100, 1000))) == pytest.approx(40.0)
    assert cpu_percentage(Stats(cpu_stats=cpu(300, 1000), precpu_stats=cpu(100, 1000))) == 0
    assert cpu_percentage(Stats()) == 0


def test_memory_is_without_the_cache_that_may_go():
    assert memory_used(Stats(memory_stats=MemoryStats(usage=100, stats={"total_inactive_file": 30}))) == 70
    assert memory_used(Stats(memory_stats=MemoryStats(usage=100, stats={"inactive_file": 40}))) == 60
    assert memory_used(Stats(memory_stats=MemoryStats(usage=100, stats={"inactive_file": 140}))) == 100
