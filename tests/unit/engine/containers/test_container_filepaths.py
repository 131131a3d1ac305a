"""Paths within a root, as docker cp means them."""

import os
import stat

import pytest

from sampan.engine.containers.filepaths import absolute, follow, go_mode, located, stat_of
from sampan.errors import InvalidArgument


@pytest.fixture
def root(tmp_path):
    (tmp_path / "w/sub/deep").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root")
    (tmp_path / "w/f").write_text("hello")
    for link, target in {
        "rel": "f",
        "abs": "/w/sub",
        "up": "../../../../etc/passwd",
        "dang": "/nosuch",
        "loop": "loop",
        "chain": "abs/deep/../..",
    }.items():
        (tmp_path / "w" / link).symlink_to(target)
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("w", "/w"),
        ("/w/", "/w/"),
        ("/w/.", "/w/."),
        ("/w//sub/../f", "/w/f"),
        ("/", "/"),
        ("/.", "/."),
        (".", "/."),
        ("..", "/"),
        ("/..", "/"),
        ("//w", "/w"),
        ("/../etc", "/etc"),
    ],
)
def test_absolute_paths_keep_what_says_the_directory_itself(path, clean):
    assert absolute(path) == clean


@pytest.mark.parametrize(
    ("path", "shown", "kind"),
    [
        ("/w", "w", stat.S_IFDIR),
        ("/w/", "w", stat.S_IFDIR),
        ("/w/.", ".", stat.S_IFDIR),
        ("/", "/", stat.S_IFDIR),
        ("/w/f", "f", stat.S_IFREG),
        ("/w/abs", "abs", stat.S_IFLNK),
        ("/w/abs/", "abs", stat.S_IFDIR),
        ("/w/abs/.", ".", stat.S_IFDIR),
        ("/w/abs/deep", "deep", stat.S_IFDIR),
        ("/w/dang", "dang", stat.S_IFLNK),
        ("/../../etc/passwd", "passwd", stat.S_IFREG),
    ],
)
def test_places(root, path, shown, kind):
    with located(root, path) as place:
        found = os.stat(place.name, dir_fd=place.parent, follow_symlinks=False)
        assert (place.shown, stat.S_IFMT(found.st_mode)) == (shown, kind)


@pytest.mark.parametrize("path", ["/nosuch", "/w/dang/", "/nosuch/f"])
def test_what_is_not_there(root, path):
    with pytest.raises(FileNotFoundError), located(root, path):
        pass


@pytest.mark.parametrize("path", ["/w/f/", "/w/f/.", "/w/f/x", "/w/loop/", f"/{'a' * 256}", f"/w/{'a' * 256}/x"])
def test_what_can_not_be_there(root, path):
    with pytest.raises(InvalidArgument, match=rf"lstat {path}: "), located(root, path):
        pass


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("/w/rel", "/w/f"),
        ("/w/abs", "/w/sub"),
        ("/w/up", "/etc/passwd"),
        ("/w/dang", "/nosuch"),
        ("/w/chain", "/w"),
        ("/w/abs/deep", "/w/sub/deep"),
    ],
)
def test_links_are_followed_within_the_root(root, link, target):
    assert follow(root, link) == target


def test_links_in_circles(root):
    with pytest.raises(InvalidArgument, match="too many links"):
        follow(root, "/w/loop")


def test_a_links_stat_says_where_it_leads(root):
    with located(root, "/w/up") as place:
        found = stat_of(root, place)
    assert (found.name, found.link_target, found.size) == ("up", "/etc/passwd", 22)
    assert found.mode == 1 << 27 | 0o777


def test_the_time_of_1970_is_no_missing_time(root, tmp_path):
    os.utime(tmp_path / "w/f", (0, 0))
    with located(root, "/w/f") as place:
        assert stat_of(root, place).mtime == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("mode", "go"),
    [
        (stat.S_IFDIR | 0o1777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFREG | 0o6755, 1 << 23 | 1 << 22 | 0o755),
        (stat.S_IFCHR | 0o644, 69206436),
        (stat.S_IFBLK | 0o600, 1 << 26 | 0o600),
        (stat.S_IFIFO | 0o600, 1 << 25 | 0o600),
        (stat.S_IFSOCK | 0o600, 1 << 24 | 0o600),
    ],
)
def test_modes_in_gos_bits(mode, go):
    assert go_mode(mode) == go
