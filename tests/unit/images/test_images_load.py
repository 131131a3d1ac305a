"""Loading and saving archives: what becomes of them, what is refused, and that nothing stays behind."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
import tarfile

import pytest
from images_kit import HOST, OTHER, Kit, Layout, docker_archive, members, sha, special, tar

from sampan.errors import NotFound
from sampan.oci.platform import Platform

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.root

ONE = tar(("a", b"one"), special("d", tarfile.DIRTYPE), ("d/b", b"two"))
TWO = tar(("a", b"changed"), ("d/.wh.b", b""))


@pytest.fixture
def kit(tmp_path):
    opened = Kit(tmp_path)
    yield opened
    opened.close()


def streams(lines):
    return [line["stream"] for line in lines if "stream" in line]


def files_below(root):
    """Every file below a directory's descriptor, by name."""
    found = {}
    for folder, _, files, descriptor in os.fwalk(".", dir_fd=root):
        for name in files:
            with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=descriptor), "rb") as file:
                found[os.path.normpath(os.path.join(folder, name))] = file.read()
    return found


async def content(kit, ref):
    """The files of an image, merged."""
    with kit.images.snapshots.view_layers(kit.images.resolve(ref).top) as root:
        return files_below(root)


async def test_a_docker_archive(kit):
    lines = await kit.load(docker_archive((["app:1", "app:2"], [ONE, TWO], {})))
    assert streams(lines) == ["Loaded image: app:1\n", "Loaded image: app:2\n"]
    image = kit.images.resolve("app:1")
    assert image.repo_tags == ["app:1", "app:2"]
    assert image.repo_digests == []
    assert image.size == 3 + 3 + 7
    assert await content(kit, "app:1") == {"a": b"changed"}
    assert ("load", image.id, {"name": image.id}) in kit.events


async def test_progress_is_told_unless_quiet(kit):
    archive = docker_archive((["app:1"], [ONE], {}))
    (line,) = [line for line in await kit.load(archive) if "progress" in line]
    assert line["status"] == "Loading layer"
    assert line["progressDetail"] == {"current": len(ONE), "total": len(ONE)}
    assert line["id"] == sha(ONE)[7:19]
    assert line["progress"] == "[" + "=" * 50 + ">]  10.24kB/10.24kB"
    await kit.images.remove("app:1")
    assert [line for line in await kit.load(archive, quiet=True) if "progress" in line] == []


async def test_a_name_moves_and_the_old_image_stays_without(kit):
    await kit.load(docker_archive((["app:1"], [ONE], {})))
    old = kit.images.resolve("app:1").id
    lines = await kit.load(docker_archive((["app:1"], [TWO], {})))
    assert streams(lines) == [
        f"The image app:1 already exists, renaming the old one with ID {old} to empty string\n",
        "Loaded image: app:1\n",
    ]
    assert kit.images.resolve(old).references == ()
    assert streams(await kit.load(docker_archive((["app:1"], [TWO], {})))) == ["Loaded image: app:1\n"]


async def test_an_image_without_name_is_told_by_its_id(kit):
    (line,) = streams(await kit.load(docker_archive((None, [ONE], {}))))
    (row,) = kit.images.list()
    assert line == f"Loaded image ID: {row.id}\n"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
async def test_archives_and_layers_may_be_compressed(kit, pack):
    packed = pack(ONE)
    archive = tar(
        ("l/layer.tar", packed),
        ("c.json", json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": [sha(ONE)]}}).encode()),
        ("manifest.json", b'[{"Config":"c.json","RepoTags":["z:1"],"Layers":["l/layer.tar"]}]'),
    )
    assert streams(await kit.load(pack(archive))) == ["Loaded image: z:1\n"]
    assert await content(kit, "z:1") == {"a": b"one", "d/b": b"two"}
    stored = kit.images.content.info(sha(packed)) or kit.images.content.info(sha(ONE))
    assert stored is not None


async def test_streams_of_several_members_are_read_whole(kit):
    packed = gzip.compress(ONE[:700]) + gzip.compress(ONE[700:])
    archive = tar(
        ("l/layer.tar", packed),
        ("c.json", json.dumps({"rootfs": {"type": "layers", "diff_ids": [sha(ONE)]}}).encode()),
        ("manifest.json", b'[{"Config":"c.json","RepoTags":["z:1"],"Layers":["l/layer.tar"]}]'),
    )
    assert streams(await kit.load(archive)) == ["Loaded image: z:1\n"]
    assert kit.images.content.has(sha(packed))


async def test_links_between_layers_of_an_older_archive(kit):
    archive = tar(
        ("x/layer.tar", ONE),
        special("y", tarfile.DIRTYPE),
        special("y/layer.tar", tarfile.SYMTYPE, "../x/layer.tar"),
        ("c.json", json.dumps({"rootfs": {"type": "layers", "diff_ids": [sha(ONE), sha(ONE)]}}).encode()),
        ("manifest.json", b'[{"Config":"c.json","RepoTags":["z:1"],"Layers":["x/layer.tar","y/layer.tar"]}]'),
    )
    assert streams(await kit.load(archive)) == ["Loaded image: z:1\n"]
    assert kit.images.resolve("z:1").size == 12


async def test_an_oci_layout_keeps_its_manifest(kit):
    layout = Layout()
    described = layout.image([ONE, TWO])
    layout.name(described, "docker.io/library/app:1", "localhost:5000/app:2")
    assert streams(await kit.load(layout.archive())) == [
        "Loaded image: app:1\n",
        "Loaded image: localhost:5000/app:2\n",
    ]
    assert kit.images.resolve("app:1").manifest == described["digest"]
    saved = members(await kit.save("app:1"))
    assert [item["digest"] for item in json.loads(saved["index.json"])["manifests"]] == [described["digest"]]


def platforms():
    layout = Layout()
    attested = layout.image([tar(("attestation", b"x"))])
    attested["platform"] = {"os": "unknown", "architecture": "unknown"}
    index = layout.nested(layout.image([ONE], OTHER), layout.image([ONE, TWO]), attested)
    layout.name(index, "app:1")
    return layout, index, attested


async def test_a_multi_platform_index_is_kept_whole(kit):
    layout, index, attested = platforms()
    assert streams(await kit.load(layout.archive())) == ["Loaded image: app:1\n"]
    assert [row.repo_tags for row in kit.images.list(everything=True)] == [["app:1"]]
    assert kit.images.resolve("app:1").platform.architecture == HOST
    other = kit.images.resolve("app:1", f"linux/{OTHER}")
    assert other.platform.architecture == OTHER
    await kit.images.prepare(other.id, "c")
    with kit.images.snapshots.view("c") as root:
        assert "a" in os.listdir(root)
    await kit.images.discard("c")
    with pytest.raises(NotFound, match="does not match the specified platform"):
        kit.images.resolve("app:1", "linux/s390x")
    saved = members(await kit.save("app:1"))
    (descriptor,) = json.loads(saved["index.json"])["manifests"]
    assert descriptor["digest"] == index["digest"]
    assert {name for name, _ in layout.entries} <= saved.keys()
    assert f"blobs/{attested['digest'].replace(':', '/')}" in saved


async def test_a_kept_index_survives_save_load_and_restart(kit):
    layout, _, _ = platforms()
    await kit.load(layout.archive())
    saved = await kit.save("app:1")
    await kit.images.remove("app:1")
    assert kit.left() == ([], [], [])
    await kit.load(saved)
    kit.reopen()
    assert kit.images.resolve("app:1", f"linux/{OTHER}").platform.architecture == OTHER
    assert members(await kit.save("app:1"))["index.json"] == members(saved)["index.json"]


async def test_one_platform_may_be_chosen(kit):
    layout, _, _ = platforms()
    (failed,) = await kit.load(layout.archive(), platform=Platform.parse("linux/s390x"), quiet=True)
    assert failed["error"] == "the archive has no image of the requested platform (linux/s390x)"
    assert kit.left() == ([], [], [])
    await kit.load(layout.archive(), platform=Platform.parse(f"linux/{OTHER}"))
    assert kit.images.resolve("app:1").platform.architecture == OTHER
    await kit.load(layout.archive())
    saved = members(await kit.save("app:1", platforms=[Platform.parse(f"linux/{OTHER}")]))
    (item,) = json.loads(saved["manifest.json"])
    assert json.loads(saved[item["Config"]])["architecture"] == OTHER
    with pytest.raises(NotFound, match=r"does not provide the specified platform \(linux/s390x\)$"):
        await kit.save("app:1", platforms=[Platform.parse("linux/s390x")])


async def test_saving_names_repositories_ids_and_nothing_twice(kit):
    await kit.load(docker_archive((["app:1", "app:2"], [ONE], {}), (["other:1"], [ONE, TWO], {})))
    image = kit.images.resolve("app:1")
    items = json.loads(members(await kit.save("app"))["manifest.json"])
    assert [item["RepoTags"] for item in items] == [["app:1", "app:2"]]
    assert json.loads(members(await kit.save(image.short_id))["manifest.json"])[0]["RepoTags"] is None
    saved = members(await kit.save("app:1", "other:1", "app:1"))
    assert [item["RepoTags"] for item in json.loads(saved["manifest.json"])] == [["app:1"], ["other:1"]]
    assert json.loads(saved["repositories"])["app"] == {"1": sha(ONE)[7:]}
    with pytest.raises(NotFound, match=r"^No such image: gone$"):
        await kit.save("app:1", "gone")


async def test_what_was_saved_loads_to_the_same_ids(kit, tmp_path):
    await kit.load(docker_archive((["app:1"], [ONE, TWO], {})))
    image = kit.images.resolve("app:1")
    other = Kit(tmp_path / "other")
    try:
        await other.load(await kit.save("app:1"))
        again = other.images.resolve("app:1")
        assert (again.id, again.manifest, again.size) == (image.id, image.manifest, image.size)
    finally:
        other.close()


BAD_CONFIG = json.dumps({"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}).encode()


def with_manifest(manifest, *entries):
    return tar(("l/layer.tar", ONE), *entries, ("manifest.json", json.dumps(manifest).encode()))


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (b"", "neither manifest.json nor index.json"),
        (b"garbage" * 1000, "archive/tar: invalid tar header"),
        (tar(("x", b"y")), "neither manifest.json nor index.json"),
        (tar(("manifest.json", b"{")), "invalid manifest.json"),
        (tar(("manifest.json", b"[{}]")), "invalid manifest.json"),
        (tar(("index.json", b"[]")), "invalid index.json"),
        (with_manifest([{"Config": "nope.json"}]), "open nope.json: no such file or directory"),
        (with_manifest([{"Config": "../../etc/passwd"}]), "invalid entry name"),
        (
            with_manifest([{"Config": "c.json", "Layers": ["l/layer.tar"]}], ("c.json", BAD_CONFIG)),
            'invalid diffID for layer 0: expected "sha256:0000',
        ),
        (
            with_manifest([{"Config": "c.json", "Layers": []}], ("c.json", BAD_CONFIG)),
            "invalid manifest, layers length mismatch: expected 0, got 1",
        ),
        (
            with_manifest([{"Config": "c.json", "Layers": ["gone"]}], ("c.json", BAD_CONFIG)),
            "open gone: no such file or directory",
        ),
        (docker_archive((["BAD:1"], [ONE], {})), "repository name (library/BAD) must be lowercase"),
        (docker_archive((["a@sha256:" + "a" * 64], [ONE], {})), 'invalid tag "a@sha256:'),
        (docker_archive((["a:1"], [ONE], {"os": "windows"})), "cannot load windows image on linux"),
        (docker_archive((["a:1"], [tar(("../x", b""))], {})), 'invalid entry name "../x"'),
        (docker_archive((["a:1"], [ONE[:514]], {})), "unexpected EOF"),
        (docker_archive((["a:1"], [ONE], {}))[:3000], "unexpected EOF"),
        (gzip.compress(docker_archive((["a:1"], [ONE], {})))[:-30], "unexpected EOF"),
        (
            tar(
                ("l", gzip.compress(ONE)[:-9]),
                ("c.json", BAD_CONFIG),
                ("manifest.json", b'[{"Config":"c.json","Layers":["l"]}]'),
            ),
            "unexpected EOF",
        ),
        (tar(special("loop", tarfile.SYMTYPE, "loop"), ("manifest.json", b'[{"Config":"loop"}]')), "link to itself"),
    ],
)
async def test_what_is_wrong_is_told_and_leaves_nothing(kit, archive, message):
    lines = await kit.load(archive, quiet=True)
    assert message in lines[-1]["error"]
    assert lines[-1]["errorDetail"]["message"] == lines[-1]["error"]
    assert kit.images.list(everything=True) == []
    assert kit.left() == ([], [], [])


async def test_more_layers_than_can_be_stacked_are_refused(kit):
    layers = [tar((f"f{number}", b"x")) for number in range(128)]
    assert streams(await kit.load(docker_archive((["most:1"], layers[:127], {})), quiet=True)) == [
        "Loaded image: most:1\n"
    ]
    await kit.images.prepare(kit.images.resolve("most:1").id, "c")
    assert len(kit.images.snapshots.mounts("c").data) < 4096
    with kit.images.snapshots.view("c") as root:
        assert len([name for name in os.listdir(root) if name[0] == "f"]) == 127
    lines = await kit.load(docker_archive((["over:1"], layers, {})), quiet=True)
    assert lines[-1]["error"] == "max depth exceeded: 128 layers, at most 127 can be stacked"


async def test_layout_blobs_must_be_what_their_names_say(kit):
    layout = Layout()
    layout.name(layout.image([ONE]), "a:1")
    # Another time in gzip's header: other bytes, the same content.
    layout.entries = [(n, d[:4] + b"time" + d[8:] if d[:2] == b"\x1f\x8b" else d) for n, d in layout.entries]
    assert "does not have the digest that its name says" in (await kit.load(layout.archive()))[-1]["error"]
    assert kit.images.list() == []
    layout = Layout()
    layout.name(layout.image([ONE]), "a:1")
    layout.entries = [(name, data + b" " if data[:1] == b"{" else data) for name, data in layout.entries]
    assert "does not have the digest that its name says" in (await kit.load(layout.archive()))[-1]["error"]


async def test_a_body_that_is_cut_by_its_sender(kit):
    archive = docker_archive((["a:1"], [ONE + bytes(300_000)], {}))
    sent = 0

    async def read(limit):
        nonlocal sent
        if sent:
            raise ConnectionResetError
        sent = 1
        return archive[:150_000]

    lines = [json.loads(line) async for line in kit.images.load(read, quiet=True)]
    assert "ended before its end" in lines[-1]["error"]
    assert kit.left() == ([], [], [])


async def test_a_reader_that_goes_away_ends_the_load(kit):
    archive = docker_archive((["a:1"], [ONE, TWO], {}))

    async def read(limit):
        nonlocal archive
        if not archive:
            import asyncio

            await asyncio.sleep(3600)
        piece, archive = archive[:15_000], b""
        return piece

    lines = kit.images.load(read)
    await anext(lines)
    await lines.aclose()
    assert kit.left() == ([], [], [])


async def test_the_same_archive_twice_at_once(kit):
    import asyncio

    archive = docker_archive((["a:1"], [ONE, TWO], {}))
    results = await asyncio.gather(*(kit.load(archive, chunk=999) for _ in range(6)))
    assert all(streams(lines) == ["Loaded image: a:1\n"] for lines in results)
    assert len(kit.images.list()) == 1
    assert len(kit.images.snapshots.layers()) == 2
    await kit.images.remove("a:1")
    assert kit.left() == ([], [], [])


@pytest.fixture
def small(tmp_path):
    """A file system of 6 MB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(tmp_path)], check=True)
    opened = Kit(tmp_path / "root")
    yield opened
    opened.close()
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("size", [2_500_000, 8_000_000])
async def test_a_full_disk_is_told_and_nothing_is_left_of_the_try(small, size):
    await small.load(docker_archive((["small:1"], [ONE], {})))
    before = small.left()
    archive = docker_archive((["big:1"], [tar(("x", os.urandom(size))), tar(("y", os.urandom(size)))], {}))
    lines = await small.load(archive, quiet=True)
    assert "no space left on device" in lines[-1]["error"].lower()
    assert small.left() == before
    assert [row.repo_tags for row in small.images.list(everything=True)] == [["small:1"]]
    assert streams(await small.load(docker_archive((["more:1"], [TWO], {})))) == ["Loaded image: more:1\n"]
