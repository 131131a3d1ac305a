"""A data root on a full disk: what is there is shown, stopped and removed; what is new is refused."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import storm
from rig.care import load, started, stop_and_check
from rig.engines import Sampand
from rig.http import EngineClient
from rig.image import busybox_archive
from rig.ramdisk import RamDisk

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

FULL = "no space left on device"


class SmallDisk:
    """A sampand whose data root is a disk of its own."""

    def __init__(self, home: Path) -> None:
        self.disk = RamDisk(home / "disk", 96)
        self.daemon = Sampand(home / "engine")
        self.daemon.data.symlink_to(self.disk.path)

    def fill(self) -> None:
        """Take every block, however small a piece of it."""
        descriptor = os.open(self.disk.path / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (1 << 20, 1 << 12, 1 << 10):
                try:
                    while True:
                        os.write(descriptor, bytes(size))
                except OSError:
                    continue
        finally:
            os.close(descriptor)
        assert shutil.disk_usage(self.disk.path).free < 1 << 12

    def free(self) -> None:
        (self.disk.path / "filler").unlink()


@pytest.fixture
def small() -> Iterator[SmallDisk]:
    home = Path(tempfile.mkdtemp(prefix="sampan-test-", dir="/tmp"))
    small = SmallDisk(home)
    try:
        started(small.daemon)
        load(small.daemon)
        yield small
    finally:
        stop_and_check(small.daemon)
        small.disk.close()
        shutil.rmtree(home)


def settled(small: SmallDisk, free: int) -> None:
    """Wait until so many bytes are free, which sweeping in the background brings."""
    storm.wait_until(lambda: shutil.disk_usage(small.disk.path).free >= free, f"{free} bytes are free", 60)


def fill_layer(client: EngineClient, name: str, kilobytes: int = 2000) -> None:
    """A container that has written something and still runs."""
    script = f"dd if=/dev/zero of=/file bs=1k count={kilobytes} 2>/dev/null; sync; echo done; sleep 1000"
    storm.run(client, name, "sh", "-c", script)
    storm.wait_until(lambda: b"done" in client.get(f"/containers/{name}/logs?stdout=1").body, name, 60)


def refused(client: EngineClient, method: str, path: str, body: object = None) -> None:
    answer = client.request(method, path, body)
    said = answer.body.decode()
    assert FULL in said.lower(), f"{method} {path}: {answer.status} {said}"
    assert answer.status == 500 or '"error"' in said, f"{method} {path}: {answer.status} {said}"


def random_tar(size: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("large")
        member.size = size
        archive.addfile(member, io.BytesIO(os.urandom(size)))
    return buffer.getvalue()


def rows(client: EngineClient) -> tuple[list[str], list[str], list[str]]:
    """What there is: containers, images, volumes."""
    containers = sorted(name for one in client.get("/containers/json?all=1").json() for name in one["Names"])
    images = sorted(one["Id"] for one in client.get("/images/json?all=1").json())
    volumes = sorted(one["Name"] for one in client.get("/volumes").json()["Volumes"])
    return containers, images, volumes


def test_a_full_disk_while_the_daemon_runs(small):
    with small.daemon.client() as client:
        fill_layer(client, "one")
        fill_layer(client, "two")
        assert client.post("/volumes/create", {"Name": "kept"}).status == 201
        small.fill()
        before = rows(client)
        large = random_tar(3 << 20)
        refused(client, "POST", "/containers/create?name=new", {"Image": "busybox:latest", "Cmd": ["true"]})
        refused(client, "POST", "/volumes/create", {"Name": "new"})
        refused(client, "POST", "/images/load", busybox_archive(extra=[large]))
        refused(client, "POST", "/images/create?fromSrc=-&repo=imported", large)
        refused(client, "POST", "/commit?container=one&repo=committed")
        assert rows(client) == before
        assert client.get("/info").status == client.get("/containers/one/json?size=1").status == 200
        assert client.get("/system/df").status == client.get("/images/busybox:latest/json").status == 200
        assert client.get("/containers/one/logs?stdout=1").status == 200

        assert client.post("/containers/one/stop?t=0").status == 204
        assert storm.state(client, "one")["Status"] == "exited"
        assert client.delete("/containers/one").status == 204
        settled(small, 1 << 20)
        assert client.delete("/containers/two?force=1").status == 204
        settled(small, 3 << 20)
        assert client.delete("/volumes/kept").status == 204
        storm.run(client, "again", "true")
        answer = client.post("/volumes/create", {"Name": "again"})
        assert answer.status == 201, answer.message


def test_a_daemon_starts_on_a_full_disk_and_makes_room(small):
    with small.daemon.client() as client:
        fill_layer(client, "runs")
        fill_layer(client, "stopped")
        assert client.post("/containers/stopped/kill").status == 204
        made = client.post("/containers/create?name=made", {"Image": "busybox:latest", "Volumes": {"/data": {}}})
        assert made.status == 201, made.message
        small.fill()
        before = rows(client)
    small.daemon.kill()
    small.daemon.start()
    with small.daemon.client() as client:
        assert rows(client) == before
        assert storm.state(client, "runs")["Running"] and not storm.state(client, "stopped")["Running"]
        assert client.post("/containers/runs/stop?t=0").status == 204
        pruned = client.post("/containers/prune")
        assert pruned.status == 200 and len(pruned.json()["ContainersDeleted"]) == 3, pruned.message
        settled(small, 3 << 20)
        assert client.post("/volumes/prune").status == 200
        assert client.delete("/images/busybox:latest").status == 200
        assert rows(client) == ([], [], [])
    load(small.daemon)
    with small.daemon.client() as client:
        storm.run(client, "again", "true")


def test_images_make_room_on_a_full_disk(small):
    with small.daemon.client() as client:
        answer = client.request("POST", "/images/create?fromSrc=-&repo=large", random_tar(8 << 20))
        assert b'"error"' not in answer.body, answer.body
        small.fill()
        small.daemon.kill()
    small.daemon.start()
    with small.daemon.client() as client:
        answer = client.delete("/images/large:latest")
        assert answer.status == 200, answer.message
        settled(small, 8 << 20)
        assert [one["RepoTags"] for one in client.get("/images/json").json()] == [["busybox:latest"]]
        assert json.loads(client.post("/images/prune").body)["SpaceReclaimed"] == 0


def test_a_container_whose_log_fills_the_disk(small):
    with small.daemon.client() as client:
        storm.run(client, "chatty", "sh", "-c", "while :; do echo $(cat /etc/passwd) a rather long line; done")
        fill_layer(client, "quiet", 4000)
        small.fill()
        assert client.post("/containers/quiet/stop?t=0").status == 204
        assert client.get("/containers/chatty/logs?stdout=1&tail=2").status == 200
        assert client.post("/containers/chatty/stop?t=1").status == 204
        assert storm.state(client, "chatty")["ExitCode"] == 137
        assert client.post("/containers/quiet/start").status in (204, 500)
        for name in ("chatty", "quiet"):
            assert client.delete(f"/containers/{name}?force=1").status == 204
        settled(small, 2 << 20)
        storm.run(client, "again", "true")
