"""Clients that mean ill: whatever is sent is answered by the specification's table, and the registry goes on."""

from __future__ import annotations

import asyncio
import json
import os
import random
from urllib.parse import quote

import pytest

from rig.registry import descriptor, image
from sampan.oci import mediatypes
from sampan.oci.digest import digest_of
from sampan.registry.errors import CODES

BLOB = digest_of(b"content")


@pytest.fixture
async def raw(client):
    """Sends bytes as they are, on a connection of its own; (status, error's code or "")."""
    host, port = client.base.removeprefix("http://").split(":")

    async def send(data: bytes) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(data)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        if not head:
            return 0, ""
        try:
            code = json.loads(body)["errors"][0]["code"]
        except (ValueError, KeyError, TypeError):
            code = ""
        return int(head.split(b" ")[1]), code

    return send


def request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    fields = {"Host": "x", "Connection": "close", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@pytest.mark.parametrize(
    "path",
    [
        "/v2/../../etc/passwd", "/v2/a/../b/tags/list", "/v2/%2e%2e/%2e%2e/tags/list", "/v2/a%2f..%2fb/tags/list",
        "/v2//tags/list", "/v2/a//b/tags/list", "//v2/a/tags/list", "/v2/a/tags/list/", "/v2/a/tags//list",
        "/v2/a%00b/tags/list", "/v2/a%0ab/tags/list", "/v2/%ff%fe/tags/list", "/v2/A/tags/list", "/v2/a b/tags/list",
        "/v2/" + "a" * 300 + "/tags/list", "/v2/" + "a/" * 2000 + "tags/list", "/v2/_uploads/tags/list",
        "/v2/a/manifests/..", "/v2/a/manifests/%2e%2e%2f%2e%2e", "/v2/a/manifests/" + "x" * 129,
        "/v2/a/blobs/..", "/v2/a/blobs/sha256:..%2f..", "/v2/a/blobs/sha256:" + "G" * 64, "/v2/a/blobs/md5:" + "0" * 32,
        "/v2/a/blobs/uploads/..", "/v2/a/blobs/uploads/%2e%2e", "/v2/a/blobs/uploads/..%2f..%2f..%2fetc%2fpasswd",
        "/v2/a/referrers/nonsense", "/v2/a/referrers/..", "/v2/a/tags/list?n=-1", "/v2/a/tags/list?n=" + "9" * 400,
        "/v2/a/tags/list?n=x", "/v2/a/tags/list?last=%00", "/v2/_catalog?n=%ff", "/v2/?%", "/v2", "/", "*", "/v3/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "PATCH", "HEAD", "BREW"])
async def test_odd_paths(client, raw, root, method, path):
    status, code = await raw(request(method, path))
    assert 200 <= status < 500 or status == 0, (method, path, status)
    assert code == "" or (code in CODES and code != "UNKNOWN")
    assert (await client.get("/v2/")).status == 200
    assert not (root.parent / "etc").exists()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


NEGATIVE = descriptor(b"{}", mediatypes.OCI_CONFIG) | {"size": -1}
DEEP = b'{"a":' * 100 + b"1" + b"}" * 100


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"", mediatypes.OCI_MANIFEST, "MANIFEST_INVALID"),
        (b"\x00" * 100, mediatypes.OCI_MANIFEST, "MANIFEST_INVALID"),
        (b"[" * 100_000, mediatypes.OCI_MANIFEST, "MANIFEST_INVALID"),
        (DEEP, mediatypes.OCI_MANIFEST, "MANIFEST_INVALID"),
        (b'{"schemaVersion": 2}', mediatypes.OCI_MANIFEST, "MANIFEST_INVALID"),
        (b'{"schemaVersion": 1, "fsLayers": []}', mediatypes.DOCKER_MANIFEST_V1, "MANIFEST_INVALID"),
        (json.dumps(image(b"{}")).encode(), "text/html", "MANIFEST_INVALID"),
        (json.dumps(image(b"none")).encode(), mediatypes.OCI_MANIFEST, "MANIFEST_BLOB_UNKNOWN"),
        (json.dumps({**image(b"{}"), "layers": [{"digest": "../x", "size": 1}]}).encode(), "", "MANIFEST_INVALID"),
        (json.dumps({**image(b"{}"), "layers": {}}).encode(), "", "MANIFEST_INVALID"),
        (json.dumps({**image(b"{}"), "subject": {"digest": "x", "size": 1}}).encode(), "", "MANIFEST_INVALID"),
        (json.dumps({**image(b"{}"), "config": NEGATIVE}).encode(), "", "MANIFEST_INVALID"),
        (b"x" * (5 << 20), mediatypes.OCI_MANIFEST, "SIZE_INVALID"),
    ],
    ids=["empty", "zeros", "brackets", "deep", "bare", "schema1", "type", "blobs", "digest", "layers", "subject",
         "size", "huge"],
)  # fmt: skip
async def test_manifests_that_are_none(client, body, content_type, code):
    await client.put_blob("a", b"{}")
    kind = content_type or mediatypes.OCI_MANIFEST
    answer = await client.ask("PUT", "/v2/a/manifests/t", body, Content_Type=kind)
    assert 400 <= answer.status < 500 and answer.code == code, answer
    assert (await client.get("/v2/a/manifests/t")).status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=" + "9" * 400 + "-"}, {"Range": "bytes=0-0," * 500}, {"Range": "\xff"}, {"Range": "bytes=--1"},
        {"Range": "bytes=5-1"}, {"If_None_Match": '"' * 5000}, {"Accept": "," * 5000}, {"Authorization": "Basic ===="},
        {"Authorization": "Bearer " + "." * 4000}, {"Authorization": "\xff\xfe"}, {"Content_Range": "0-" + "9" * 400},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [f"/v2/a/blobs/{BLOB}", "/v2/a/manifests/t", "/v2/a/tags/list"])
async def test_odd_fields(client, raw, headers, path):
    await client.put_blob("a", b"content")
    status, code = await raw(request("GET", path, **headers))
    assert 200 <= status < 500
    assert code == "" or (code in CODES and code != "UNKNOWN")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"\r\n" * 1000,
        b"GET /v2/ HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ],
    ids=["version", "tls", "lines", "fields", "target", "negative", "lengths", "chunks", "both"],
)  # fmt: skip
async def test_what_is_no_http(client, data):
    host, port = client.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    writer.write_eof()
    try:
        answer = await reader.read()
        assert answer == b"" or 200 <= int(answer.split(b" ")[1]) < 506
        assert not answer.startswith(b"HTTP/1.1 500")
    except ConnectionError:
        pass
    writer.close()
    assert (await client.get("/v2/")).status == 200


async def test_thousands_of_uploads_that_nobody_ends(client, registry):
    places = []
    for _ in range(30):
        begun = await asyncio.gather(*(client.ask("POST", "/v2/a/blobs/uploads/", b"") for _ in range(50)))
        assert {answer.status for answer in begun} == {202}
        places += [answer.headers["Location"] for answer in begun]
    assert len(set(places)) == 1500
    digest = await client.put_blob("a", b"between them")
    assert (await client.get(f"/v2/a/blobs/{digest}")).body == b"between them"
    assert (await client.get(places[1234])).status == 204
    assert len(await registry.storage.uploads()) == 1500
    assert len(os.listdir("/proc/self/fd")) < 1000


@pytest.mark.parametrize("seed", range(3))
async def test_nonsense_gets_no_500(client, raw, seed):
    dice = random.Random(seed)
    await client.put_image("a", "t")
    words = ["v2", "a", "..", "", "manifests", "blobs", "uploads", "tags", "list", "referrers", "_catalog", "t", BLOB,
             "sha256:", "%2e", "%00", "é", "x" * 200, "{}", "token", "health", "?n=1", "?digest=" + BLOB, "?mount=x",
             "?mount=" + BLOB + "&from=..", "?digest=", "?last=", "?n=", "#", "&", "%"]  # fmt: skip
    values = ["", "0-5", "bytes=1-", "*", BLOB, "x" * 100, mediatypes.OCI_MANIFEST]
    names = ["Range", "Content_Range", "Accept", "Content_Type", "If_Match"]
    methods = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]
    for _ in range(150):
        path = quote("/v2/" + "/".join(dice.choices(words, k=dice.randrange(1, 6))), safe="/%?=&:{}#")
        fields = {name: dice.choice(values) for name in dice.sample(names, 2)}
        method = dice.choice(methods)
        status, code = await raw(request(method, path, dice.randbytes(dice.randrange(20)), **fields))
        assert status < 500, (method, path, fields)
        assert code == "" or (code in CODES and code != "UNKNOWN"), (method, path, fields, code)
    assert (await client.get("/v2/a/manifests/t")).status in (200, 404)
