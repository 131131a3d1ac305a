"""What a daemon claims before it begins, and what it refuses to take for nothing."""

import subprocess
import sys

import pytest

from sampan import config
from sampan.daemon.claim import Claim, check_rows_are_there
from sampan.daemon.instance import open_database
from sampan.errors import Conflict, DataLoss, InvalidArgument
from sampan.store.paths import DataPaths


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "DEFAULT_CONFIG_FILE", str(tmp_path / "none.json"))

    def load(data="data", run="run", pidfile="pid"):
        flags = ["--data-root", tmp_path / data, "--exec-root", tmp_path / run, "--pidfile", tmp_path / pidfile]
        return config.load([*map(str, flags), "-H", f"unix://{tmp_path}/sock"])

    return load


def test_both_roots_are_claimed(settings):
    with Claim(settings()):
        with pytest.raises(Conflict, match="--data-root"), Claim(settings(run="other", pidfile="other")):
            pass
        with pytest.raises(Conflict, match="--exec-root"), Claim(settings(data="other", pidfile="other")):
            pass
    with Claim(settings()):
        pass


def test_the_pidfile_of_a_living_daemon_stays(settings, tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", "sampand"], stdin=subprocess.PIPE)
    try:
        (tmp_path / "pid").write_text(f"{other.pid}\n")
        with pytest.raises(Conflict, match="still running"), Claim(settings()):
            pass
        assert (tmp_path / "pid").read_text() == f"{other.pid}\n"
    finally:
        other.kill()
        other.communicate()
    with Claim(settings()):
        pass


def test_a_root_that_is_a_file_is_refused(settings, tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(InvalidArgument, match="can't be used"), Claim(settings()):
        pass


@pytest.mark.parametrize("empty", [False, True])
def test_content_without_a_database_is_not_garbage(tmp_path, empty):
    paths = DataPaths(tmp_path)
    check_rows_are_there(paths)
    (tmp_path / "volumes/precious/_data").mkdir(parents=True)
    if empty:
        paths.database.touch()
    with pytest.raises(DataLoss, match="nothing was touched"):
        check_rows_are_there(paths)


def test_a_damaged_database_is_named(tmp_path):
    path = tmp_path / "sampan.db"
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(DataLoss, match=str(path)):
        open_database(path)
