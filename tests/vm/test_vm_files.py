"""Mounts where systemd shares them all, and layers on the kernel of a stable Debian."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from guest_kit import execute, inspect, output, wait

from rig.storm import create, run, wait_until

SLEEP = ("sleep", "1000")
TAR = {"Content-Type": "application/x-tar"}


def host_mounts():
    return Path("/proc/1/mountinfo").read_text()


def archive(name, data):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def extracted(data, name):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = tar.extractfile(name)
        assert found is not None
        return found.read()


@pytest.fixture
def shared(tmp_path):
    """A folder that is a shared mount of its own."""
    subprocess.run(["mount", "--bind", tmp_path, tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "--recursive", tmp_path], check=True)


def test_no_mount_of_a_container_is_seen_outside(api, tmp_path):
    before = host_mounts()
    options = {"Binds": [f"{tmp_path}:/bound", "named:/volume"], "Tmpfs": {"/little": "size=1m"}}
    run(api, "mounted", *SLEEP, HostConfig=options)
    assert execute(api, "mounted", "touch", "/bound/a", "/volume/b", "/little/c") == (0, "")
    assert api.get("/containers/mounted/archive?path=/volume/b").status == 200
    assert host_mounts() == before
    assert tmp_path.joinpath("a").exists()


@pytest.mark.parametrize(("mode", "seen"), [("rslave", True), ("rprivate", False)])
def test_a_later_mount_of_the_host(api, shared, mode, seen):
    folder = shared / "later"
    folder.mkdir()
    run(api, "waiting", *SLEEP, HostConfig={"Binds": [f"{shared}:/shared:{mode}"]})
    subprocess.run(["mount", "-t", "tmpfs", "late", folder], check=True)
    folder.joinpath("file").touch()
    assert (execute(api, "waiting", "ls", "/shared/later") == (0, "file\n")) is seen


def test_a_containers_mount_reaches_the_host(api, shared):
    shared.joinpath("made").mkdir()
    options = {"Binds": [f"{shared}:/shared:rshared"], "CapAdd": ["SYS_ADMIN"], "SecurityOpt": ["seccomp=unconfined"]}
    run(api, "mounting", *SLEEP, HostConfig=options)
    assert execute(api, "mounting", "mount", "-t", "tmpfs", "inside", "/shared/made") == (0, "")
    assert f"{shared}/made" in host_mounts()


@pytest.mark.parametrize("running", [True, False])
def test_copies_in_and_out(api, running):
    command = SLEEP if running else ("true",)
    run(api, "copied", *command, HostConfig={"Binds": ["kept:/kept"]})
    if not running:
        assert wait(api, "copied") == 0
    for folder in ("/tmp", "/kept"):
        put = api.request("PUT", f"/containers/copied/archive?path={folder}", archive("new", b"text"), TAR)
        assert put.status == 200, put.message
        got = api.get(f"/containers/copied/archive?path={folder}/new")
        assert (got.status, extracted(got.body, "new")) == (200, b"text")
    assert {"Path": "/tmp/new", "Kind": 1} in api.get("/containers/copied/changes").json()
    assert extracted(api.get("/containers/copied/export").body, "tmp/new") == b"text"


def test_a_commit_is_an_image(api):
    run(api, "source", "sh", "-c", "echo kept >/kept; rm -r /home; mkdir /home; touch /home/one")
    assert wait(api, "source") == 0
    made = api.post("/commit?container=source&repo=committed", {})
    assert made.status == 201, made.message
    create(api, "target", "sh", "-c", "cat /kept; ls /home", Image="committed")
    assert api.post("/containers/target/start").status == 204
    assert wait(api, "target") == 0
    assert output(api, "target") == "kept\none\n"
    assert api.delete("/containers/target").status == 204
    assert api.delete("/images/committed").status == 200


def test_a_user_of_the_image(api):
    run(api, "worker", *SLEEP, User="worker")
    assert execute(api, "worker", "id") == (0, "uid=1000(worker) gid=1000(worker) groups=50(staff),1000(worker)\n")
    assert inspect(api, "worker")["Config"]["User"] == "worker"
    wait_until(lambda: execute(api, "worker", "id", "-un", User="nobody") == (0, "nobody\n"), "another user")
