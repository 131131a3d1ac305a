"""cp: names, packing, unpacking that can't leave its folder."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

from sampan.cli.commands.container.copying import Packed, container_destination, destination, unpack
from sampan.cli.commands.container.cp import split
from sampan.client.blocking import iterate
from sampan.errors import InvalidArgument


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("c:/x", ("c", "/x")),
        ("c:", ("c", "")),
        ("/a:b", ("", "/a:b")),
        ("./a:b", ("", "./a:b")),
        ("a", ("", "a")),
        ("-", ("", "-")),
    ],
)
def test_which_side_is_the_container(word, parts):
    assert split(word) == parts


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "is_folder", "target", "place"),
    [
        ("/a/b", False, "new", ("{here}", "new")),
        ("/a/b", True, "new", ("{here}", "new")),
        ("/a/b", True, "folder", ("folder", "b")),
        ("/a/b/.", True, "folder", ("folder", "")),
        ("/a/b", False, "folder/", ("folder/", "b")),
        ("/a/b", False, "file", (".", "file")),
        ("/a/b", False, "folder/new", ("{here}/folder", "new")),
    ],
)
def test_local_names(here, source, is_folder, target, place):
    assert destination(source, is_folder, target) == (place[0].format(here=here), place[1])


@pytest.mark.parametrize(
    ("is_folder", "target", "message"),
    [(True, "file", "copy directory"), (False, "nosuch/", "no such directory"), (False, "nosuch/x", "does not exist")],
)
def test_local_names_that_are_refused(here, is_folder, target, message):
    with pytest.raises(InvalidArgument, match=message):
        destination("/a/b", is_folder, target)


@pytest.mark.parametrize(
    ("source", "target", "is_folder", "place"),
    [
        ("file", "/w/new", None, ("/w", "new")),
        ("file", "/w/dir", True, ("/w/dir", "file")),
        ("file", "/w/old", False, ("/w", "old")),
        ("folder", "/w/dir", True, ("/w/dir", "folder")),
        ("folder/.", "/w/dir", True, ("/w/dir", "")),
        ("folder", "/new", None, ("/", "new")),
    ],
)
def test_container_names(here, source, target, is_folder, place):
    assert container_destination(source, source, target, is_folder, target) == place


def test_container_names_that_are_refused(here):
    with pytest.raises(InvalidArgument, match="no such file"):
        container_destination("nosuch", "nosuch", "/w", True, "/w")
    with pytest.raises(InvalidArgument, match="copy directory"):
        container_destination("folder", "folder", "/w/f", False, "/w/f")
    with pytest.raises(InvalidArgument, match="no such directory"):
        container_destination("file", "file", "/w/new/", None, "/w/new/")


def test_what_is_packed_can_be_read_by_tarfile_and_unpacked(tmp_path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "big").write_bytes(os.urandom(700_001))
    (source / "sub" / "empty").write_bytes(b"")
    (source / "link").symlink_to("big")
    os.link(source / "big", source / "hard")
    packed = Packed(str(source), "renamed")
    data = b"".join(iterate(packed.pieces()))
    assert packed.size == len(data) and len(data) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
    assert set(names) == {f"renamed{part}" for part in ("", "/big", "/hard", "/link", "/sub", "/sub/empty")}
    target = tmp_path / "target"
    target.mkdir()
    assert unpack(iter([data[:1000], data[1000:]]), "renamed", str(target), "again") == len(data)
    assert (target / "again" / "big").read_bytes() == (source / "big").read_bytes()
    assert os.readlink(target / "again" / "link") == "big"
    assert os.stat(target / "again" / "hard").st_nlink == 2


def tar_of(*members: tuple[str, bytes, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755
            if kind == tarfile.REGTYPE:
                info.size = len(text)
            else:
                info.linkname = text
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        [("top/../../out", tarfile.REGTYPE, "x")],
        [("../out", tarfile.REGTYPE, "x")],
        [("top", tarfile.DIRTYPE, ""), ("top/l", tarfile.SYMTYPE, ".."), ("top/l/../../out", tarfile.REGTYPE, "x")],
        [("top", tarfile.DIRTYPE, ""), ("top/l", tarfile.SYMTYPE, "../.."), ("top/l/out", tarfile.REGTYPE, "x")],
        [("top", tarfile.DIRTYPE, ""), ("top/l", tarfile.SYMTYPE, "/"), ("top/l/tmp/out", tarfile.REGTYPE, "x")],
        [("top/h", tarfile.LNKTYPE, "../../secret")],
    ],
)
def test_names_that_lead_out_are_refused(tmp_path, members):
    (tmp_path / "secret").write_text("s")
    target = tmp_path / "a" / "target"
    target.mkdir(parents=True)
    with pytest.raises(InvalidArgument):
        unpack(iter([tar_of(*members)]), "top", str(target), "copy")
    assert not list(tmp_path.glob("**/out"))


def test_a_link_in_the_way_is_replaced_not_followed(tmp_path):
    (tmp_path / "secret").write_text("s")
    target = tmp_path / "target"
    target.mkdir()
    (target / "copy").symlink_to("../secret")
    unpack(iter([tar_of(("top", tarfile.REGTYPE, "new"))]), "top", str(target), "copy")
    assert (tmp_path / "secret").read_text() == "s"
    assert (target / "copy").read_text() == "new"
    assert not (target / "copy").is_symlink()


def test_a_broken_tar_is_refused(tmp_path):
    with pytest.raises(InvalidArgument, match="can't unpack"):
        unpack(iter([b"x" * 1024]), "top", str(tmp_path), "copy")
