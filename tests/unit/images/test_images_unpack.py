"""Unpacking a layer: against tarfile as oracle, overlay's forms, and archives that mean harm. On the real kernel."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.errors import InvalidArgument
from sampan.images.unpack import Extraction, private_umask
from sampan.oci.bytesource import ByteSource
from sampan.oci.tar import TarReader

pytestmark = pytest.mark.root

DIR, SYM, LINK, CHR, FIFO = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE


def member(name, kind=tarfile.REGTYPE, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode = kind, len(data), 0o755 if kind == DIR else 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def archive(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def in_thread(work):
    """Run in a thread of its own: `private_umask` is for good."""
    outcome = []

    def run():
        private_umask()
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def unpack(target, members, lower=None):
    """Unpack `members` to the folder `target`; the size that was counted."""
    Path(target).mkdir(exist_ok=True)
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    below = os.open(lower, os.O_RDONLY | os.O_DIRECTORY) if lower else None

    def work():
        extraction = Extraction(root)
        pieces = iter([archive(members)])
        try:
            extraction.run(TarReader(ByteSource(lambda: next(pieces, b""))))
            extraction.complete(below)
        finally:
            extraction.close()
        return extraction.size

    try:
        return in_thread(work)
    finally:
        os.close(root)
        if below is not None:
            os.close(below)


def tree(root):
    """Everything that can be seen of a tree: type, mode, owner, time, content, which names are one file."""
    found, inodes = {}, {}
    for folder, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            shown = [stat.filemode(info.st_mode), info.st_uid, info.st_gid, info.st_mtime_ns, info.st_rdev]
            if stat.S_ISREG(info.st_mode):
                shown += [Path(path).read_bytes(), inodes.setdefault(info.st_ino, os.path.relpath(path, root))]
            if stat.S_ISLNK(info.st_mode):
                # tarfile leaves the time of links as it is.
                shown[3] = os.readlink(path)
            found[os.path.relpath(path, root)] = shown
    return found


@st.composite
def layers(draw):
    """Consistent archives: parents before children, each name once, links to files that came before."""
    folders, files, members = [""], [], []
    for number in range(draw(st.integers(1, 14))):
        path = draw(st.sampled_from(folders)) + draw(st.sampled_from(["n", "é", "x" * 120, "-", " "])) + str(number)
        fields = {
            "mode": draw(st.sampled_from([0o644, 0o4755, 0o2710, 0o1777, 0o000, 0o7777])),
            "uid": draw(st.sampled_from([0, 1, 1000, 2**31])),
            "gid": draw(st.sampled_from([0, 5, 2**31])),
            "mtime": draw(st.sampled_from([0, 1, 1_700_000_000, -86400, 2**33])),
        }
        kind = draw(st.sampled_from([DIR, DIR, tarfile.REGTYPE, tarfile.REGTYPE, SYM, LINK, CHR, FIFO]))
        if kind == LINK and files:
            members.append(member(path, LINK, linkname=draw(st.sampled_from(files)), **fields))
        elif kind == DIR:
            folders.append(path + "/")
            members.append(member(path, DIR, **fields))
        elif kind == SYM:
            members.append(member(path, SYM, linkname=draw(st.sampled_from(["/etc/passwd", "../x", "gone"])), **fields))
        elif kind == CHR:
            members.append(member(path, CHR, devmajor=1, devminor=number + 1, **fields))
        elif kind == FIFO:
            members.append(member(path, FIFO, **fields))
        else:
            files.append(path)
            members.append(member(path, data=draw(st.binary(max_size=3000)), **fields))
    return members


@given(layers())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_tree_is_as_tarfile_makes_it(tmp_path_factory, members):
    base = tmp_path_factory.mktemp("oracle")
    unpack(base / "ours", members)
    with tarfile.open(fileobj=io.BytesIO(archive(members))) as tar:
        tar.extractall(base / "theirs", numeric_owner=True)
    assert tree(base / "ours") == tree(base / "theirs")


def test_size_counts_files_once_and_links_by_their_target(tmp_path):
    size = unpack(
        tmp_path / "l",
        [
            member("a", data=b"12345"),
            member("b", LINK, linkname="a"),
            member("c", SYM, linkname="abc"),
            member("d", DIR),
            member("e", data=b"gone"),
            member("e", data=b"it"),
            member("f", DIR),
            member("f/g", data=b"lost"),
            member("f", data=b"x"),
        ],
    )
    assert size == 5 + 3 + 2 + 1


def test_attributes_but_none_that_steer_the_overlay(tmp_path):
    pax = {
        "SCHILY.xattr.user.note": "hi",
        "SCHILY.xattr.trusted.overlay.redirect": "/../..",
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.user.overlay.opaque": "y",
    }
    unpack(tmp_path / "l", [member("f", data=b"x", pax_headers=pax), member("d", DIR, pax_headers=pax)])
    for name in ("f", "d"):
        assert os.listxattr(tmp_path / "l" / name) == ["user.note"]
        assert os.getxattr(tmp_path / "l" / name, "user.note") == b"hi"


def test_capabilities_survive_a_change_of_owner(tmp_path):
    # vfs_cap_data, revision 2, cap_net_bind_service
    value = bytes.fromhex("0100000200040000000000000000000000000000")
    pax = {"SCHILY.xattr.security.capability": value.decode("utf-8", "surrogateescape")}
    info, data = member("ping", data=b"x", uid=7, gid=7, mode=0o4755, pax_headers=pax)
    unpack(tmp_path / "l", [(info, data)])
    assert os.getxattr(tmp_path / "l/ping", "security.capability") == value
    assert stat.S_IMODE(os.stat(tmp_path / "l/ping").st_mode) == 0o4755


def test_links_have_owner_and_time(tmp_path):
    unpack(tmp_path / "l", [member("s", SYM, linkname="x", uid=3, gid=4, mtime=99)])
    info = os.lstat(tmp_path / "l/s")
    assert (info.st_uid, info.st_gid, info.st_mtime) == (3, 4, 99)


def test_times_to_the_nanosecond_also_of_directories(tmp_path):
    fraction = {"mtime": "1700000000.123456789"}
    unpack(
        tmp_path / "l",
        [member("d", DIR, pax_headers=fraction), member("d/f", data=b"x", pax_headers=fraction), member("d/g")],
    )
    assert os.stat(tmp_path / "l/d").st_mtime_ns == os.stat(tmp_path / "l/d/f").st_mtime_ns == 1700000000123456789


def test_sparse_files_stay_sparse(tmp_path):
    import subprocess

    with (tmp_path / "s").open("wb") as file:
        file.write(b"begin")
        file.truncate(50 << 20)
        file.seek(30 << 20)
        file.write(b"middle")
    for options in (["--format=gnu"], ["--format=pax"], ["--format=pax", "--sparse-version=0.1"]):
        content = subprocess.run(
            ["tar", "-S", *options, "-cf", "-", "-C", str(tmp_path), "s"], check=True, capture_output=True
        ).stdout
        target = tmp_path / "-".join(options)
        target.mkdir()
        root = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
        pieces = iter([content])

        def work(root=root, pieces=pieces):
            extraction = Extraction(root)
            extraction.run(TarReader(ByteSource(lambda: next(pieces, b""))))
            extraction.complete(None)

        in_thread(work)
        os.close(root)
        assert (target / "s").read_bytes() == (tmp_path / "s").read_bytes()
        assert os.stat(target / "s").st_blocks < 1000


# Overlay's forms


def is_whiteout(path):
    info = os.lstat(path)
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def is_opaque(path):
    return "trusted.overlay.opaque" in os.listxattr(path) and os.getxattr(path, "trusted.overlay.opaque") == b"y"


def test_whiteouts_and_opaque_directories(tmp_path):
    unpack(
        tmp_path / "l",
        [member("d", DIR), member("d/.wh.gone"), member(".wh.top"), member("o", DIR), member("o/.wh..wh..opq")],
    )
    assert is_whiteout(tmp_path / "l/d/gone")
    assert is_whiteout(tmp_path / "l/top")
    assert is_opaque(tmp_path / "l/o")
    assert sorted(os.listdir(tmp_path / "l")) == ["d", "o", "top"]


def test_other_marks_of_aufs_are_left_out(tmp_path):
    unpack(tmp_path / "l", [member(".wh..wh.plnk", DIR), member(".wh..wh.aufs"), member("a")])
    assert os.listdir(tmp_path / "l") == ["a"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_whiteout_beside_the_same_name_hides_only_lower_layers(tmp_path, order):
    unpack(tmp_path / "f", [member("a", data=b"x"), member(".wh.a")][::order])
    assert (tmp_path / "f/a").read_bytes() == b"x"
    unpack(tmp_path / "d", [member("a", DIR), member(".wh.a")][::order])
    assert is_opaque(tmp_path / "d/a")
    unpack(tmp_path / "i", [member("a/b", data=b"x"), member(".wh.a")][::order])
    assert is_opaque(tmp_path / "i/a")
    assert (tmp_path / "i/a/b").read_bytes() == b"x"


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh..", "d/.wh..."])
def test_whiteouts_of_no_name_are_refused(tmp_path, name):
    with pytest.raises(InvalidArgument, match="invalid whiteout entry"):
        unpack(tmp_path / "l", [member("d", DIR), member(name)])


# What needs the lower layers


def test_hard_links_into_lower_layers_bring_the_file_up(tmp_path):
    lower = tmp_path / "lower"
    unpack(lower, [member("bin", DIR, uid=3), member("bin/tool", data=b"tool", mode=0o4755, uid=5, mtime=42)])
    size = unpack(tmp_path / "l", [member("alias", LINK, linkname="bin/tool", mode=0o4755, uid=5, mtime=42)], lower)
    tool, alias = os.stat(tmp_path / "l/bin/tool"), os.stat(tmp_path / "l/alias")
    assert (tool.st_ino, stat.S_IMODE(tool.st_mode), tool.st_uid) == (alias.st_ino, 0o4755, 5)
    assert (tmp_path / "l/alias").read_bytes() == b"tool"
    assert os.stat(tmp_path / "l/bin").st_uid == 3
    assert size == 4


def test_a_hard_link_to_what_this_layer_hides_does_not_bring_it_back(tmp_path):
    unpack(tmp_path / "lower", [member("a", data=b"x")])
    unpack(tmp_path / "l", [member(".wh.a"), member("b", LINK, linkname="a")], tmp_path / "lower")
    assert is_whiteout(tmp_path / "l/a")
    assert (tmp_path / "l/b").read_bytes() == b"x"


def test_a_hard_link_to_nothing_is_refused(tmp_path):
    for lower in (None, tmp_path):
        with pytest.raises(InvalidArgument, match="no such file or directory"):
            unpack(tmp_path / "l", [member("b", LINK, linkname="nothere/x")], lower)


def test_lower_links_are_not_followed_out_of_the_layers(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "lower").mkdir()
    (tmp_path / "lower/out").symlink_to(tmp_path)
    (tmp_path / "lower/up").symlink_to("../..")
    for target in ("out/secret", f"up/{tmp_path.name}/secret"):
        with pytest.raises(InvalidArgument, match="no such file or directory"):
            unpack(tmp_path / "l", [member("b", LINK, linkname=target)], tmp_path / "lower")


def test_implied_directories_are_as_in_the_lower_layers(tmp_path):
    unpack(tmp_path / "lower", [member("t", DIR, mode=0o1777, uid=9, mtime=5), member("t/u", DIR, mode=0o700)])
    unpack(tmp_path / "l", [member("t/u/f"), member("new/f")], tmp_path / "lower")
    shown = {name: (stat.S_IMODE(os.stat(tmp_path / "l" / name).st_mode)) for name in ("t", "t/u", "new")}
    assert shown == {"t": 0o1777, "t/u": 0o700, "new": 0o755}
    assert (os.stat(tmp_path / "l/t").st_uid, os.stat(tmp_path / "l/t").st_mtime) == (9, 5)


# Harm


@pytest.fixture
def fenced(tmp_path):
    """A folder to unpack in, and proof that nothing around it changed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("untouched")
    fence = tmp_path / "fence"
    fence.mkdir()
    yield fence / "layer"
    assert tree(outside) == {"file": tree(outside)["file"]}
    assert (outside / "file").read_text() == "untouched"
    assert os.listdir(fence) in (["layer"], [])
    assert sorted(os.listdir(tmp_path)) == ["fence", "outside"]


@pytest.mark.parametrize(
    "members",
    [
        [member("../x")],
        [member("a/../../x")],
        [member("/../x")],
        [member("../../outside/file", data=b"evil")],
        [member("..", DIR)],
        [member("x", LINK, linkname="../../outside/file")],
        [member("x", LINK, linkname="/../../outside/file")],
        [member("up", SYM, linkname="../../outside"), member("up/file", data=b"evil")],
        [member("d", DIR), member("d/up", SYM, linkname="../../.."), member("d/up/outside/file", data=b"evil")],
        [member("up", SYM, linkname=".."), member("x", LINK, linkname="up/../outside/file")],
        [member("up", SYM, linkname="../../outside"), member("x", LINK, linkname="up/file")],
        [member("up", SYM, linkname="../../outside"), member("up/.wh.file")],
        [member("up", SYM, linkname="../../outside"), member("up/.wh..wh..opq")],
        [member("f", data=b"x"), member("f/g", data=b"y")],
        [member("a", SYM, linkname="b"), member("b", SYM, linkname="a"), member("a/x")],
        [member("x", CHR, devmajor=1, devminor=3), member("x/y")],
        [member("n" * 300)],
        [member("/".join(["deep" * 30] * 50) + "/" + "n" * 256)],
        [member("x", LINK, linkname="")],
        [member("x", LINK, linkname=".")],
        [member("d", DIR), member("x", LINK, linkname="d")],
        [member("x", SYM, pax_headers={"linkpath": "a\0b"})],
        [member("x", pax_headers={"path": "a\0b"})],
        [member("x", pax_headers={"SCHILY.xattr.user.a\0b": "v"})],
        [member("x", pax_headers={"uid": "9" * 15})],
        [member("x", pax_headers={"mtime": "9" * 19})],
        [member("x", CHR, pax_headers={}, devmajor=2**20, devminor=2**20)],
    ],
)
def test_entries_that_lead_out_or_make_no_sense_are_refused(fenced, members):
    with pytest.raises(InvalidArgument):
        unpack(fenced, members)


def test_absolute_links_lead_into_the_layer_itself(fenced):
    outside = fenced.parent.parent / "outside"
    unpack(
        fenced,
        [
            member("abs", SYM, linkname=str(outside)),
            member("abs/file", data=b"inside"),
            member("/rooted", data=b"r"),
            member("rel", SYM, linkname="rooted-dir"),
            member("rel/x", data=b"x"),
        ],
    )
    assert (fenced / str(outside).lstrip("/") / "file").read_bytes() == b"inside"
    assert (fenced / "rooted").read_bytes() == b"r"
    assert (fenced / "rooted-dir/x").read_bytes() == b"x"


def test_a_link_is_replaced_not_followed(fenced):
    outside = fenced.parent.parent / "outside"
    unpack(
        fenced,
        [
            member("a", SYM, linkname=str(outside / "file")),
            member("a", data=b"mine"),
            member("b", SYM, linkname=str(outside)),
            member("b", DIR),
            member("b/file", data=b"mine"),
            member("c", SYM, linkname=str(outside / "file")),
            member("d", LINK, linkname="c", mode=0o777, uid=99),
            member("e", SYM, linkname=str(outside / "file")),
            member(".wh.e"),
        ],
    )
    assert (fenced / "a").read_bytes() == (fenced / "b/file").read_bytes() == b"mine"
    assert os.readlink(fenced / "d") == str(outside / "file")


def test_what_comes_later_wins(tmp_path):
    unpack(
        tmp_path / "l",
        [
            member("a", DIR),
            member("a/b/c/d", data=b"deep"),
            member("a", data=b"file"),
            member("a", DIR, mode=0o711),
            member("a/b", data=b"again"),
            member("p", DIR),
            member("p/q", data=b"1"),
            member("p", DIR, mode=0o700),
        ],
    )
    assert (tmp_path / "l/a/b").read_bytes() == b"again"
    assert stat.S_IMODE(os.stat(tmp_path / "l/a").st_mode) == 0o711
    assert (tmp_path / "l/p/q").read_bytes() == b"1"
    assert stat.S_IMODE(os.stat(tmp_path / "l/p").st_mode) == 0o700


def test_a_hard_link_to_itself_is_harmless(tmp_path):
    unpack(tmp_path / "l", [member("a", data=b"x"), member("a", LINK, linkname="a"), member("a", LINK, linkname="./a")])
    assert (tmp_path / "l/a").read_bytes() == b"x"


def test_more_directories_than_are_kept_open(tmp_path):
    folders = [member(f"d{n}/e{n % 7}", DIR, mtime=n) for n in range(300)]
    files = [member(f"d{n}/e{n % 7}/f", data=str(n).encode()) for n in range(300)]
    before = len(os.listdir("/proc/self/fd"))
    unpack(tmp_path / "l", folders + files)
    assert len(os.listdir("/proc/self/fd")) == before
    assert all((tmp_path / f"l/d{n}/e{n % 7}/f").read_bytes() == str(n).encode() for n in range(300))


names = st.sampled_from(
    ["a", "b", "a/b", "b/a", "a/b/c", ".wh.a", "a/.wh.b", "a/.wh..wh..opq", "../a", "l", "l/a", "l/l"]
)
targets = st.sampled_from(["a", "b", "/", "..", "../..", "../outside", "/outside/file", "a/b", "l", "l/../.."])


@given(st.lists(st.tuples(names, st.sampled_from([tarfile.REGTYPE, DIR, SYM, LINK, CHR, FIFO]), targets), max_size=12))
@settings(max_examples=250, deadline=None)
def test_no_archive_touches_anything_outside(tmp_path_factory, entries):
    base = tmp_path_factory.mktemp("fence")
    (base / "outside").mkdir()
    (base / "outside/file").write_text("untouched")
    before = tree(base / "outside")
    members = [
        member(name, kind, b"evil" if kind == tarfile.REGTYPE else b"", linkname=target, devmajor=1, devminor=3, uid=7)
        for name, kind, target in entries
    ]
    try:
        unpack(base / "layer", members, base / "outside")
    except InvalidArgument:
        pass
    assert tree(base / "outside") == before
    assert sorted(os.listdir(base)) == ["layer", "outside"]
    assert os.stat(base / "outside").st_uid == 0
