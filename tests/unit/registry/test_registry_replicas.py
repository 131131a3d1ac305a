"""Several stateless replicas on one bucket, spoken to in turn."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable

import pytest

from rig.buckets import in_a_bucket
from rig.registry import image, served
from sampan.oci import mediatypes
from sampan.oci.digest import digest_of
from sampan.registry.gc import Collection
from sampan.registry.repositories import Registry
from sampan.registry.storage import Storage


@pytest.fixture
def replica(s3_server) -> Callable[[], Storage]:
    return in_a_bucket(s3_server)


@pytest.fixture
async def replicas(replica):
    async with served(Registry(replica())) as one, served(Registry(replica())) as two:
        yield one, two


async def test_an_upload_moves_between_replicas(replicas):
    one, two = replicas
    content = os.urandom(3_000_000)
    place = (await one.ask("POST", "/v2/a/blobs/uploads/", b"")).headers["Location"]
    answer = await two.ask("PATCH", place, content[:1_000_000], Content_Range="0-999999")
    assert answer.headers["Range"] == "0-999999"
    assert (await one.get(place)).headers["Range"] == "0-999999"
    assert (await two.ask("PATCH", place, b"x", Content_Range="5-5")).status == 416
    await one.ask("PATCH", place, content[1_000_000:], Content_Range="1000000-2999999")
    assert (await two.ask("PUT", f"{place}?digest={digest_of(content)}", b"")).status == 201
    for replica in replicas:
        assert (await replica.get(f"/v2/a/blobs/{digest_of(content)}")).body == content
        part = await replica.get(f"/v2/a/blobs/{digest_of(content)}", Range="bytes=10-19")
        assert (part.status, part.body) == (206, content[10:20])


async def test_a_registry_without_its_bucket_is_not_healthy(s3_server, replicas):
    assert (await replicas[0].get("/health")).status == 200
    async with served(Registry(in_a_bucket(s3_server, "no-such-bucket")())) as lost:
        answer = await lost.get("/health")
        assert (answer.status, answer.code) == (503, "UNKNOWN")
        assert "the object storage failed" in answer.json()["errors"][0]["message"]


async def test_what_one_stores_the_other_serves(replicas):
    one, two = replicas
    digest = await one.put_image("a/b", "t")
    assert (await two.get("/v2/a/b/manifests/t")).headers["Docker-Content-Digest"] == digest
    assert (await two.get("/v2/a/b/tags/list")).json()["tags"] == ["t"]
    assert (await two.get("/v2/_catalog")).json() == {"repositories": ["a/b"]}
    assert (await two.ask("DELETE", f"/v2/a/b/manifests/{digest}")).status == 202
    assert (await one.get("/v2/a/b/manifests/t")).status == 404


async def test_of_conditional_pushes_to_both_one_wins(replicas):
    await replicas[0].put_blob("a", b"{}")

    async def push(number: int) -> int:
        document = json.dumps(image(b"{}", annotations={"n": str(number)})).encode()
        path = "/v2/a/manifests/t"
        kind = mediatypes.OCI_MANIFEST
        return (await replicas[number % 2].ask("PUT", path, document, Content_Type=kind, If_None_Match="*")).status

    assert sorted(await asyncio.gather(*map(push, range(8)))) == [201] + [412] * 7


async def test_collecting_in_a_bucket(replicas, replica):
    one, two = replicas
    kept, gone = await one.put_image("a", "kept", "kept"), await two.put_image("a", "gone", "gone")
    await one.ask("DELETE", f"/v2/a/manifests/{gone}")
    await asyncio.sleep(1.1)
    registry = Registry(replica())
    for _ in range(2):
        await Collection(registry, grace=0.0).run()
        await asyncio.sleep(1.1)
    assert (await two.get(f"/v2/a/blobs/{digest_of(b'kept')}")).body == b"kept"
    assert (await two.get(f"/v2/a/manifests/{kept}")).status == 200
    assert await registry.storage.blob(digest_of(b"gone")) is None
