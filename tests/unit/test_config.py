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
        (["--label", "novalue"], None),
        (["--label", "a=b", "--label", "a=c"], None),
        (["--mtu", "-1"], None),
        ([], {"labels": [1]}),
        ([], {"mtu": True}),
        ([], {"mtu": 1500.0}),
        ([], {"debug": 1}),
        ([], {"log-opts": {"max-file": 3}}),
        ([], {"runtimes": {"mine": "/bin/mine"}}),
        ([], {"default-ulimits": {"nofile": {"Soft": "1"}}}),
        ([], {"default-shm-size": -1}),
        ([], "[" * 100_000),
    ],
)
def test_what_can_not_be_is_refused(load, arguments, file):
    with pytest.raises(InvalidArgument):
        load(*arguments, file=file)


@pytest.mark.parametrize("arguments", [["-H", "tcp://127.0.0.1:1"], ["-H", "fd://"], ["--tls"], ["--userns-remap=x"]])
def test_what_comes_later_says_so(load, arguments):
    with pytest.raises(NotImplementedYet):
        load(*arguments)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "daemon.json"
    path.write_bytes(b'{"debug": "\xff"}')
    with pytest.raises(InvalidArgument, match="UTF-8"):
        config.load(["--config-file", str(path)])


def test_a_file_may_begin_with_a_byte_order_mark_and_give_sizes_as_numbers(load):
    found = load(file='\ufeff{"default-shm-size": 1024}')
    assert found.default_shm_size == 1024


def test_arguments_of_runtimes_are_refused_by_name(load):
    with pytest.raises(NotImplementedYet, match="runtimeArgs"):
        load(file={"runtimes": {"mine": {"path": "/bin/mine", "runtimeArgs": ["--debug"]}}})


def test_what_stands_twice_is_named_with_both_values(load):
    with pytest.raises(InvalidArgument, match=r"mtu: \(from flag: 1400, from file: 1300\)"):
        load("--mtu", "1400", file={"mtu": 1300})


@pytest.fixture
def source(tmp_path):
    """A source with a file, and a way to write that file anew."""

    def make(*arguments, file):
        path = tmp_path / "daemon.json"
        path.write_text(json.dumps(file))
        made = config.Source([*arguments, "--config-file", str(path)])

        def again(document):
            path.write_text(document if isinstance(document, str) else json.dumps(document))
            return made.reload(lambda _: None)

        return made, again

    return make


def test_a_reload_changes_what_is_live(source):
    made, again = source("--max-concurrent-uploads", "9", file={"labels": ["a=b"], "max-concurrent-downloads": 7})
    waiting = again({"labels": ["c=d"], "debug": True, "mtu": 1234, "runtimes": {"mine": {"path": "/bin/mine"}}})
    now = made.config
    assert (now.labels, now.debug, now.log_level, now.runtimes) == (("c=d",), True, "debug", {"mine": "/bin/mine"})
    assert (now.max_concurrent_downloads, now.max_concurrent_uploads) == (3, 9)
    assert (now.mtu, waiting) == (1500, ["mtu"])
    assert again({"debug": False}) == []
    assert (made.config.labels, made.config.debug, made.config.log_level) == (("c=d",), False, "info")


@pytest.mark.parametrize(
    "document",
    [
        "{",
        {"nonsense": 1},
        {"labels": "x"},
        {"max-concurrent-downloads": 0},
        {"mtu": -5},
        {"debug": True},
        {"tls": True},
    ],
)
def test_a_reload_that_fails_changes_nothing(source, document):
    made, again = source("--debug", file={"labels": ["a=b"]})
    before = made.config
    with pytest.raises((InvalidArgument, NotImplementedYet)):
        again(document)
    assert made.config is before
    again({})
    assert made.config.labels == ("a=b",)


def test_what_can_not_be_applied_is_not_kept(source, tmp_path):
    made, again = source(file={})
    (tmp_path / "daemon.json").write_text('{"default-runtime": "nonesuch"}')

    def refuse(_):
        raise InvalidArgument("no such runtime")

    with pytest.raises(InvalidArgument, match="no such runtime"):
        made.reload(refuse)
    again({})
    assert made.config.default_runtime == "crun"


def test_a_file_that_is_gone_is_no_reload(source, tmp_path):
    made, _ = source(file={})
    (tmp_path / "daemon.json").unlink()
    with pytest.raises(NotFound):
        made.reload(lambda _: None)


def test_a_named_file_must_be_there(load):
    with pytest.raises(NotFound):
        load("--config-file", "/surely/not/there.json")


@pytest.mark.parametrize(("text", "size"), [("64m", 64 << 20), ("1.5GiB", 3 << 29), ("4096", 4096), ("1kb", 1024)])
def test_sizes(text, size):
    assert config.parse_size(text) == size
