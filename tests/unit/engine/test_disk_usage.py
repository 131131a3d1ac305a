"""GET /system/df: which parts, and that together they are what the disk holds."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sampan.engine.usage import Usage
from sampan.store.paths import DataPaths
from sampan.store.trees import measure
from sampan.wire.containers import ContainerSummary
from sampan.wire.images import ImageSummary
from sampan.wire.volumes import UsageData, Volume


def du(*paths):
    listed = subprocess.run(["du", "-sB1", *paths], capture_output=True, text=True, check=True).stdout
    return sum(int(line.split()[0]) for line in listed.splitlines())


def test_a_tree_takes_what_du_says(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/large").write_bytes(os.urandom(100_001))
    os.link(tmp_path / "a/large", tmp_path / "a/b/again")
    (tmp_path / "a/link").symlink_to("/etc")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 30)
    assert measure(tmp_path).allocated == du(tmp_path)
    assert measure(tmp_path / "nosuch").allocated == 0


@dataclass
class Layer:
    id: int
    size: int
    fs: Path


class Containers:
    async def list_with_sizes(self, all, limit, filters):
        assert (all, limit, filters) == (True, 0, {})
        return [ContainerSummary(id="c", size_rw=3000)]


class Volumes:
    async def usage(self):
        return [Volume(name="v", usage_data=UsageData(ref_count=1, size=5000))]


def usage_of(root):
    paths = DataPaths(root)
    files = {"snapshots/1/fs/f": 20_000, "snapshots/2/fs/f": 3000, "volumes/v/_data/f": 5000, "blobs/sha256/x": 7000}
    files |= {"containers/c/log": 9000, "sampan.db": 100, "sampan.db-wal": 100}
    for name, size in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(os.urandom(size))
    layers = [Layer(1, 20_000, paths.snapshots / "1/fs")]
    return Usage(lambda: [ImageSummary(id="i", size=20_000)], lambda: layers, Containers(), Volumes(), paths)


ALL = ("container", "image", "volume", "build-cache")


async def test_all_fields_together_are_what_du_says(tmp_path):
    found = await usage_of(tmp_path).disk_usage(ALL)
    assert found.layers_size == 20_000
    named = found.layers_size + found.containers[0].size_rw + found.volumes[0].usage_data.size
    stored = du(*(tmp_path / name for name in ("blobs", "snapshots", "volumes")))
    assert named + found.sampan.blobs + found.sampan.overhead == stored
    assert found.sampan.logs == du(tmp_path / "containers")
    assert found.sampan.database == du(tmp_path / "sampan.db", tmp_path / "sampan.db-wal")


async def test_a_layer_is_looked_at_once(tmp_path):
    usage = usage_of(tmp_path)
    before = (await usage.disk_usage(ALL)).sampan.overhead
    (tmp_path / "snapshots/1/fs/more").write_bytes(bytes(100_000))
    assert (await usage.disk_usage(ALL)).sampan.overhead == before


async def test_only_what_is_asked_for(tmp_path):
    found = await usage_of(tmp_path).disk_usage(("volume",))
    assert found.volumes[0].name == "v"
    assert (found.images, found.containers, found.build_cache, found.sampan, found.layers_size) == (
        None,
        None,
        None,
        None,
        0,
    )
