"""Blobs over HTTP: reading, ranges, conditions, and every way to send one."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest

from sampan.oci.digest import digest_of

CONTENT = os.urandom(100_000)


async def begin(client, query: str = "") -> str:
    answer = await client.ask("POST", f"/v2/a/b/blobs/uploads/{query}", b"")
    assert answer.status == 202
    assert answer.headers["Range"] == "0-0"
    return answer.headers["Location"]


async def test_the_api_says_that_it_is_there(client):
    for path in ("/v2/", "/v2"):
        answer = await client.get(path)
        assert (answer.status, answer.json()) == (200, {})
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


async def test_a_blob_comes_back_as_sent(client):
    digest = await client.put_blob("a/b", CONTENT)
    answer = await client.get(f"/v2/a/b/blobs/{digest}")
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.headers["ETag"] == f'"{digest}"'
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    head = await client.ask("HEAD", f"/v2/a/b/blobs/{digest}")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(CONTENT)))
    assert head.headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=99990-", 99_990, 99_999),
        ("bytes=-10", 99_990, 99_999),
        ("bytes=99999-200000", 99_999, 99_999),
        ("bytes=-200000", 0, 99_999),
    ],
)
async def test_a_range(client, asked, first, last):
    digest = await client.put_blob("a/b", CONTENT)
    answer = await client.get(f"/v2/a/b/blobs/{digest}", Range=asked)
    assert (answer.status, answer.body) == (206, CONTENT[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=100000-", "bytes=100000-100001", "bytes=-0", "bytes=2-1"])
async def test_a_range_outside_of_the_blob(client, asked):
    digest = await client.put_blob("a/b", CONTENT)
    answer = await client.get(f"/v2/a/b/blobs/{digest}", Range=asked)
    assert answer.status == 416
    assert answer.headers["Content-Range"] == "bytes */100000"


@pytest.mark.parametrize("asked", ["lines=0-1", "bytes=0-1,5-6", "bytes=-", "nonsense"])
async def test_what_is_no_single_range_is_answered_whole(client, asked):
    digest = await client.put_blob("a/b", CONTENT)
    answer = await client.get(f"/v2/a/b/blobs/{digest}", Range=asked)
    assert (answer.status, answer.body) == (200, CONTENT)


async def test_a_range_of_another_entity_is_answered_whole(client):
    digest = await client.put_blob("a/b", CONTENT)
    answer = await client.ask("GET", f"/v2/a/b/blobs/{digest}", Range="bytes=0-1", If_Range='"other"')
    assert (answer.status, len(answer.body)) == (200, len(CONTENT))
    answer = await client.ask("GET", f"/v2/a/b/blobs/{digest}", Range="bytes=0-1", If_Range=f'"{digest}"')
    assert answer.status == 206


async def test_a_client_that_has_it_gets_304(client):
    digest = await client.put_blob("a/b", CONTENT)
    for known in (f'"{digest}"', f'"x", W/"{digest}"', "*"):
        answer = await client.get(f"/v2/a/b/blobs/{digest}", If_None_Match=known)
        assert (answer.status, answer.body) == (304, b"")
    assert (await client.get(f"/v2/a/b/blobs/{digest}", If_None_Match='"x"')).status == 200


async def test_a_blob_belongs_to_its_repository(client):
    digest = await client.put_blob("a/b", CONTENT)
    answer = await client.get(f"/v2/other/blobs/{digest}")
    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")
    assert (await client.ask("HEAD", f"/v2/other/blobs/{digest}")).status == 404


async def test_post_then_put(client):
    digest = digest_of(CONTENT)
    answer = await client.ask("PUT", f"{await begin(client)}?digest={digest}", CONTENT)
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/a/b/blobs/{digest}")
    assert (await client.get(answer.headers["Location"])).body == CONTENT


async def test_chunks_in_order(client):
    place = await begin(client)
    for start in range(0, 100_000, 30_000):
        chunk = CONTENT[start : start + 30_000]
        answer = await client.ask("PATCH", place, chunk, Content_Range=f"{start}-{start + len(chunk) - 1}")
        assert (answer.status, answer.headers["Range"]) == (202, f"0-{start + len(chunk) - 1}")
        place = answer.headers["Location"]
    answer = await client.ask("PUT", f"{place}?digest={digest_of(CONTENT)}", b"")
    assert answer.status == 201


async def test_the_last_chunk_may_come_with_the_put(client):
    place = await begin(client)
    await client.ask("PATCH", place, CONTENT[:60_000], Content_Range="0-59999")
    answer = await client.ask(
        "PUT", f"{place}?digest={digest_of(CONTENT)}", CONTENT[60_000:], Content_Range="60000-99999"
    )
    assert answer.status == 201


async def test_a_stream_without_length(client):
    async def stream():
        for start in range(0, 100_000, 7000):
            yield CONTENT[start : start + 7000]

    place = await begin(client)
    answer = await client.ask("PATCH", place, stream())
    assert (answer.status, answer.headers["Range"]) == (202, "0-99999")
    assert (await client.ask("PUT", f"{place}?digest={digest_of(CONTENT)}", b"")).status == 201


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("start", [0, 9, 11, 50])
async def test_chunks_out_of_order_are_refused_and_the_status_says_where_to_go_on(client, method, start):
    place = await begin(client)
    await client.ask("PATCH", place, CONTENT[:10], Content_Range="0-9")
    query = f"?digest={digest_of(CONTENT)}" if method == "PUT" else ""
    answer = await client.ask(method, place + query, CONTENT[:5], Content_Range=f"{start}-{start + 4}")
    assert (answer.status, answer.code) == (416, "BLOB_UPLOAD_INVALID")
    assert (answer.headers["Range"], answer.headers["Location"]) == ("0-9", place)
    status = await client.get(place)
    assert (status.status, status.headers["Range"], status.headers["Location"]) == (204, "0-9", place)
    rest = CONTENT[10:]
    await client.ask("PATCH", place, rest, Content_Range="10-99999")
    assert (await client.ask("PUT", f"{place}?digest={digest_of(CONTENT)}", b"")).status == 201


@pytest.mark.parametrize("value", ["x", "5", "9-0", "bytes 0-", "-1-5", "0-9/x"])
async def test_a_malformed_content_range(client, value):
    answer = await client.ask("PATCH", await begin(client), b"0123456789", Content_Range=value)
    assert (answer.status, answer.code) == (400, "BLOB_UPLOAD_INVALID")


async def test_a_content_range_that_does_not_fit_the_length(client):
    answer = await client.ask("PATCH", await begin(client), b"0123456789", Content_Range="0-5")
    assert (answer.status, answer.code) == (400, "SIZE_INVALID")


async def test_cancelled_and_unknown_uploads(client):
    place = await begin(client)
    assert (await client.ask("DELETE", place)).status == 204
    for method in ("GET", "DELETE", "PATCH"):
        answer = await client.ask(method, place, b"x" if method == "PATCH" else None)
        assert answer.status == 404
        assert answer.code == "BLOB_UPLOAD_UNKNOWN"
    answer = await client.ask("PUT", f"{place}?digest={digest_of(b'x')}", b"x")
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize(
    "digest", ["", "nonsense", "sha256:123", "md5:" + "0" * 32, "sha256:" + "G" * 64, "sha256:" + "A" * 64]
)
async def test_malformed_digests(client, digest):
    answer = await client.ask("PUT", f"{await begin(client)}?digest={digest}", b"x")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    answer = await client.ask("POST", f"/v2/a/b/blobs/uploads/?digest={digest}", b"x")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    if digest:
        answer = await client.get(f"/v2/a/b/blobs/{digest}")
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


async def test_a_digest_of_other_bytes(client):
    wrong = digest_of(b"other")
    for method, place in (("PUT", await begin(client)), ("POST", "/v2/a/b/blobs/uploads/")):
        answer = await client.ask(method, f"{place}?digest={wrong}", CONTENT)
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert (await client.get(f"/v2/a/b/blobs/{wrong}")).status == 404


@pytest.mark.parametrize("query", ["", "?digest-algorithm=sha512", "?digest-algorithm=sha256"])
async def test_sha512(client, query):
    digest = f"sha512:{hashlib.sha512(CONTENT).hexdigest()}"
    place = await begin(client, query)
    await client.ask("PATCH", place, CONTENT)
    assert (await client.ask("PUT", f"{place}?digest={digest}", b"")).status == 201
    answer = await client.get(f"/v2/a/b/blobs/{digest}")
    assert (answer.body, answer.headers["Docker-Content-Digest"]) == (CONTENT, digest)


async def test_an_unknown_algorithm_is_refused_at_once(client):
    answer = await client.ask("POST", "/v2/a/b/blobs/uploads/?digest-algorithm=md5", b"")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


async def test_mounts(client):
    digest = await client.put_blob("a/b", CONTENT)
    answer = await client.ask("POST", f"/v2/c/blobs/uploads/?mount={digest}&from=a/b", b"")
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/c/blobs/{digest}")
    assert (await client.get(f"/v2/c/blobs/{digest}")).body == CONTENT


async def test_a_mount_without_source_finds_one(client):
    await client.put_image("a/b", "t", "layer")
    digest = digest_of(b"layer")
    answer = await client.ask("POST", f"/v2/c/blobs/uploads/?mount={digest}", b"")
    assert answer.status == 201
    assert (await client.get(f"/v2/c/blobs/{digest}")).body == b"layer"


@pytest.mark.parametrize("source", ["&from=nowhere", "&from=c", ""])
async def test_a_mount_that_can_not_be_becomes_an_upload(client, source):
    digest = digest_of(CONTENT)
    answer = await client.ask("POST", f"/v2/c/blobs/uploads/?mount={digest}{source}", b"")
    assert answer.status == 202
    assert (await client.ask("PUT", f"{answer.headers['Location']}?digest={digest}", CONTENT)).status == 201


async def test_a_deleted_blob_is_gone_from_its_repository_alone(client):
    digest = await client.put_blob("a/b", CONTENT)
    await client.ask("POST", f"/v2/c/blobs/uploads/?mount={digest}&from=a/b", b"")
    assert (await client.ask("DELETE", f"/v2/a/b/blobs/{digest}")).status == 202
    assert (await client.get(f"/v2/a/b/blobs/{digest}")).code == "BLOB_UNKNOWN"
    assert (await client.ask("DELETE", f"/v2/a/b/blobs/{digest}")).code == "BLOB_UNKNOWN"
    assert (await client.get(f"/v2/c/blobs/{digest}")).body == CONTENT


@pytest.mark.parametrize("name", ["A", "a//b", "a/_b", "-a", "a..b", "a/", "é", "a" * 230])
async def test_bad_names(client, name):
    answer = await client.get(f"/v2/{name}/tags/list")
    assert (answer.status, answer.code) == (400, "NAME_INVALID")


async def test_methods_and_paths_that_are_not_there(client):
    answer = await client.ask("PATCH", "/v2/a/manifests/x", b"")
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert answer.headers["Allow"] == "GET, HEAD, PUT, DELETE"
    assert (await client.get("/v2/a/nonsense")).status == 404
    assert (await client.get("/elsewhere")).status == 404


async def test_health(client):
    answer = await client.get("/health")
    assert (answer.status, answer.json()) == (200, {"status": "ok"})


async def test_a_registry_whose_storage_has_vanished_is_not_healthy(client, tmp_path):
    (tmp_path / "root").rename(tmp_path / "elsewhere")
    for path in ("/health", "/healthz"):
        answer = await client.get(path)
        assert (answer.status, answer.code) == (503, "UNKNOWN")
        assert "No such file or directory" in answer.json()["errors"][0]["message"]
    answer = await client.ask("POST", "/v2/a/blobs/uploads/", b"")
    assert (answer.status, answer.code) == (503, "UNKNOWN")
    (tmp_path / "elsewhere").rename(tmp_path / "root")
    assert (await client.get("/health")).status == 200


@pytest.mark.parametrize("tenth", range(1, 10))
async def test_an_upload_cut_anywhere_goes_on_where_it_was_cut(client, tenth):
    place = await begin(client)
    cut = len(CONTENT) * tenth // 10
    host, port = client.base.removeprefix("http://").split(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode() + CONTENT[:cut]
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    status = await client.get(place)
    while status.headers["Range"] != f"0-{cut - 1}":
        await asyncio.sleep(0.01)
        status = await client.get(place)
    assert (await client.get(f"/v2/a/b/blobs/{digest_of(CONTENT)}")).status == 404
    rest = CONTENT[cut:]
    answer = await client.ask("PATCH", place, rest, Content_Range=f"{cut}-{len(CONTENT) - 1}")
    assert answer.status == 202
    assert (await client.ask("PUT", f"{place}?digest={digest_of(CONTENT)}", b"")).status == 201
    assert (await client.get(f"/v2/a/b/blobs/{digest_of(CONTENT)}")).body == CONTENT
