"""A container's changes: as docker diff tells them, as a layer, and as an image that is what the container was."""

from __future__ import annotations

import io
import os
import random
import shutil
import socket
import stat
import tarfile
from contextlib import suppress

import pytest
from images_kit import Kit, docker_archive, sha, special, tar

from sampan.errors import InvalidArgument, NotFound
from sampan.images.commit import CommitRequest
from sampan.images.diff import ADDED, DELETED, MODIFIED
from sampan.images.pack import pack
from sampan.oci.documents import RunConfig

pytestmark = pytest.mark.root

DIR = tarfile.DIRTYPE
BASE = tar(
    special("bin", DIR),
    ("bin/tool", b"tool"),
    ("bin/other", b"other"),
    special("d", DIR),
    ("d/x", b"x"),
    ("d/y", b"y"),
    special("deep", DIR),
    special("deep/er", DIR),
    ("deep/er/file", b"file"),
    special("t", DIR),
    ("gone", b"gone"),
)


@pytest.fixture
async def kit(tmp_path):
    opened = Kit(tmp_path)
    await opened.load(docker_archive((["base:1"], [BASE], {"run": {"Env": ["A=1"], "Labels": {"l": "1"}}})))
    await opened.images.prepare(opened.images.resolve("base:1").id, "c")
    opened.events.clear()
    yield opened
    opened.close()


class Root:
    """Ordinary file operations below a view's descriptor, as a process in the container would do them."""

    def __init__(self, descriptor):
        self.at = f"/proc/self/fd/{descriptor}"

    def __truediv__(self, name):
        return f"{self.at}/{name}"

    def write(self, name, text):
        with open(self / name, "w") as file:  # noqa: PTH123
            file.write(text)


def change(kit):
    with kit.images.snapshots.view("c") as descriptor:
        root = Root(descriptor)
        os.unlink(root / "gone")
        root.write("bin/tool", "changed")
        root.write("d/new", "new")
        os.makedirs(root / "added/below")
        root.write("added/below/f", "f")
        os.chmod(root / "t", 0o1777)
        shutil.rmtree(root / "deep")
        os.mkdir(root / "deep")
        root.write("deep/again", "again")


def seen(kit):
    return [("CAD"[one.kind], one.path) for one in kit.images.changes("c")]


async def test_a_fresh_container_has_no_changes(kit):
    assert seen(kit) == []


async def test_changes_as_docker_tells_them(kit):
    change(kit)
    assert seen(kit) == [
        ("A", "/added"),
        ("A", "/added/below"),
        ("A", "/added/below/f"),
        ("C", "/bin"),
        ("C", "/bin/tool"),
        ("C", "/d"),
        ("A", "/d/new"),
        ("C", "/deep"),
        ("A", "/deep/again"),
        ("D", "/deep/er"),
        ("D", "/gone"),
        ("C", "/t"),
    ]
    assert (MODIFIED, ADDED, DELETED) == (0, 1, 2)


async def test_files_of_the_mount_points_are_no_changes_until_written(kit):
    with kit.images.snapshots.view("c") as descriptor:
        Root(descriptor).write("etc/hosts", "mine")
        os.utime(Root(descriptor) / "d")
    assert seen(kit) == [("C", "/etc"), ("C", "/etc/hosts")]


def packed(path, overlay):
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return tarfile.open(fileobj=io.BytesIO(b"".join(pack(descriptor, overlay))))
    finally:
        os.close(descriptor)


async def test_the_layer_of_the_changes(kit):
    change(kit)
    archive = packed(kit.images.snapshots.upper("c"), overlay=True)
    assert archive.getnames() == [
        "added", "added/below", "added/below/f", "bin", "bin/tool", "d", "d/new",
        "deep", "deep/.wh..wh..opq", "deep/again", ".wh.gone", "t",
    ]  # fmt: skip
    assert archive.getmember(".wh.gone").isreg()
    assert stat.S_IMODE(archive.getmember("t").mode) == 0o1777


async def commit(kit, name="made", **fields):
    base = kit.images.resolve("base:1")
    run = fields.pop("run", base.config.run)
    return await kit.images.commit(CommitRequest("c", run, **fields), base.id, name, "1" if name else "")


def tree(root):
    """All that an image must keep of a tree."""
    found = {}
    for folder, directories, files, descriptor in os.fwalk(".", dir_fd=root):
        for name in directories + files:
            info = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            path = os.path.normpath(os.path.join(folder, name))
            shown = [stat.filemode(info.st_mode), info.st_uid, info.st_gid, info.st_mtime_ns // 10**9, info.st_rdev]
            if stat.S_ISREG(info.st_mode):
                with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=descriptor), "rb") as file:
                    shown += [file.read(), dict.fromkeys(os.listxattr(file.fileno()))]
            if stat.S_ISLNK(info.st_mode):
                shown.append(os.readlink(name, dir_fd=descriptor))
            found[path] = shown
    return found


async def same_afterwards(kit):
    """Commit, and compare a container of the new image with the one it was made from."""
    made = await commit(kit)
    await kit.images.prepare(made, "again")
    with kit.images.snapshots.view("c") as before, kit.images.snapshots.view("again") as after:
        want, have = tree(before), tree(after)
    # Their times are those of the beginnings, which are made for each image anew.
    for path in ("dev", "etc", "proc", "sys", "dev/pts", "dev/shm", "etc/mtab", ".dockerenv", "dev/console"):
        want.pop(path, None), have.pop(path, None)
    for path in ("etc/hosts", "etc/hostname", "etc/resolv.conf"):
        want.pop(path, None), have.pop(path, None)
    assert have == want
    await kit.images.discard("again")


async def test_an_image_is_what_the_container_was(kit):
    change(kit)
    with kit.images.snapshots.view("c") as descriptor:
        root = Root(descriptor)
        root.write("links", "linked")
        os.link(root / "links", root / "bin/hard")
        os.symlink("/etc/passwd", root / "soft")
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mkfifo(root / "fifo", 0o640)
        root.write("owned", "x")
        os.chown(root / "owned", 70000, 2**31)
        os.chmod(root / "owned", 0o4755)
        os.setxattr(root / "owned", "user.note", b"v")
        os.utime(root / "owned", (1, 1_000_000_000))
        root.write("n" * 200, "long")
        root.write("naïve \udcff".encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape"), "odd")
    await same_afterwards(kit)


def random_change(root, rng):
    """One thing that a process might do; much of it fails, as in life."""
    names = ["bin", "bin/tool", "d", "d/x", "deep", "deep/er", "deep/er/file", "t", "gone", "p", "p/q", "d/p"]
    name, other = root / rng.choice(names), root / rng.choice(names)
    deeds = [
        lambda: root.write(rng.choice(names), str(rng.random())),
        lambda: os.mkdir(name),
        lambda: os.unlink(name),
        lambda: shutil.rmtree(name),
        lambda: os.chmod(name, rng.choice([0o700, 0o755])),
        lambda: os.rename(name, other),
        lambda: os.symlink("x", name),
        lambda: os.link(name, other),
    ]
    with suppress(OSError):
        rng.choice(deeds)()


async def test_random_changes_make_equal_images(kit):
    seed = random.randrange(10**9)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(8):
        with kit.images.snapshots.view("c") as descriptor:
            for _ in range(12):
                random_change(Root(descriptor), rng)
        await same_afterwards(kit)


async def test_sockets_are_left_out(kit):
    with kit.images.snapshots.view("c") as descriptor:
        bound = socket.socket(socket.AF_UNIX)
        bound.bind(Root(descriptor) / "s")
        bound.close()
    assert packed(kit.images.snapshots.upper("c"), overlay=True).getnames() == []


async def test_what_a_committed_image_says_of_itself(kit):
    change(kit)
    base = kit.images.resolve("base:1")
    made = await commit(kit, author="me", comment="note", created_by="sh -c x", changes=["ENV B=2", "CMD run"])
    shown = kit.images.inspect("made:1")
    assert (shown.id, shown.parent, shown.author, shown.comment) == (made, base.id, "me", "note")
    assert shown.config.env == ["A=1", "B=2"]
    assert shown.config.cmd == ["/bin/sh", "-c", "run"]
    assert shown.root_fs.layers[0] == sha(BASE)
    first, second = kit.images.history("made:1")
    assert (first.created_by, first.comment, first.tags) == ("sh -c x", "note", ["made:1"])
    assert (second.id, second.tags) == (base.id, ["base:1"])
    assert kit.events == [("create", made, {"l": "1", "name": made}), ("tag", made, {"l": "1", "name": "made:1"})]
    assert shown.metadata.last_tag_time > "2026"


async def test_nothing_changed_is_an_image_without_another_layer(kit):
    await commit(kit)
    assert kit.images.resolve("made:1").chain_ids == kit.images.resolve("base:1").chain_ids
    assert kit.images.resolve("made:1").config.history[-1].empty_layer
    blobs, _, ingests = kit.left()
    assert (len(blobs), ingests) == (5, [])


async def test_the_same_changes_again_are_kept_once(kit):
    change(kit)
    request = CommitRequest("c", RunConfig(cmd=["x"]))
    for name in ("one", "two"):
        await kit.images.commit(request, kit.images.resolve("base:1").id, name)
    kinds = kit.images.snapshots._database.read(
        lambda rows: [kind for (kind,) in rows.execute("SELECT kind FROM snapshots")]
    )
    assert sorted(kinds) == ["active", "init", "layer", "layer"]
    # Besides the rows' directories there is only the empty one.
    assert len(os.listdir(kit.images.snapshots.folder)) == len(kinds) + 1


async def test_commits_that_can_not_be(kit):
    with pytest.raises(InvalidArgument, match="RUN is not a valid change command"):
        await commit(kit, changes=["RUN x"])
    with pytest.raises(InvalidArgument):
        await commit(kit, name="BAD")
    with pytest.raises(NotFound):
        await kit.images.commit(CommitRequest("c", RunConfig()), sha(b"absent"))
    assert len(kit.images.list(everything=True)) == 1


async def test_a_whole_root_as_tar(kit):
    change(kit)
    with kit.images.snapshots.view("c") as root:
        names = tarfile.open(fileobj=io.BytesIO(b"".join(pack(root, overlay=False)))).getnames()
    assert {"bin/other", "bin/tool", "deep/again", ".dockerenv", "etc/mtab"} <= set(names)
    assert not any(".wh." in name for name in names)
    assert "gone" not in names
    assert "deep/er" not in names


async def test_a_file_that_shrinks_or_grows_while_it_is_packed(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"end")
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    pieces = pack(descriptor, overlay=False)
    found = [next(pieces), next(pieces)]
    os.truncate(tmp_path / "a", 10)
    found += list(pieces)
    os.close(descriptor)
    with tarfile.open(fileobj=io.BytesIO(b"".join(found))) as archive:
        assert archive.getnames() == ["a", "b"]
        assert archive.extractfile("b").read() == b"end"
