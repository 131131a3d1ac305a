"""What a start finds after a crash or a power cut, and what it makes of it."""

from __future__ import annotations

import os
import shutil
import tarfile

import pytest
from images_kit import Kit, docker_archive, sha, special, tar

from sampan.errors import NotFound

pytestmark = pytest.mark.root

ONE = tar(special("d", tarfile.DIRTYPE), ("d/a", b"one"), ("b", b"below"))
TWO = tar(("d/a", b"two"), special("hard", tarfile.LNKTYPE, "b"))


@pytest.fixture
async def kit(tmp_path):
    opened = Kit(tmp_path)
    await opened.load(docker_archive((["app:1"], [ONE, TWO], {})))
    yield opened
    opened.close()


def power_cut(kit):
    """The layers were written during another boot, and nobody saw to it that they reached the disk."""
    kit.database.write_blocking(lambda rows: rows.execute("UPDATE snapshots SET boot = 'another'"))


def read(root, name):
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=root)) as file:
        return file.read()


async def test_layers_that_lost_bytes_are_unpacked_again(kit):
    image = kit.images.resolve("app:1")
    await kit.images.prepare(image.id, "c")
    (kit.images.snapshots.upper("c") / "mine").write_text("kept")
    first, second = kit.images.snapshots.layers()
    (first.fs / "b").write_bytes(b"")
    shutil.rmtree(second.fs)
    power_cut(kit)
    kit.reopen()
    with kit.images.snapshots.view("c") as root:
        assert [read(root, name) for name in ("d/a", "hard", "b", "mine")] == ["two", "below", "below", "kept"]
        assert "proc" in os.listdir(root)
    assert kit.images.snapshots.unsettled() == []
    before = kit.left()
    kit.reopen()
    assert kit.left() == before


async def test_what_was_settled_is_left_alone(kit):
    kit.images.snapshots.settle()
    (kit.images.snapshots.layers()[0].fs / "mark").write_text("here")
    kit.reopen()
    assert (kit.images.snapshots.layers()[0].fs / "mark").exists()


async def test_an_image_whose_bytes_are_gone_is_shown_and_can_be_removed(kit):
    image = kit.images.resolve("app:1")
    for digest in (image.manifest, sha(ONE)):
        kit.images.content.path(digest).unlink()
    power_cut(kit)
    kit.reopen()
    assert [row.id for row in kit.images.list()] == [image.id]
    assert kit.images.inspect("app:1").id == image.id
    with pytest.raises(NotFound, match="not"):
        await kit.save("app:1")
    await kit.images.remove("app:1")
    assert kit.left() == ([], [], [])


async def test_a_load_that_was_cut_off_leaves_nothing(kit):
    before = kit.left()
    kit.images.snapshots.draft()
    kit.images.content.begin().write(b"half")
    kit.images.content.put(b"whole, but nobody's")
    kit.reopen()
    assert kit.left() == before


async def test_containers_that_nobody_knows_are_forgotten(kit):
    image = kit.images.resolve("app:1")
    for key in ("known", "lost"):
        await kit.images.prepare(image.id, key)
    kit.reopen()
    await kit.images.forget_snapshots({"known"})
    assert kit.images.snapshots.active_keys() == ["known"]


async def test_loading_again_after_losing_blobs_brings_them_back(kit):
    image = kit.images.resolve("app:1")
    kit.images.content.path(sha(ONE)).unlink()
    kit.reopen()
    await kit.load(docker_archive((["app:1"], [ONE, TWO], {})))
    assert kit.images.content.read(sha(ONE)) == ONE
    assert kit.images.resolve("app:1").id == image.id
    assert len(await kit.save("app:1")) > len(ONE)
