"""commit and system df on the real kernel."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from rig.waiting import wait_until

pytestmark = pytest.mark.root

FILL = "echo data >/f; rm /etc/group; mkdir /d; chown 1000 /d; sleep 1000"


@pytest.fixture
def box(docker):
    docker.ok("run", "-d", "--name", "box", "--net", "none", "--label", "a=b", "busybox", "sh", "-c", FILL)
    wait_until(lambda: docker.run("exec", "box", "test", "-d", "/d").returncode == 0)
    wait_until(lambda: docker.ok("exec", "box", "stat", "-c", "%u", "/d") == "1000")
    yield "box"
    docker.run("rm", "-f", "box")
    docker.run("rmi", "-f", "made:1", "made:2")


def told(docker, since):
    lines = docker.ok("events", "--since", str(since), "--until", str(time.time()), "--format", "{{json .}}")
    return [(e["Type"], e["Action"], e["Actor"]["Attributes"]) for e in map(json.loads, lines.splitlines())]


def test_the_changes_are_in_the_image(docker, box):
    identity = docker.ok("commit", "-a", "me", "-m", "words", "-c", 'CMD ["cat", "/f"]', box, "made:1")
    assert docker.ok("run", "--rm", "--net", "none", "made:1") == "data"
    assert docker.ok("run", "--rm", "--net", "none", "made:1", "stat", "-c", "%u", "/d") == "1000"
    assert docker.run("run", "--rm", "--net", "none", "made:1", "test", "-e", "/etc/group").returncode == 1
    made = docker.inspect("made:1")
    assert made["Id"] == identity
    assert (made["Author"], made["Comment"], made["Config"]["Labels"]) == ("me", "words", {"a": "b"})
    newest = docker.ok("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "made:1").splitlines()[0]
    assert newest == f"sh -c {FILL}|words"


def test_it_stands_still_meanwhile_and_goes_on(docker, box):
    since = time.time()
    docker.ok("commit", box, "made:1")
    docker.ok("commit", "--pause=false", box, "made:2")
    events = told(docker, since)
    assert [(kind, action) for kind, action, _ in events] == [
        ("container", "pause"),
        ("image", "create"),
        ("image", "tag"),
        ("container", "commit"),
        ("container", "unpause"),
        ("image", "create"),
        ("image", "tag"),
        ("container", "commit"),
    ]
    assert events[3][2]["imageRef"] == "made:1"
    assert docker.inspect(box)["State"]["Status"] == "running"


def test_a_paused_container_stays_paused(docker, box):
    docker.ok("pause", box)
    docker.ok("commit", box, "made:1")
    assert docker.inspect(box)["State"]["Status"] == "paused"


def test_refusals(docker, api, box):
    assert api.post("/commit?container=nosuch").status == 404
    assert api.post("/commit?container=box&repo=BAD&tag=x").status == 400
    assert api.post("/commit?container=box&changes=BOGUS%20x").message == "BOGUS is not a valid change command"
    assert docker.inspect(box)["State"]["Status"] == "running"


def test_df_is_what_the_disk_holds(docker, api, box, sampand):
    docker.ok("volume", "create", "filled")
    docker.ok(
        "run", "--rm", "--net", "none", "-v", "filled:/v", "busybox", "sh", "-c", "head -c 3000000 /dev/zero >/v/x"
    )
    docker.ok("exec", box, "sh", "-c", "head -c 2000000 /dev/zero >/large")
    docker.ok("commit", box, "made:1")
    found = api.get("/system/df").json()
    (volume,) = found["Volumes"]
    assert volume["UsageData"] == {"RefCount": 0, "Size": 3_000_000}
    (container,) = found["Containers"]
    assert 2_000_000 <= container["SizeRw"] < 2_001_000
    assert {image["RepoTags"][0] for image in found["Images"]} == {"busybox:latest", "made:1"}
    ours = found["Sampan"]
    named = found["LayersSize"] + container["SizeRw"] + volume["UsageData"]["Size"] + ours["Blobs"] + ours["Overhead"]
    folders = [str(sampand.data / name) for name in ("blobs", "snapshots", "volumes")]
    listed = subprocess.run(["du", "-sB1", *folders], capture_output=True, text=True, check=True).stdout
    stored = sum(int(line.split()[0]) for line in listed.splitlines())
    assert abs(named - stored) <= stored / 100
    docker.ok("volume", "rm", "filled")


def test_df_of_one_kind(api):
    found = api.get("/system/df?type=volume&type=build-cache").json()
    assert found == {"LayersSize": 0, "Images": None, "Containers": None, "Volumes": [], "BuildCache": []}
    assert api.get("/system/df?type=nosuch").status == 400


def test_the_command_lines_table(docker, box):
    header, *rows = docker.ok("system", "df").splitlines()
    assert header.split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert [row.split("  ")[0] for row in rows] == ["Images", "Containers", "Local Volumes", "Build Cache"]
