"""Unpacking into a directory that has things in it already."""

import io
import os
import tarfile

import pytest

from sampan.engine.containers.extracting import Extraction
from sampan.errors import InvalidArgument
from sampan.oci.bytesource import ByteSource
from sampan.oci.tar import TarReader

FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
MINE = {"uid": os.getuid(), "gid": os.getgid()}


def tar(*entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, content, *attributes in entries:
            info = tarfile.TarInfo(name)
            info.type, info.uid, info.gid, info.mode = kind, MINE["uid"], MINE["gid"], 0o755
            data = content if kind == FILE else b""
            info.size = len(data)
            if kind in (LINK, HARD):
                info.linkname = content
            for key, value in (attributes or [{}])[0].items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def unpack(folder, *entries, data=None, **options):
    chunks = iter([data if data is not None else tar(*entries)])
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        Extraction(descriptor, **options).run(TarReader(ByteSource(lambda: next(chunks, b""))))
    finally:
        os.close(descriptor)


@pytest.fixture
def folder(tmp_path):
    inner = tmp_path / "root"
    inner.mkdir()
    return inner


def test_files_and_directories_with_their_modes_and_times(folder):
    unpack(
        folder,
        ("d", FOLDER, b"", {"mode": 0o1711, "mtime": 1_000_000_000}),
        ("d/f", FILE, b"hello", {"mode": 0o4640, "mtime": 1_234_567_890}),
        ("implied/by/this", FILE, b"x"),
    )
    assert (folder / "d/f").read_bytes() == b"hello"
    assert oct((folder / "d/f").stat().st_mode & 0o7777) == "0o4640"
    assert (folder / "d/f").stat().st_mtime == 1_234_567_890
    assert oct((folder / "d").stat().st_mode & 0o7777) == "0o1711"
    assert (folder / "d").stat().st_mtime == 1_000_000_000
    assert (folder / "implied/by/this").exists()


def test_directories_are_merged(folder):
    (folder / "d").mkdir()
    (folder / "d/old").write_text("stays")
    unpack(folder, ("d", FOLDER, b"", {"mode": 0o700}), ("d/new", FILE, b"comes"))
    assert sorted(os.listdir(folder / "d")) == ["new", "old"]
    assert (folder / "d").stat().st_mode & 0o777 == 0o700


def test_other_things_are_replaced(folder):
    (folder / "d/sub").mkdir(parents=True)
    (folder / "f").write_text("file")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "twin").write_text("old")
    os.link(folder / "twin", folder / "other")
    unpack(folder, ("d", FILE, b"now a file"), ("f", FOLDER, b""), ("link", FILE, b"no link"), ("twin", FILE, b"new"))
    assert (folder / "d").read_bytes() == b"now a file"
    assert (folder / "f").is_dir()
    assert not (folder / "link").is_symlink()
    assert (folder / "other").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("d", FILE, 'cannot overwrite directory "d" with non-directory'),
        ("f", FOLDER, 'cannot overwrite non-directory "f" with directory'),
    ],
)
def test_kinds_are_kept_when_asked(folder, name, kind, said):
    (folder / "d").mkdir()
    (folder / "f").write_text("file")
    with pytest.raises(InvalidArgument, match=said):
        unpack(folder, (name, kind, b""), keep_kinds=True)
    assert (folder / "d").is_dir()
    assert (folder / "f").read_text() == "file"
    unpack(folder, ("d", FOLDER, b""), ("f", FILE, b"same kind"), keep_kinds=True)
    assert (folder / "f").read_text() == "same kind"


def test_the_root_itself_is_left_alone(folder):
    folder.chmod(0o750)
    unpack(folder, (".", FOLDER, b"", {"mode": 0o777}), ("./f", FILE, b"x"))
    assert folder.stat().st_mode & 0o777 == 0o750
    assert (folder / "f").exists()


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", ".."])
def test_names_that_lead_out_are_refused(folder, name):
    with pytest.raises(InvalidArgument, match="invalid entry name"):
        unpack(folder, (name, FILE, b"x"))
    assert os.listdir(folder.parent) == ["root"]


def test_an_absolute_name_is_below_the_root(folder):
    unpack(folder, ("/absolute", FILE, b"x"))
    assert (folder / "absolute").exists()


@pytest.mark.parametrize("target", ["/out", "../out", "../../../out"])
def test_links_never_lead_out(folder, target):
    unpack(folder, ("link", LINK, target), ("link/inside", FILE, b"x"))
    assert os.readlink(folder / "link") == target
    assert (folder / "out/inside").read_bytes() == b"x"
    assert os.listdir(folder.parent) == ["root"]


def test_a_link_that_is_there_already_is_followed_within(folder):
    (folder / "real").mkdir()
    (folder / "link").symlink_to("/real")
    unpack(folder, ("link/f", FILE, b"x"))
    assert (folder / "real/f").exists()


def test_hard_links(folder):
    unpack(folder, ("one", FILE, b"data"), ("d/two", HARD, "one"), ("d/two", HARD, "d/two"))
    assert (folder / "one").stat().st_ino == (folder / "d/two").stat().st_ino
    with pytest.raises(InvalidArgument, match='the hard link "three" leads to "/etc/passwd", which is not there'):
        unpack(folder, ("three", HARD, "/etc/passwd"))


def test_one_owner_for_everything(folder):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    unpack(folder, ("new/f", FILE, b"x"), ("d", FOLDER, b""), ("l", LINK, "f"), owner=(1234, 5678))
    for name in ("new", "new/f", "d", "l"):
        found = (folder / name).lstat()
        assert (found.st_uid, found.st_gid) == (1234, 5678)


def test_whiteouts_mean_nothing_here(folder):
    (folder / "f").write_text("stays")
    unpack(folder, (".wh.f", FILE, b""))
    assert sorted(os.listdir(folder)) == [".wh.f", "f"]


def test_a_cut_archive(folder):
    with pytest.raises(InvalidArgument, match="unexpected EOF"):
        unpack(folder, data=tar(("f", FILE, b"x" * 3000))[:1500])


def test_a_name_that_is_too_long(folder):
    with pytest.raises(InvalidArgument, match="name too long"):
        unpack(folder, ("n" * 300, FILE, b"x"))
