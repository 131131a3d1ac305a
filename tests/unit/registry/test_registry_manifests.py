"""Manifests, tags, lists and referrers over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json

import pytest

from rig.registry import descriptor, image
from sampan.oci import mediatypes
from sampan.oci.digest import digest_of


async def test_a_manifest_comes_back_byte_for_byte(client):
    await client.put_blob("a", b"{}")
    await client.put_blob("a", b"layer")
    document = b"  " + json.dumps(image(b"{}", b"layer", custom={"x": [1, 2]}), indent=3).encode() + b"\n"
    answer = await client.put_manifest("a", "tag", document, mediatypes.OCI_MANIFEST)
    digest = digest_of(document)
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
    assert answer.headers["Location"] == "/v2/a/manifests/tag"
    for reference in ("tag", digest):
        answer = await client.get(f"/v2/a/manifests/{reference}")
        assert (answer.status, answer.body) == (200, document)
        assert answer.headers["Content-Type"] == mediatypes.OCI_MANIFEST
        assert answer.headers["Docker-Content-Digest"] == digest
        head = await client.ask("HEAD", f"/v2/a/manifests/{reference}")
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(document)))


async def test_conditions_and_negotiation(client):
    digest = await client.put_image("a", "tag")
    path = "/v2/a/manifests/tag"
    assert (await client.get(path, If_None_Match=f'"{digest}"')).status == 304
    for taken in (mediatypes.OCI_MANIFEST, "*/*", "application/*", f"text/plain, {mediatypes.OCI_MANIFEST};q=0.5"):
        assert (await client.get(path, Accept=taken)).status == 200
    answer = await client.get(path, Accept=mediatypes.DOCKER_MANIFEST)
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")


async def test_what_is_not_there(client):
    await client.put_image("a", "tag")
    for path in (
        "/v2/a/manifests/other",
        f"/v2/a/manifests/{digest_of(b'')}",
        "/v2/none/manifests/tag",
        "/v2/a/manifests/.x",
    ):
        answer = await client.get(path)
        assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")


async def test_a_manifest_with_missing_blobs_is_refused_and_names_them(client):
    await client.put_blob("a", b"{}")
    answer = await client.put_manifest("a", "t", image(b"{}", b"one", b"two"))
    assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    detail = answer.json()["errors"][0]["detail"]
    assert [entry["digest"] for entry in detail] == [digest_of(b"one"), digest_of(b"two")]
    assert (await client.get("/v2/a/manifests/t")).status == 404
    index = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_INDEX,
        "manifests": [descriptor(b"x", mediatypes.OCI_MANIFEST)],
    }
    assert (await client.put_manifest("a", "t", index)).code == "MANIFEST_BLOB_UNKNOWN"


async def test_a_blob_of_another_repository_does_not_count(client):
    await client.put_blob("b", b"{}")
    assert (await client.put_manifest("a", "t", image(b"{}"))).code == "MANIFEST_BLOB_UNKNOWN"


async def test_layers_from_elsewhere_need_not_be_there(client):
    await client.put_blob("a", b"{}")
    document = image(b"{}", b"far")
    document["layers"][0]["urls"] = ["https://example.com/layer"]
    assert (await client.put_manifest("a", "t", document)).status == 201
    document = image(b"{}", b"far")
    document["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    assert (await client.put_manifest("a", "t", document)).status == 201


async def test_an_index_of_images(client):
    digest = await client.put_image("a", "one")
    size = int((await client.ask("HEAD", "/v2/a/manifests/one")).headers["Content-Length"])
    entry = {"mediaType": mediatypes.OCI_MANIFEST, "digest": digest, "size": size}
    index = {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": [entry]}
    assert (await client.put_manifest("a", "multi", index)).status == 201
    assert (await client.get("/v2/a/manifests/multi")).headers["Content-Type"] == mediatypes.OCI_INDEX


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        (b"", mediatypes.OCI_MANIFEST),
        (b"nonsense", mediatypes.OCI_MANIFEST),
        (b"[]", mediatypes.OCI_MANIFEST),
        (b"null", mediatypes.OCI_MANIFEST),
        (b'{"schemaVersion": 2}', mediatypes.OCI_MANIFEST),
        (b'{"schemaVersion": 2, "manifests": [{"digest": 5}]}', mediatypes.OCI_INDEX),
        (b'{"schemaVersion": 2, "manifests": [{"digest": "x:y", "size": 1}]}', mediatypes.OCI_INDEX),
        (b'{"schemaVersion": 3, "manifests": []}', mediatypes.OCI_INDEX),
        (b'{"schemaVersion": 2, "manifests": []}', "application/json"),
        (b'{"schemaVersion": 2, "manifests": []}', ""),
        (b'{"schemaVersion": 1, "name": "x"}', "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (
            json.dumps({"schemaVersion": 2, "mediaType": mediatypes.DOCKER_MANIFEST_LIST, "manifests": []}).encode(),
            mediatypes.OCI_INDEX,
        ),
        (b'{"schemaVersion": 2, "manifests": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", mediatypes.OCI_INDEX),
        (
            b'{"schemaVersion": 2, "manifests": [{"digest": "sha256:' + b"0" * 64 + b'", "size": -1}]}',
            mediatypes.OCI_INDEX,
        ),
    ],
)
async def test_bad_manifests(client, document, media_type):
    answer = await client.put_manifest("a", "t", document, media_type)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


async def test_brackets_in_strings_are_no_depth(client):
    index = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_INDEX,
        "manifests": [],
        "annotations": {"x": '[\\"{' * 500},
    }
    assert (await client.put_manifest("a", "t", index)).status == 201


async def test_a_manifest_may_have_four_mebibytes_and_no_more(client):
    index = {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": []}
    head = json.dumps(index).encode()
    whole = head + b" " * ((4 << 20) - len(head))
    assert (await client.put_manifest("a", "t", whole, mediatypes.OCI_INDEX)).status == 201
    answer = await client.put_manifest("a", "t", whole + b" ", mediatypes.OCI_INDEX)
    assert (answer.status, answer.code) == (413, "SIZE_INVALID")

    async def stream():
        yield whole
        yield b" "

    answer = await client.ask("PUT", "/v2/a/manifests/t", stream(), Content_Type=mediatypes.OCI_INDEX)
    assert (answer.status, answer.code) == (413, "SIZE_INVALID")


@pytest.mark.parametrize("tag", ["a" * 129, "-a", ".a", "a%20b"])
async def test_bad_tags(client, tag):
    await client.put_blob("a", b"{}")
    answer = await client.put_manifest("a", tag, image(b"{}"))
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


async def test_by_digest_with_tags(client):
    await client.put_blob("a", b"{}")
    document = json.dumps(image(b"{}")).encode()
    digest = digest_of(document)
    answer = await client.put_manifest("a", f"{digest}?tag=1&tag=1.0&tag=latest", document, mediatypes.OCI_MANIFEST)
    assert (answer.status, answer.headers["OCI-Tag"]) == (201, "1, 1.0, latest")
    assert (await client.get("/v2/a/tags/list")).json() == {"name": "a", "tags": ["1", "1.0", "latest"]}
    wrong = digest_of(b"x")
    answer = await client.put_manifest("a", wrong, document, mediatypes.OCI_MANIFEST)
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


async def test_a_manifest_by_its_sha512(client):
    await client.put_blob("a", b"{}")
    document = json.dumps(image(b"{}")).encode()
    digest = f"sha512:{hashlib.sha512(document).hexdigest()}"
    answer = await client.put_manifest("a", digest, document, mediatypes.OCI_MANIFEST)
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
    assert (await client.get(f"/v2/a/manifests/{digest}")).body == document


async def test_pushes_on_condition(client):
    first = await client.put_image("a", "t", "one")
    second = image(b"{}", b"one", annotations={"x": "2"})

    async def push(**conditions: str):
        return await client.ask(
            "PUT", "/v2/a/manifests/t", json.dumps(second).encode(), Content_Type=mediatypes.OCI_MANIFEST, **conditions
        )

    assert (await push(If_None_Match="*")).status == 412
    assert (await push(If_Match=f'"{digest_of(b"x")}"')).status == 412
    assert (await client.get("/v2/a/manifests/t")).headers["Docker-Content-Digest"] == first
    assert (await push(If_Match=f'"{first}"')).status == 201
    assert (await push(If_Match=f'"{first}"')).status == 412


async def test_of_many_conditional_pushes_one_wins(client):
    await client.put_blob("a", b"{}")

    async def push(number: int) -> int:
        document = json.dumps(image(b"{}", annotations={"n": str(number)})).encode()
        answer = await client.ask(
            "PUT", "/v2/a/manifests/t", document, Content_Type=mediatypes.OCI_MANIFEST, If_None_Match="*"
        )
        return answer.status

    assert sorted(await asyncio.gather(*map(push, range(10)))) == [201] + [412] * 9


# lists


async def test_tags_by_pages(client):
    names = ["1", "1.0", "Z", "a", "a-b", "a_b", "latest"]
    for name in reversed(names):
        await client.put_image("a", name)
    assert (await client.get("/v2/a/tags/list")).json() == {"name": "a", "tags": names}
    found: list[str] = []
    path = "/v2/a/tags/list?n=3"
    while path:
        answer = await client.get(path)
        found += answer.json()["tags"]
        link = answer.headers.get("Link", "")
        assert not link or link.endswith('>; rel="next"')
        path = link[1 : link.index(">")] if link else ""
    assert found == names
    answer = await client.get("/v2/a/tags/list?n=0")
    assert (answer.json()["tags"], "Link" in answer.headers) == ([], False)
    assert (await client.get("/v2/a/tags/list?last=a")).json()["tags"] == ["a-b", "a_b", "latest"]
    assert (await client.get("/v2/a/tags/list?n=7")).headers.get("Link") is None
    assert (await client.get("/v2/a/tags/list?n=-1")).status == 400
    assert (await client.get("/v2/a/tags/list?n=x")).status == 400


async def test_tags_of_an_unknown_repository(client):
    answer = await client.get("/v2/none/tags/list")
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


async def test_the_catalog_by_pages(client):
    names = ["a", "a-b", "a/b", "a/b/c", "a0", "b"]
    for name in names:
        await client.put_image(name, "t")
    assert (await client.get("/v2/_catalog")).json() == {"repositories": names}
    first = await client.get("/v2/_catalog?n=4")
    assert first.json() == {"repositories": names[:4]}
    link = first.headers["Link"]
    rest = await client.get(link[1 : link.index(">")])
    assert (rest.json(), "Link" in rest.headers) == ({"repositories": names[4:]}, False)


# deleting


async def test_deleting_a_tag_leaves_the_manifest(client):
    digest = await client.put_image("a", "t")
    assert (await client.ask("DELETE", "/v2/a/manifests/t")).status == 202
    assert (await client.get("/v2/a/manifests/t")).status == 404
    assert (await client.get(f"/v2/a/manifests/{digest}")).status == 200
    assert (await client.ask("DELETE", "/v2/a/manifests/t")).code == "MANIFEST_UNKNOWN"


async def test_deleting_a_manifest_takes_its_tags(client):
    digest = await client.put_image("a", "one")
    await client.put_image("a", "two")
    await client.put_image("a", "other", "other")
    assert (await client.ask("DELETE", f"/v2/a/manifests/{digest}")).status == 202
    assert (await client.get(f"/v2/a/manifests/{digest}")).status == 404
    assert (await client.get("/v2/a/tags/list")).json()["tags"] == ["other"]
    assert (await client.ask("DELETE", f"/v2/a/manifests/{digest}")).code == "MANIFEST_UNKNOWN"


# referrers


async def test_referrers_with_types_filters_and_deletion(client):
    subject_digest = await client.put_image("a", "t")
    subject = {"mediaType": mediatypes.OCI_MANIFEST, "digest": subject_digest, "size": 10}
    await client.put_blob("a", b"{}")

    async def attach(**more: object):
        answer = await client.put_manifest("a", "x", image(b"{}", subject=subject, **more))
        assert (answer.status, answer.headers["OCI-Subject"]) == (201, subject_digest)
        return answer.headers["Docker-Content-Digest"]

    typed = await attach(artifactType="application/x", annotations={"k": "v"})
    plain = await attach()
    answer = await client.get(f"/v2/a/referrers/{subject_digest}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, mediatypes.OCI_INDEX)
    found = {entry["digest"]: entry for entry in answer.json()["manifests"]}
    assert found[typed]["artifactType"] == "application/x"
    assert found[typed]["annotations"] == {"k": "v"}
    assert found[plain]["artifactType"] == mediatypes.OCI_CONFIG
    filtered = await client.get(f"/v2/a/referrers/{subject_digest}?artifactType=application/x")
    assert [entry["digest"] for entry in filtered.json()["manifests"]] == [typed]
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    await client.ask("DELETE", f"/v2/a/manifests/{typed}")
    left = (await client.get(f"/v2/a/referrers/{subject_digest}")).json()["manifests"]
    assert [entry["digest"] for entry in left] == [plain]


async def test_a_subject_may_be_missing_and_referrers_of_nothing_are_none(client):
    await client.put_blob("a", b"{}")
    missing = digest_of(b"not there")
    subject = {"mediaType": mediatypes.OCI_MANIFEST, "digest": missing, "size": 10}
    answer = await client.put_manifest("a", "x", image(b"{}", subject=subject))
    assert (answer.status, answer.headers["OCI-Subject"]) == (201, missing)
    assert len((await client.get(f"/v2/a/referrers/{missing}")).json()["manifests"]) == 1
    assert (await client.get(f"/v2/none/referrers/{missing}")).json()["manifests"] == []
    answer = await client.get("/v2/a/referrers/nonsense")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


async def test_many_referrers_come_in_pages_of_manifest_size(client):
    await client.put_blob("a", b"{}")
    missing = digest_of(b"not there")
    subject = {"mediaType": mediatypes.OCI_MANIFEST, "digest": missing, "size": 10}
    pushed = set()
    for number in range(5):
        document = image(b"{}", subject=subject, annotations={"n": str(number), "x": "y" * 1_200_000})
        pushed.add((await client.put_manifest("a", "x", document)).headers["Docker-Content-Digest"])
    found: list[str] = []
    path = f"/v2/a/referrers/{missing}"
    pages = 0
    while path:
        answer = await client.get(path)
        assert len(answer.body) <= 4 << 20
        found += [entry["digest"] for entry in answer.json()["manifests"]]
        link = answer.headers.get("Link", "")
        path = link[1 : link.index(">")] if link else ""
        pages += 1
    assert pages > 1
    assert len(found) == 5 and set(found) == pushed
