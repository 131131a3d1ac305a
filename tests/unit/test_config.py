"""sampand's settings: flags, the file, and what is refused."""

import json

import pytest

from sampan import config
from sampan.errors import InvalidArgument, NotFound, NotImplementedYet


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "DEFAULT_CONFIG_FILE", str(tmp_path / "none.json"))

    def run(*arguments, file=None):
        if file is None:
            return config.load(arguments)
        path = tmp_path / "daemon.json"
        path.write_text(file if isinstance(file, str) else json.dumps(file))
        return config.load([*arguments, "--config-file", str(path)])

    return run


def test_defaults_are_sampans_own(load):
    found = load()
    assert found.hosts == ("unix:///run/sampan/sampan.sock",)
    assert str(found.data_root) == "/var/lib/sampan"
    assert found.default_shm_size == 64 << 20
    assert found.live_restore


def test_flags_and_file_add_up(load):
    found = load(
        "-H", "unix:///a", "--host=unix:///b", "--debug", "--live-restore=false", "--default-ulimit", "nofile=1:2",
        file={"data-root": "/x", "runtimes": {"mine": {"path": "/bin/mine"}}, "labels": ["a=b"]},
    )  # fmt: skip
    assert found.hosts == ("unix:///a", "unix:///b")
    assert (str(found.data_root), found.log_level, found.live_restore) == ("/x", "debug", False)
    assert found.runtimes == {"mine": "/bin/mine"}
    assert found.default_ulimits == {"nofile": (1, 2)}


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["--data-root", "/y"], {"data-root": "/x"}),
        ([], {"nonsense": 1}),
        ([], {"debug": "yes"}),
        ([], {"hosts": "unix:///a"}),
        ([], "[]"),
        ([], "{"),
        (["-H", "unix://relative"], None),
        (["-H", "nonsense"], None),
        (["-H", "unix:///" + "x" * 120], None),
        (["--log-level", "loud"], None),
        (["--bip", "10.0.0.1/24", "--bridge", "br0"], None),
        (["--default-shm-size", "big"], None),
        (["--log-opt", "x"], None),
        (["--max-concurrent-downloads", "0"], None),
        (["--storage-driver", "btrfs"], None),
    ],
)
def test_what_can_not_be_is_refused(load, arguments, file):
    with pytest.raises(InvalidArgument):
        load(*arguments, file=file)


@pytest.mark.parametrize("arguments", [["-H", "tcp://127.0.0.1:1"], ["-H", "fd://"], ["--tls"], ["--userns-remap=x"]])
def test_what_comes_later_says_so(load, arguments):
    with pytest.raises(NotImplementedYet):
        load(*arguments)


def test_a_named_file_must_be_there(load):
    with pytest.raises(NotFound):
        load("--config-file", "/surely/not/there.json")


@pytest.mark.parametrize(("text", "size"), [("64m", 64 << 20), ("1.5GiB", 3 << 29), ("4096", 4096), ("1kb", 1024)])
def test_sizes(text, size):
    assert config.parse_size(text) == size
