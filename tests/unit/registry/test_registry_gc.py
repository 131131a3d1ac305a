"""Collection: what goes, what stays, and that pushes at the same moment lose nothing."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from pathlib import Path

import pytest

from rig.registry import descriptor, image, served
from sampan.errors import Unavailable
from sampan.oci import mediatypes
from sampan.oci.digest import Digest, digest_of
from sampan.registry import keys
from sampan.registry.gc import Collection
from sampan.registry.repositories import Registry
from sampan.registry.storage.filesystem import FileStorage

HOUR = 3600


def age(root: Path, seconds: float = 2 * HOUR) -> None:
    """Make everything in a storage older."""
    for folder, _, files in os.walk(root):
        for name in files:
            path = Path(folder) / name
            then = path.stat().st_mtime - seconds
            os.utime(path, (then, then))


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "root"


async def collect(registry: Registry, **options):
    return await Collection(registry, grace=HOUR, **options).run()


async def test_what_a_manifest_refers_to_stays(client, registry, root):
    digest = await client.put_image("a", "t")
    age(root)
    report = await collect(registry)
    assert (report.links, report.blobs, report.manifests) == ([], [], [])
    assert (await client.get(f"/v2/a/manifests/{digest}")).status == 200
    assert (await client.get(f"/v2/a/blobs/{digest_of(b'layer')}")).status == 200


async def test_a_deleted_image_goes_link_first_and_bytes_a_time_of_grace_later(client, registry, root):
    digest = await client.put_image("a", "t")
    await client.ask("DELETE", f"/v2/a/manifests/{digest}")
    layer = digest_of(b"layer")
    assert (await collect(registry)).links == []
    age(root)
    report = await collect(registry)
    assert ("a", layer) in report.links
    assert report.blobs == []
    assert await registry.storage.blob(layer) is not None
    age(root)
    report = await collect(registry)
    assert (layer, 5) in report.blobs
    assert await registry.storage.blob(layer) is None
    assert await registry.storage.names(keys.CONDEMNED) == []


async def test_bytes_that_another_repository_has_stay(client, registry, root):
    digest = await client.put_image("a", "t")
    await client.put_image("b", "t")
    await client.ask("DELETE", f"/v2/a/manifests/{digest}")
    for _ in range(2):
        age(root)
        await collect(registry)
    assert (await client.get(f"/v2/a/blobs/{digest_of(b'layer')}")).status == 404
    assert (await client.get(f"/v2/b/blobs/{digest_of(b'layer')}")).body == b"layer"


async def test_a_dry_run_tells_and_leaves(client, registry, root):
    digest = await client.put_image("a", "t")
    await client.ask("DELETE", f"/v2/a/manifests/{digest}")
    upload = await registry.storage.begin("sha256")
    age(root, 48 * HOUR)
    report = await collect(registry, dry=True)
    assert ("a", digest_of(b"layer")) in report.links
    assert (digest_of(b"layer"), 5) in report.blobs
    assert report.size == 7
    assert report.uploads == [upload]
    assert (await client.get(f"/v2/a/blobs/{digest_of(b'layer')}")).status == 200
    assert await registry.storage.upload(upload) is not None


async def test_old_uploads_go_and_running_ones_stay(registry, root):
    old = await registry.storage.begin("sha256")
    age(root, 48 * HOUR)
    new = await registry.storage.begin("sha256")
    report = await collect(registry)
    assert report.uploads == [old]
    assert [info.id for info in await registry.storage.uploads()] == [new]


async def test_blobs_of_a_push_on_its_way_stay(client, registry, root):
    await client.put_blob("a", b"fresh")
    report = await collect(registry)
    assert (report.links, report.blobs) == ([], [])


@pytest.mark.parametrize("asking", ["HEAD", "mount"])
async def test_whoever_is_told_that_a_blob_is_there_can_count_on_it(client, registry, root, asking):
    digest = await client.put_blob("a", b"{}")
    age(root)
    if asking == "HEAD":
        assert (await client.ask("HEAD", f"/v2/a/blobs/{digest}")).status == 200
        name = "a"
    else:
        assert (await client.ask("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a", b"")).status == 201
        name = "b"
    await collect(registry)
    assert (await client.put_manifest(name, "t", image(b"{}"))).status == 201
    assert (await client.get(f"/v2/{name}/blobs/{digest}")).body == b"{}"


async def test_indexes_subjects_and_untagged_manifests(client, registry, root):
    child = await client.put_image("a", "child", "one")
    size = len((await client.get("/v2/a/manifests/child")).body)
    entry = {"mediaType": mediatypes.OCI_MANIFEST, "digest": child, "size": size}
    index = {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": [entry]}
    await client.put_manifest("a", "index", index)
    await client.ask("DELETE", "/v2/a/manifests/child")
    signature = await client.put_image("a", "s", "signature", subject=entry)
    await client.ask("DELETE", "/v2/a/manifests/s")
    loose = await client.put_image("a", "loose", "loose")
    await client.ask("DELETE", "/v2/a/manifests/loose")
    age(root)
    assert (await collect(registry)).manifests == []
    report = await collect(registry, untagged=True)
    assert report.manifests == [("a", loose)]
    assert ("a", digest_of(b"loose")) in report.links
    for digest in (child, signature):
        assert (await client.get(f"/v2/a/manifests/{digest}")).status == 200
    assert (await client.get(f"/v2/a/blobs/{digest_of(b'signature')}")).status == 200
    await client.ask("DELETE", "/v2/a/manifests/index")
    report = await collect(registry, untagged=True)
    assert len(report.manifests) == 3


async def test_one_collection_at_a_time(registry):
    claim = {"owner": "other", "until": time.time() + 100}
    await registry.storage.write(keys.COLLECTION, json.dumps(claim).encode())
    with pytest.raises(Unavailable, match="another collection"):
        await collect(registry)
    await registry.storage.write(keys.COLLECTION, json.dumps({**claim, "until": 1}).encode())
    await collect(registry)
    assert await registry.storage.read(keys.COLLECTION) is None


async def test_a_damaged_manifest_stops_the_collection(client, registry, root):
    digest = await client.put_image("a", "t")
    await registry.storage.write(keys.manifest("a", digest), b"type\nnonsense")
    age(root)
    with pytest.raises(Unavailable, match="damaged"):
        await collect(registry)
    assert await registry.storage.blob(digest_of(b"layer")) is not None


class Hooked(FileStorage):
    """A storage that lets a test act just before a key or a blob is removed, in the narrowest of moments."""

    before_remove = before_remove_blob = None

    async def remove(self, key: str) -> bool:
        if self.before_remove and "/_blobs/" in key:
            hook, self.before_remove = self.before_remove, None
            await hook()
        return await super().remove(key)

    async def remove_blob(self, digest: Digest) -> bool:
        if self.before_remove_blob:
            hook, self.before_remove_blob = self.before_remove_blob, None
            await hook()
        return await super().remove_blob(digest)


async def test_a_manifest_that_comes_while_its_link_is_removed(root):
    storage = Hooked(root)
    registry = Registry(storage)
    async with served(registry) as client:
        digest = await client.put_blob("a", b"{}")
        age(root)

        async def push() -> None:
            assert (await client.put_manifest("a", "t", image(b"{}"))).status == 201

        storage.before_remove = push
        report = await collect(registry)
        assert report.links == []
        assert (await client.get(f"/v2/a/blobs/{digest}")).body == b"{}"


async def test_a_blob_that_comes_again_while_its_bytes_are_removed(root):
    """The push meets the condemnation, waits for its end, finds the bytes gone, and the client sends them again."""
    storage = Hooked(root)
    registry = Registry(storage)
    async with served(registry) as client:
        digest = await client.put_blob("a", b"{}")
        await client.ask("DELETE", f"/v2/a/blobs/{digest}")
        age(root)
        pushes: list[asyncio.Task] = []

        async def push() -> None:
            place = f"/v2/b/blobs/uploads/?digest={digest}"
            pushes.append(asyncio.create_task(client.ask("POST", place, b"{}")))
            while await storage.modified(keys.blob("b", digest)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

        storage.before_remove_blob = push
        report = await collect(registry)
        assert [found for found, _ in report.blobs] == [digest]
        answer = await pushes[0]
        if answer.status == 503:
            answer = await client.ask("POST", f"/v2/b/blobs/uploads/?digest={digest}", b"{}")
        assert answer.status == 201
        assert (await client.get(f"/v2/b/blobs/{digest}")).body == b"{}"


@pytest.mark.parametrize("seconds", [3, pytest.param(120, marks=pytest.mark.long)])
@pytest.mark.timeout(300)
async def test_a_storm_of_pushes_pulls_and_collections_loses_nothing(root, seconds):
    """Images of shared layers are pushed, pulled, deleted and collected by two instances on one storage; every image
    that was acknowledged and not deleted is whole, whenever it is looked at."""
    grace = 1.0
    storages = FileStorage(root), FileStorage(root)
    registries = [Registry(storage, grace / 10) for storage in storages]
    until = time.monotonic() + seconds
    layers = [os.urandom(2000) for _ in range(12)]
    pushed = removed = checked = runs = 0

    def going_on() -> bool:
        """For the time that was asked for, and on a busy machine until something of everything was done."""
        return time.monotonic() < until or pushed <= 10 or removed <= 1 or runs <= 1

    async def user(number: int, client) -> None:
        nonlocal pushed, removed, checked
        dice = random.Random(number)
        name = f"repo{number % 3}"
        mine: list[tuple[str, Digest, list[bytes]]] = []
        while going_on():
            tag = f"u{number}-{dice.randrange(5)}"
            chosen = dice.sample(layers, 3)
            digest = await push_image(client, name, tag, chosen, f"{number}{dice.random()}".encode())
            mine = [entry for entry in mine if entry[0] != tag] + [(tag, digest, chosen)]
            pushed += 1
            for entry in mine:
                await check_image(client, name, *entry)
                checked += 1
            if len(mine) > 3:
                gone = mine.pop(dice.randrange(len(mine)))
                assert (await client.ask("DELETE", f"/v2/{name}/manifests/{gone[1]}")).status == 202
                removed += 1
            await asyncio.sleep(dice.random() * 0.2)

    async def collector(registry: Registry) -> None:
        nonlocal runs
        while going_on():
            try:
                await Collection(registry, grace=grace, untagged=True).run()
                runs += 1
            except Unavailable:
                pass
            await asyncio.sleep(0.05)

    async with served(registries[0]) as one, served(registries[1]) as two:
        users = [user(number, (one, two)[number % 2]) for number in range(6)]
        await asyncio.gather(*users, collector(registries[0]), collector(registries[1]))
    assert checked > pushed
    for storage in storages:
        await storage.close()


async def push_image(client, name: str, tag: str, layers: list[bytes], config: bytes) -> Digest:
    """As clients push: ask for each blob, send those that are not there, then the manifest; again when told so."""
    for _ in range(50):
        for blob in (config, *layers):
            if (await client.ask("HEAD", f"/v2/{name}/blobs/{digest_of(blob)}")).status == 200:
                continue
            answer = await client.ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(blob)}", blob)
            assert answer.status in (201, 503), answer
        answer = await client.put_manifest(name, tag, image(config, *layers))
        if answer.status == 201:
            return Digest(answer.headers["Docker-Content-Digest"])
        assert answer.code in ("MANIFEST_BLOB_UNKNOWN", "UNKNOWN"), answer
    raise AssertionError("fifty pushes failed")


async def check_image(client, name: str, tag: str, digest: Digest, layers: list[bytes]) -> None:
    answer = await client.get(f"/v2/{name}/manifests/{tag}")
    assert (answer.status, answer.headers.get("Docker-Content-Digest")) == (200, digest)
    document = answer.json()
    for entry, content in zip(document["layers"], layers, strict=True):
        assert entry == descriptor(content, mediatypes.OCI_LAYER_GZIP)
        found = await client.get(f"/v2/{name}/blobs/{entry['digest']}")
        assert (found.status, found.body) == (200, content)
    assert (await client.get(f"/v2/{name}/blobs/{document['config']['digest']}")).status == 200
