"""What goes wrong beneath and around the registry: full disks, slow clients, bugs."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os

import pytest

from rig.registry import bound, image
from sampan.http import HttpServer
from sampan.oci.digest import digest_of
from sampan.registry.app import RegistryApp
from sampan.registry.auth import Everyone
from sampan.registry.repositories import Registry
from sampan.registry.storage import filesystem, fileuploads

CONTENT = os.urandom(200_000)


def full(*_: object, **__: object):
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_full_disk_in_an_upload(client, monkeypatch):
    place = (await client.ask("POST", "/v2/a/blobs/uploads/", b"")).headers["Location"]
    assert (await client.ask("PATCH", place, CONTENT[:50_000])).status == 202
    with monkeypatch.context() as patched:
        patched.setattr(fileuploads.os, "write", full)
        answer = await client.ask("PATCH", place, CONTENT[50_000:])
        assert answer.status == 507
        assert "No space left" in answer.json()["errors"][0]["message"]
    status = await client.get(place)
    assert status.headers["Range"] == "0-49999"
    assert (await client.ask("PATCH", place, CONTENT[50_000:], Content_Range="50000-199999")).status == 202
    assert (await client.ask("PUT", f"{place}?digest={digest_of(CONTENT)}", b"")).status == 201
    assert (await client.get(f"/v2/a/blobs/{digest_of(CONTENT)}")).body == CONTENT


async def test_a_full_disk_in_a_manifest(client, monkeypatch):
    await client.put_image("a", "old", "layer")
    old = (await client.get("/v2/a/manifests/old")).body
    await client.put_blob("a", b"{}")
    with monkeypatch.context() as patched:
        patched.setattr(filesystem, "_store", full)
        assert (await client.put_manifest("a", "old", image(b"{}"))).status == 507
    assert (await client.get("/v2/a/manifests/old")).body == old
    assert (await client.get("/v2/a/tags/list")).json()["tags"] == ["old"]


async def test_a_disk_that_fails_at_the_end_of_an_upload(client, monkeypatch):
    place = (await client.ask("POST", "/v2/a/blobs/uploads/", b"")).headers["Location"]
    await client.ask("PATCH", place, CONTENT)
    with monkeypatch.context() as patched:
        patched.setattr(fileuploads.os, "fsync", full)
        assert (await client.ask("PUT", f"{place}?digest={digest_of(CONTENT)}", b"")).status == 507
    assert (await client.get(f"/v2/a/blobs/{digest_of(CONTENT)}")).status == 404


async def test_a_bug_is_not_shown_to_clients(client, registry, monkeypatch, caplog):
    async def broken(*_: object) -> None:
        raise KeyError("a secret of ours")

    monkeypatch.setattr(registry, "tags", broken)
    answer = await client.get("/v2/a/tags/list")
    assert (answer.status, answer.code) == (500, "UNKNOWN")
    assert b"secret" not in answer.body
    assert "a secret of ours" in caplog.text


async def test_a_client_that_stops_in_its_body_is_let_go(client, monkeypatch, registry):
    monkeypatch.setattr("sampan.registry.routes.uploads.IDLE_LIMIT", 0.05)
    place = (await client.ask("POST", "/v2/a/blobs/uploads/", b"")).headers["Location"]
    host, port = client.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
    assert await reader.read() == b""
    writer.close()
    info = await registry.storage.upload(place.rpartition("/")[2])
    assert info is not None and info.offset == 4


async def test_a_client_that_stops_in_its_head_is_let_go(storage):
    server = HttpServer(RegistryApp(Registry(storage), Everyone()).handle, head_timeout=0.05)
    sock = bound()
    await server.serve_socket(sock)
    reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
    writer.write(b"GET /v2/ HTT")
    assert await reader.read() == b""
    writer.close()
    await server.close(0)


async def test_two_writers_of_one_upload(client, tmp_path, monkeypatch):
    """The second waits for the first for a while, and is told of it; another process would hold the same lock."""
    monkeypatch.setattr(fileuploads, "_PATIENCE", 0.05)
    place = (await client.ask("POST", "/v2/a/blobs/uploads/", b"")).headers["Location"]
    with (tmp_path / "root" / "uploads" / place.rpartition("/")[2] / "data").open("rb") as data:
        fcntl.flock(data, fcntl.LOCK_EX)
        answer = await client.ask("PATCH", place, b"x")
        assert (answer.status, answer.code) == (409, "BLOB_UPLOAD_INVALID")
    answer = await client.ask("PATCH", place, b"xy")
    assert (answer.status, answer.headers["Range"]) == (202, "0-1")


@pytest.mark.parametrize(
    "path", ["/v2/a/blobs/uploads/../../x", "/v2/../etc/passwd", "/v2/a/manifests/..", "/v2/%2e%2e/x"]
)
async def test_paths_that_climb(client, path):
    host, port = client.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert (await reader.read()).split(b" ")[1] in (b"400", b"404", b"405")
    writer.close()
