from __future__ import annotations

import select

import pytest

from sampan.kernel import inotify
from sampan.kernel.inotify import Inotify


@pytest.fixture
def watcher():
    found = Inotify()
    yield found
    found.close()


def test_a_files_growth_and_end(watcher, tmp_path):
    file = tmp_path / "log"
    file.write_text("")
    watch = watcher.watch(file, inotify.MODIFY | inotify.MOVE_SELF)
    assert list(watcher.read()) == []
    with file.open("a") as log:
        log.write("x")
    assert select.select([watcher], [], [], 5)[0]
    assert [(event.watch, event.mask, event.name) for event in watcher.read()] == [(watch, inotify.MODIFY, "")]
    file.rename(tmp_path / "log.1")
    assert [event.mask for event in watcher.read()] == [inotify.MOVE_SELF]


def test_entries_of_a_folder_have_names(watcher, tmp_path):
    watch = watcher.watch(tmp_path, inotify.CREATE)
    (tmp_path / "a name").touch()
    (tmp_path / "b").touch()
    assert [event.name for event in watcher.read()] == ["a name", "b"]
    watcher.unwatch(watch)
    (tmp_path / "c").touch()
    assert all(event.name == "" for event in watcher.read())


def test_a_path_that_is_not_there(watcher, tmp_path):
    with pytest.raises(FileNotFoundError):
        watcher.watch(tmp_path / "absent", inotify.MODIFY)
