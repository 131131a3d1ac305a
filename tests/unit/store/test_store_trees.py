"""Trees deeper than any path or recursion can be: measured, removed and walked."""

import os

import pytest

from rig.deep import make_deep
from sampan.store.trees import Descent, measure, remove_below, remove_tree

DEPTH = 3000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY


@pytest.fixture
def deep(tmp_path):
    make_deep(tmp_path / "deep", DEPTH)
    yield tmp_path / "deep"
    remove_tree(tmp_path / "deep")


def test_a_deep_tree_is_measured_and_removed(deep):
    found = measure(deep)
    assert (found.size, found.inodes) == (7, DEPTH + 1)
    assert found.allocated >= 4096
    remove_tree(deep)
    assert not deep.exists()
    remove_tree(deep)


def test_a_walk_goes_down_and_up_again_with_few_descriptors(deep):
    before = len(os.listdir("/proc/self/fd"))
    top = os.open(deep, _FOLDER)
    with Descent(top) as place:
        for _ in range(DEPTH):
            place.enter("d")
        assert os.listdir(place.descriptor) == ["file"]
        assert len(os.listdir("/proc/self/fd")) < before + 100
        for _ in range(DEPTH):
            place.leave()
        assert os.path.samestat(os.fstat(place.descriptor), os.fstat(top))
    os.close(top)
    assert len(os.listdir("/proc/self/fd")) == before


def test_whoever_moves_a_deep_folder_away_leads_no_walk_astray(deep, tmp_path):
    top = os.open(deep, _FOLDER)
    with Descent(top) as place:
        for _ in range(200):
            place.enter("d")
        (tmp_path / "elsewhere").mkdir()
        os.rename(f"/proc/self/fd/{place.descriptor}/d", tmp_path / "elsewhere/d")
        place.leave()
        place.enter("d")
        above = os.open("..", _FOLDER, dir_fd=place.descriptor)
        os.rename("d", tmp_path / "elsewhere/d2", src_dir_fd=above)
        os.close(above)
        with pytest.raises(OSError, match="was moved"):
            place.leave()
    os.close(top)
    remove_tree(tmp_path / "elsewhere")


def test_links_are_removed_and_never_followed(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("kept")
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    os.link(tmp_path / "kept/file", tmp_path / "gone/one")
    os.link(tmp_path / "kept/file", tmp_path / "gone/two")
    assert (measure(tmp_path / "gone").inodes, measure(tmp_path / "gone/link").inodes) == (2, 0)
    assert measure(tmp_path / "gone").size == 4 + len(str(tmp_path / "kept"))
    remove_tree(tmp_path / "gone")
    remove_tree(tmp_path / "link")
    assert sorted(os.listdir(tmp_path)) == ["kept"] and (tmp_path / "kept/file").read_text() == "kept"


def test_a_file_and_what_is_not_there_are_removed_too(tmp_path):
    (tmp_path / "file").write_text("x")
    parent = os.open(tmp_path, _FOLDER)
    for name in ("file", "nosuch"):
        remove_below(parent, name)
    os.close(parent)
    remove_tree(tmp_path / "no/such")
    assert os.listdir(tmp_path) == []


def test_a_wide_tree_goes_too(tmp_path):
    for number in range(300):
        (tmp_path / f"wide/{number}/a").mkdir(parents=True)
        (tmp_path / f"wide/{number}/a/f").write_text("x")
    assert measure(tmp_path / "wide").inodes == 900
    remove_tree(tmp_path / "wide")
    assert not (tmp_path / "wide").exists()
