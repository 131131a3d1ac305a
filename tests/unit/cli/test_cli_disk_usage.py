"""The sums of `system df`."""

from __future__ import annotations

from sampan.cli.commands.system.df import SUMMARY, _totals
from sampan.wire.containers import ContainerSummary
from sampan.wire.disk import BuildCache, DiskUsage
from sampan.wire.images import ImageSummary
from sampan.wire.volumes import UsageData, Volume

USAGE = DiskUsage(
    layers_size=1000,
    images=[
        ImageSummary(containers=1, size=600, shared_size=100),
        ImageSummary(containers=0, size=500, shared_size=100),
    ],
    containers=[
        ContainerSummary(state="running", size_rw=10),
        ContainerSummary(state="exited", size_rw=30),
        ContainerSummary(state="paused", size_rw=0),
    ],
    volumes=[
        Volume(name="a", usage_data=UsageData(ref_count=1, size=50)),
        Volume(name="b", usage_data=UsageData(ref_count=0, size=25)),
        Volume(name="c", usage_data=UsageData(ref_count=0, size=-1)),
    ],
    build_cache=[BuildCache(size=5, in_use=True), BuildCache(size=7), BuildCache(size=9, shared=True)],
)


def test_the_summary():
    lines = SUMMARY.render(
        _totals(USAGE), "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}"
    ).splitlines()
    assert lines == [
        "Images|2|1|1kB|500B (50%)",
        "Containers|3|2|40B|30B (75%)",
        "Local Volumes|3|1|75B|25B (33%)",
        "Build Cache|3|1|12B|7B",
    ]


def test_parts_that_were_not_asked_for():
    assert [
        total.count for total in _totals(DiskUsage(images=None, containers=None, volumes=None, build_cache=None))
    ] == [0] * 4
