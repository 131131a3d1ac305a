"""A part of a volume, mounted by its path within: what is there, what is refused, what other options do with it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from rig.http import Answer, EngineClient

pytestmark = pytest.mark.root

SETUP = (
    "mkdir -p /v/a/b; echo deep >/v/a/b/file; echo flat >/v/file; "
    "ln -s a /v/inside; ln -s /etc /v/outside; ln -s ../../.. /v/up; mkdir /v/empty"
)


def create(api: EngineClient, command: str, **host: Any) -> Answer:
    return api.post(
        "/containers/create",
        {"Image": "busybox", "Cmd": ["sh", "-c", command], "HostConfig": {"NetworkMode": "none", **host}},
    )


def part(subpath: str, target: str = "/m", **more: Any) -> dict[str, Any]:
    return {"Type": "volume", "Source": "parts", "Target": target, "VolumeOptions": {"Subpath": subpath, **more}}


def output(api: EngineClient, command: str, **host: Any) -> str:
    created = create(api, command, **host)
    assert created.status == 201, created.message
    return started(api, created.json()["Id"])


def started(api: EngineClient, container: str) -> str:
    answer = api.post(f"/containers/{container}/start")
    assert answer.status == 204, answer.message
    api.post(f"/containers/{container}/wait")
    body = api.get(f"/containers/{container}/logs?stdout=1&stderr=1").body
    lines = []
    while body:
        size = 8 + int.from_bytes(body[4:8], "big")
        lines.append(body[8:size])
        body = body[size:]
    return b"".join(lines).decode()


@pytest.fixture
def volume(api: EngineClient) -> Iterator[EngineClient]:
    assert api.post("/volumes/create", {"Name": "parts"}).status == 201
    assert output(api, SETUP, Binds=["parts:/v"]) == ""
    yield api
    for container in api.get("/containers/json?all=1").json():
        api.delete(f"/containers/{container['Id']}?force=1")
    assert api.delete("/volumes/parts").status == 204


@pytest.mark.parametrize(
    ("subpath", "found"),
    [("a", "b"), ("a/b", "file"), ("inside", "b"), ("inside/b", "file"), ("a/../a", "b"), ("a/./b", "file")],
)
def test_a_folder_of_a_volume(volume, subpath, found):
    assert output(volume, "ls /m", Mounts=[part(subpath)]) == f"{found}\n"


def test_a_file_of_a_volume(volume):
    assert output(volume, "cat /m", Mounts=[part("file")]) == "flat\n"


def test_what_is_written_is_in_the_volume(volume):
    assert output(volume, "echo new >/m/new", Mounts=[part("a")]) == ""
    assert output(volume, "cat /v/a/new", Binds=["parts:/v"]) == "new\n"


def test_read_only(volume):
    read_only = {**part("a"), "ReadOnly": True}
    assert "Read-only file system" in output(volume, "echo new >/m/new", Mounts=[read_only])


@pytest.mark.parametrize("subpath", ["/a", "..", "../parts", "a/../../x"])
def test_what_can_be_seen_to_lead_out_is_refused_at_once(volume, subpath):
    answer = create(volume, "true", Mounts=[part(subpath)])
    assert (answer.status, answer.message) == (
        400,
        'invalid mount config for type "volume": subpath must be a relative path within the volume',
    )


@pytest.mark.parametrize(("subpath", "status"), [("outside", 400), ("missing", 404), ("a/missing", 404)])
def test_what_is_not_in_the_volume_is_refused_at_the_start(volume, subpath, status):
    container = create(volume, "true", Mounts=[part(subpath)]).json()["Id"]
    assert volume.post(f"/containers/{container}/start").status == status


def test_a_link_that_is_changed_later_does_not_lead_out(volume):
    container = create(volume, "ls /m", Mounts=[part("inside")]).json()["Id"]
    assert started(volume, container) == "b\n"
    output(volume, "rm /v/inside; ln -s /etc /v/inside", Binds=["parts:/v"])
    assert volume.post(f"/containers/{container}/start").status == 400


def test_volumes_from_takes_the_part_over(volume):
    first = create(volume, "true", Mounts=[part("a")]).json()["Id"]
    assert output(volume, "ls /m", VolumesFrom=[first]) == "b\n"


def test_the_images_files_go_to_an_empty_part(volume):
    assert "passwd" in output(volume, "ls /etc", Mounts=[part("empty", "/etc")])
    assert "passwd" in output(volume, "ls /v/empty", Binds=["parts:/v"])


def test_files_of_a_container_that_does_not_run(volume):
    container = create(volume, "cat /m/b/file", Mounts=[part("a")]).json()["Id"]
    archive = volume.get(f"/containers/{container}/archive?path=/m/b/file")
    assert archive.status == 200, archive.message
    with tarfile.open(fileobj=io.BytesIO(archive.body)) as tar:
        assert tar.getnames() == ["file"]
