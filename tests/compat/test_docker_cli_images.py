"""The docker command line: images, load, save, import, tag, rmi, inspect, history."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile

import pytest

from rig import image

IMAGE = "busybox"


@pytest.fixture
def images(docker):
    """Removes the images that a test adds."""
    before = set(docker.ok("images", "-aq", "--no-trunc").split())
    yield docker
    docker.remove_all_containers()
    for line in docker.ok("images", "-a", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").split("\n"):
        name, identity = line.split()
        if name != "busybox:latest" and "<none>" not in name:
            docker.run("rmi", name)
        elif identity not in before:
            docker.run("rmi", "-f", identity)


def small_layer(name, text):
    layer = image.Layer()
    layer.add(name, text)
    return layer.finish()


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {entry.name: archive.extractfile(entry).read() if entry.isfile() else None for entry in archive}


def test_images_shows_the_loaded_one(docker):
    header, row = docker.ok("images", "busybox").split("\n")
    assert header.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    identity = docker.inspect(IMAGE)["Id"].removeprefix("sha256:")
    assert re.match(rf"busybox\s+latest\s+{identity[:12]}\s+.* ago\s+[\d.]+MB$", row)


def test_load_prints_the_name(images):
    data = image.busybox_archive("loaded:1", {"Cmd": ["true"]})
    assert images.ok("load", stdin=data).split("\n")[-1] == "Loaded image: loaded:1"
    assert images.ok("load", "-q", stdin=data) == "Loaded image: loaded:1"


def test_an_images_id_is_its_configs_digest(images):
    data = image.busybox_archive("loaded:1", {"Cmd": ["true"]})
    images.ok("load", stdin=data)
    manifest = json.loads(members(data)["manifest.json"])
    config = members(data)[manifest[0]["Config"]]
    assert images.inspect("loaded:1")["Id"] == f"sha256:{hashlib.sha256(config).hexdigest()}"


def test_load_of_several(images):
    layers = [image.busybox_layer()]
    data = image.archive({"one:1": ({"Cmd": ["a"]}, layers), "two:2": ({"Cmd": ["b"]}, layers)})
    shown = images.ok("load", "-q", stdin=data).split("\n")
    assert sorted(shown) == ["Loaded image: one:1", "Loaded image: two:2"]


def test_load_from_a_compressed_file(images, tmp_path):
    import gzip

    (tmp_path / "image.tar.gz").write_bytes(gzip.compress(image.busybox_archive("packed:1"), 1))
    assert "packed:1" in images.ok("load", "-i", str(tmp_path / "image.tar.gz"))


def test_load_refuses_what_is_no_archive(images):
    assert images.fails("load", stdin=b"this is no archive" * 1000)


def test_load_refuses_a_layer_that_is_not_as_its_digest(images):
    good = image.busybox_archive("bad:1", extra=[small_layer("file", b"right")])
    assert images.run("load", stdin=good.replace(b"right", b"wrong")).returncode == 1
    assert images.run("inspect", "bad:1").returncode == 1


def test_layers_apply_in_order_with_whiteouts(images):
    upper = image.Layer()
    upper.add("data/.wh.gone")
    upper.add("data/kept", b"new\n")
    upper.add("replaced/.wh..wh..opq")
    upper.add("replaced/only", b"x")
    lower = image.Layer()
    for name in ("data/gone", "data/kept", "replaced/a", "replaced/b"):
        lower.add(name, b"old\n")
    images.ok("load", stdin=image.busybox_archive("layered:1", extra=[lower.finish(), upper.finish()]))
    script = "ls /data /replaced; cat /data/kept"
    assert images.ok("run", "--rm", "layered:1", "sh", "-c", script) == "/data:\nkept\n\n/replaced:\nonly\nnew"


def test_save_and_load_give_the_same_image(images, tmp_path):
    before = images.inspect(IMAGE)
    images.ok("tag", IMAGE, "saved:1")
    images.ok("save", "-o", str(tmp_path / "saved.tar"), "saved:1")
    images.ok("rmi", "saved:1")
    images.ok("load", "-i", str(tmp_path / "saved.tar"))
    after = images.inspect("saved:1")
    assert (after["Id"], after["RootFS"]) == (before["Id"], before["RootFS"])


def test_save_to_standard_output_is_both_formats(images):
    saved = members(images.run("save", IMAGE).stdout)
    assert json.loads(saved["manifest.json"])[0]["RepoTags"] == ["busybox:latest"]
    assert json.loads(saved["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(saved["index.json"])
    for entry in index["manifests"]:
        algorithm, digest = entry["digest"].split(":")
        assert hashlib.sha256(saved[f"blobs/{algorithm}/{digest}"]).hexdigest() == digest


def test_save_of_nothing(images):
    assert "No such image: nothing" in images.fails("save", "nothing")


def test_import(images):
    data = image.busybox_layer()
    identity = images.ok("import", "--change", 'CMD ["echo","imported"]', "-m", "by hand", "-", "brought:1", stdin=data)
    shown = images.inspect("brought:1")
    assert shown["Id"] == identity and shown["Comment"] == "by hand"
    assert images.ok("run", "--rm", "-e", "PATH=/bin", "brought:1") == "imported"


def test_import_of_a_compressed_file(images, tmp_path):
    import lzma

    (tmp_path / "root.tar.xz").write_bytes(lzma.compress(image.busybox_layer(), preset=0))
    images.ok("import", str(tmp_path / "root.tar.xz"), "brought:2")
    assert images.ok("run", "--rm", "brought:2", "/bin/echo", "hi") == "hi"


def test_tag_and_untag(images):
    images.ok("tag", IMAGE, "other/name:v1")
    assert images.inspect("other/name:v1")["Id"] == images.inspect(IMAGE)["Id"]
    assert images.ok("rmi", "other/name:v1") == "Untagged: other/name:v1"
    assert images.run("inspect", "other/name:v1").returncode == 1
    assert images.inspect(IMAGE)["RepoTags"] == ["busybox:latest"]


def test_tag_moves(images):
    images.ok("load", stdin=image.busybox_archive("first:1", {"Cmd": ["1"]}))
    images.ok("tag", IMAGE, "moving:1")
    images.ok("tag", "first:1", "moving:1")
    assert images.inspect("moving:1")["Id"] == images.inspect("first:1")["Id"]


@pytest.mark.parametrize("name", ["UPPER", "a:b:c", "name:", "-x/y"])
def test_tag_refuses_bad_names(images, name):
    assert images.run("tag", IMAGE, name).returncode != 0


def test_rmi_deletes_the_last_name(images):
    images.ok("load", stdin=image.busybox_archive("lonely:1", {"Cmd": ["lonely"]}, [small_layer("own", b"own")]))
    identity = images.inspect("lonely:1")["Id"]
    shown = images.ok("rmi", "lonely:1").split("\n")
    assert shown[0] == "Untagged: lonely:1" and f"Deleted: {identity}" in shown
    assert images.run("inspect", identity).returncode == 1


def test_rmi_of_a_used_image_is_refused(images):
    images.ok("load", stdin=image.busybox_archive("used:1", {"Cmd": ["sleep", "100"]}))
    identity = images.inspect("used:1")["Id"]
    images.ok("run", "-d", "--name", "user", "used:1")
    assert "is using its referenced image" in images.fails("rmi", "used:1")
    assert "image is being used by running container" in images.fails("rmi", "-f", identity)
    assert "Untagged: used:1" in images.ok("rmi", "-f", "used:1")
    assert images.ok("exec", "user", "echo", "still there") == "still there"


def test_rmi_of_a_stopped_containers_image_by_force(images):
    images.ok("load", stdin=image.busybox_archive("used:1", {"Cmd": ["true", "x"]}))
    images.ok("run", "--name", "user", "used:1")
    assert "unable to remove repository reference" in images.fails("rmi", "used:1")
    assert "Untagged: used:1" in images.ok("rmi", "-f", "used:1")


def test_rmi_by_id_with_several_names_needs_force(images):
    images.ok("load", stdin=image.busybox_archive("twice:1", {"Cmd": ["twice"]}))
    images.ok("tag", "twice:1", "again:1")
    identity = images.inspect("twice:1")["Id"]
    assert "must be forced" in images.fails("rmi", identity.removeprefix("sha256:")[:12])
    assert sorted(images.ok("rmi", "-f", identity).split("\n"))[-2:] == ["Untagged: again:1", "Untagged: twice:1"]


def test_rmi_of_nothing(images):
    assert "No such image: nothing:latest" in images.fails("rmi", "nothing")


def test_history(images):
    lines = images.ok("history", "--no-trunc", "--format", "{{.ID}}|{{.CreatedBy}}|{{.Size}}", IMAGE).split("\n")
    identity = images.inspect(IMAGE)["Id"]
    assert len(lines) == 1 and lines[0].startswith(f"{identity}|layer 0|")


def test_image_inspect(docker):
    shown = docker.json("image", "inspect", IMAGE)[0]
    assert (shown["Os"], shown["Architecture"], shown["RepoTags"]) == ("linux", "amd64", ["busybox:latest"])
    assert shown["Config"]["Cmd"] == ["sh"]
    assert shown["RootFS"] == {"Type": "layers", "Layers": [f"sha256:{image.sha256(image.busybox_layer())}"]}
    assert shown["GraphDriver"]["Name"] == "overlay2"
    assert shown["Created"] == image.CREATED


def test_images_filters(images):
    images.ok("load", stdin=image.busybox_archive("team/app:1", {"Cmd": ["app"], "Labels": {"kind": "app"}}))

    def found(*filters):
        flags = [word for item in filters for word in ("--filter", item)]
        return sorted(images.ok("images", "--format", "{{.Repository}}:{{.Tag}}", *flags).split())

    assert found("reference=team/*") == ["team/app:1"]
    assert found("reference=busy*:la*") == ["busybox:latest"]
    assert found("label=kind=app") == ["team/app:1"]
    assert found("label=kind=other") == []
    assert found("dangling=true") == []
    assert "invalid filter" in images.fails("images", "--filter", "nonesuch=1")


def test_dangling_images(images):
    images.ok("load", stdin=image.busybox_archive("moving:1", {"Cmd": ["1"]}))
    old = images.inspect("moving:1")["Id"]
    images.ok("load", stdin=image.busybox_archive("moving:1", {"Cmd": ["2"]}))
    assert images.ok("images", "-q", "--no-trunc", "--filter", "dangling=true") == old
    assert "<none>" in images.ok("images", "--filter", "dangling=true")
