"""A container nests folders deeper than any path can be: every verb works on it or refuses clearly."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from rig import storm
from rig.care import load
from rig.deep import make_deep
from sampan.store.trees import measure

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

DEPTH = 2200


@pytest.fixture
def nested(sampand):
    """A client, and the container `deep`, in whose /deep and /volume/deep folders are nested."""
    load(sampand)
    with sampand.client() as client:
        storm.create(client, "deep", "true", HostConfig={"Mounts": [{"Type": "volume", "Target": "/volume"}]})
        document = client.get("/containers/deep/json").json()
        make_deep(Path(document["GraphDriver"]["Data"]["UpperDir"]) / "deep", DEPTH)
        make_deep(Path(document["Mounts"][0]["Source"]) / "deep", DEPTH)
        try:
            yield client
        finally:
            client.close()
            client.delete("/containers/deep?v=1")


def snapshots(engine) -> set[str]:
    return {name for name in os.listdir(engine.data / "snapshots") if name.isdigit()}


def deepest(archive: bytes, top: str) -> int:
    """How many folders d lie in one another below `top`, where a file ends them."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        name = max((member.name for member in opened if member.name.startswith(top)), key=len)
    assert name.endswith("/file")
    return name.split("/").count("d")


def test_a_deep_tree_is_shown_copied_and_removed(sampand, nested):
    client = nested
    before = snapshots(sampand)
    shown = client.get("/containers/deep/json?size=1").json()
    assert shown["SizeRw"] == len("content")
    disk = client.get("/system/df").json()
    assert [volume["UsageData"]["Size"] for volume in disk["Volumes"]] == [len("content")]
    changes = [change["Path"] for change in client.get("/containers/deep/changes").json()]
    assert max(changes, key=len).split("/").count("d") == DEPTH
    assert deepest(client.get("/containers/deep/export").body, "deep") == DEPTH
    assert deepest(client.get("/containers/deep/archive?path=/deep").body, "deep") == DEPTH
    beyond = "/deep" + "/d" * DEPTH
    assert client.get(f"/containers/deep/archive?path={beyond}").status in (400, 404, 414)

    made = client.post("/commit?container=deep&repo=deep")
    assert made.status == 201, made.message
    storm.run(client, "again", "sh", "-c", "cd /deep/d/d/d && ls -d d", Image="deep")
    storm.wait_until(lambda: storm.state(client, "again")["Status"] == "exited", "it looked", 60)
    assert storm.state(client, "again")["ExitCode"] == 0
    saved = client.get("/images/deep/get").body
    for name in ("deep", "again"):
        assert client.delete(f"/containers/{name}?v=1").status == 204
    assert client.delete("/images/deep").status == 200
    loaded = client.request("POST", "/images/load", saved)
    assert loaded.status == 200 and b'"error"' not in loaded.body, loaded.body
    assert client.delete("/images/deep").status == 200
    storm.wait_until(
        lambda: len(snapshots(sampand) - before) == 0 and len(snapshots(sampand)) < len(before), "gone", 60
    )
    assert not os.listdir(sampand.data / "volumes")


def test_a_deep_tree_that_a_crash_left_is_swept_at_the_next_start(sampand, nested):
    upper = Path(nested.get("/containers/deep/json").json()["GraphDriver"]["Data"]["UpperDir"])
    assert measure(upper).inodes > DEPTH
    orphan = sampand.data / "snapshots/999999"
    os.rename(upper.parent, orphan)
    assert nested.delete("/containers/deep?v=1").status == 204
    storm.wait_until(lambda: not os.listdir(sampand.data / "volumes"), "the volume is swept", 60)
    sampand.kill()
    sampand.start()
    storm.wait_until(lambda: not orphan.exists(), "the orphan is swept", 60)
