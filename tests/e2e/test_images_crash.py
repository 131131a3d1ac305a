"""SIGKILL while images come and go: what is listed afterwards is whole, and nothing else is left on the disk."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from sampan.images.service import Images
from sampan.oci.digest import Digest
from sampan.store.db import Database
from sampan.store.paths import DataPaths

pytestmark = pytest.mark.root

# Loads, tags, makes containers, commits and removes for as long as it lives.
WORKER = """
import asyncio, random, sys
from pathlib import Path
from sampan.errors import SampanError
from sampan.images.commit import CommitRequest
from sampan.images.service import Images
from sampan.oci.documents import RunConfig
from sampan.store.db import Database
from sampan.store.paths import DataPaths

class Events:
    def emit(self, *event): pass

async def main(root, archives, seed):
    rng = random.Random(seed)
    paths = DataPaths(Path(root))
    images = Images(Database(paths.database), paths, Events(), lambda image: [])
    images.recover()
    for key in images.snapshots.active_keys():
        await images.discard(key)
    print("ready", flush=True)
    async def once(number):
        content = Path(rng.choice(archives)).read_bytes()
        pieces = (content[start:start + 50_000] for start in range(0, len(content), 50_000))
        async def read(limit):
            return next(pieces, b"")
        async for line in images.load(read):
            pass
        try:
            name = rng.choice(["a", "b", "c"])
            await images.tag(f"{name}:1", f"{name}x", str(number))
            image = images.resolve(f"{name}:1")
            await images.prepare(image.id, f"k{number}")
            (images.snapshots.upper(f"k{number}") / "new").write_text(str(number))
            await images.commit(CommitRequest(f"k{number}", RunConfig()), image.id, "made", str(number))
            await images.discard(f"k{number}")
            await images.remove(f"{name}:1", force=True)
            await images.remove(f"made:{number}")
        except SampanError:
            pass
    for number in range(10**6):
        await asyncio.gather(*(once(3 * number + n) for n in range(3)))

asyncio.run(main(sys.argv[1], sys.argv[2:-1], int(sys.argv[-1])))
"""


class Events:
    def emit(self, *event):
        pass


def layer(name, rng):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(30):
            info = tarfile.TarInfo(f"{name}/f{number}")
            data = rng.randbytes(rng.randrange(20_000))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def archive(path, name, layers):
    diffs = ["sha256:" + hashlib.sha256(one).hexdigest() for one in layers]
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diffs}})
    items = [{"Config": "c.json", "RepoTags": [f"{name}:1"], "Layers": [f"{diff[7:]}/layer.tar" for diff in diffs]}]
    entries = [(f"{diff[7:]}/layer.tar", one) for diff, one in zip(diffs, layers, strict=True)]
    with tarfile.open(path, "w") as tar:
        for entry, data in [*entries, ("c.json", config.encode()), ("manifest.json", json.dumps(items).encode())]:
            info = tarfile.TarInfo(entry)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    rng = random.Random(1)
    layers = [layer(f"l{number}", rng) for number in range(5)]
    for name, chosen in (("a", layers[:3]), ("b", [*layers[:2], layers[3]]), ("c", layers[2:])):
        archive(folder / name, name, chosen)
    return [str(folder / name) for name in "abc"]


def content_of(tar):
    with tarfile.open(fileobj=io.BytesIO(tar)) as read:
        return {info.name: read.extractfile(info).read() for info in read if info.isfile()}


def check_whole(images):
    """Every image's blobs have their digests, every unpacked layer has what its tar says."""
    for image in images.catalog.all():
        for digest in (image.id, image.manifest, *images.layer_blobs(image)):
            images.content.read(digest)
        for key, blob in zip(image.chain_ids, images.layer_blobs(image), strict=True):
            unpacked = images.snapshots.layer(key)
            assert unpacked is not None
            for name, data in content_of(images.content.read(Digest(blob))).items():
                assert (unpacked.fs / name).read_bytes() == data


def check_nothing_else(images, paths):
    images.snapshots._sweeper.submit(int).result()
    images.close()
    kept = images.collector._database.read(
        lambda rows: {row[0] for row in rows.execute("SELECT digest FROM image_blobs")}
    )
    assert {f"sha256:{name}" for name in os.listdir(paths.blobs / "sha256")} == kept
    assert os.listdir(paths.ingest) == []
    rows = images.collector._database.read(lambda rows: rows.execute("SELECT id, kind FROM snapshots").fetchall())
    assert {name for name in os.listdir(paths.snapshots) if name != "empty"} == {str(identity) for identity, _ in rows}
    assert {kind for _, kind in rows} <= {"layer", "init"}


def strike(root: Path, archives: list[str], rng: random.Random) -> None:
    arguments = [sys.executable, "-c", WORKER, str(root), *archives, str(rng.randrange(10**9))]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        time.sleep(rng.random() * 0.7)
        os.kill(worker.pid, signal.SIGKILL)


def test_sigkill_at_any_point(tmp_path, archives, long_run):
    seed = random.randrange(10**9)
    print("seed", seed)
    rng = random.Random(seed)
    paths = DataPaths(tmp_path / "root")
    for _ in range(60 if long_run else 6):
        strike(paths.root, archives, rng)
        database = Database(paths.database)
        images = Images(database, paths, Events(), lambda image: [])
        images.recover()
        for key in images.snapshots.active_keys():
            asyncio.run(images.discard(key))
        check_whole(images)
        check_nothing_else(images, paths)
        database.close()
