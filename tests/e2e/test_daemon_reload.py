"""Settings of a daemon that runs: SIGHUP reads its file again. And what is said of settings that can't be."""

from __future__ import annotations

import grp
import json
import os
import signal
import stat
import subprocess

import pytest

from rig import storm
from rig.care import load, started, stop_and_check
from rig.engines import SAMPAND, Sampand

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("settings") / "daemon.json"


@pytest.fixture(scope="module")
def daemon(file):
    file.write_text(json.dumps({"labels": ["first=1"], "group": "daemon"}))
    engine = started(Sampand(flags=("--config-file", str(file))))
    load(engine)
    yield engine
    stop_and_check(engine)


def reload(engine, file, document, word):
    """Write the file, send SIGHUP, and wait until the log's new lines have a word; those lines."""
    before = len(engine.log.read_text())
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    os.kill(engine.pid, signal.SIGHUP)
    return storm.wait_until(
        lambda: word in (new := engine.log.read_text()[before:]) and new, f"the log says {word}", 30
    )


def reloads(client):
    """The events of reloads so far."""
    until = client.get("/info").json()["SystemTime"]
    answer = client.get(f'/events?since=1&until={until}&filters={{"type":["daemon"]}}')
    assert answer.status == 200, answer.message
    return [json.loads(line) for line in answer.body.splitlines()]


def test_what_is_live_is_changed_and_told(daemon, file):
    with daemon.client() as client:
        assert client.get("/info").json()["Labels"] == ["first=1"]
        document = {
            "labels": ["second=2"],
            "debug": True,
            "live-restore": True,
            "insecure-registries": ["registry.test:5000"],
            "registry-mirrors": ["http://mirror.test:5000"],
            "shutdown-timeout": 7,
            "max-concurrent-downloads": 2,
            "runtimes": {"other": {"path": "/usr/bin/crun"}},
            "default-runtime": "other",
            "default-shm-size": "32m",
            "mtu": 1400,
        }
        said = reload(daemon, file, document, "wait for a restart")
        assert "wait for a restart of the daemon: mtu" in said
        info = client.get("/info").json()
        assert (info["Labels"], info["Debug"], info["DefaultRuntime"]) == (["second=2"], True, "other")
        assert info["Runtimes"]["other"]["path"] == "/usr/bin/crun"
        assert info["RegistryConfig"]["Mirrors"] == ["http://mirror.test:5000"]
        assert "registry.test:5000" in info["RegistryConfig"]["IndexConfigs"]
        event = reloads(client)[-1]
        assert (event["Type"], event["Action"], event["Actor"]["ID"]) == ("daemon", "reload", info["ID"])
        told = event["Actor"]["Attributes"]
        assert (told["labels"], told["debug"], told["shutdown-timeout"]) == ('["second=2"]', "true", "7")
        assert (told["runtimes"], told["max-concurrent-downloads"]) == ("other:/usr/bin/crun", "2")
        storm.run(client, "fresh", "sh", "-c", "df -k /dev/shm | tail -1; sleep 1000", Tty=True)
        document = client.get("/containers/fresh/json").json()["HostConfig"]
        assert (document["Runtime"], document["ShmSize"]) == ("other", 32 << 20)
        storm.wait_until(lambda: b"32768" in storm.logged(client, "fresh"), "it has a small /dev/shm", 30)
        storm.remove(client, ["fresh"])
        reload(daemon, file, {"debug": False, "default-runtime": "crun"}, "reading the configuration")
        storm.wait_until(lambda: not client.get("/info").json()["Debug"], "no debugging any more", 30)


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ("{", "is not JSON"),
        ({"labels": ["third=3"], "nonsense": 1}, "nonsense"),
        ({"labels": "third=3"}, "a list of strings"),
        ({"labels": ["third=3"], "max-concurrent-uploads": -1}, "must be at least 1"),
        ({"labels": ["third=3"], "default-runtime": "nonesuch"}, "nonesuch"),
        ({"labels": ["third=3"], "data-root": "/x"}, "both as a flag and in the configuration file"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(daemon, file, document, word):
    with daemon.client() as client:
        info, events = client.get("/info").json(), len(reloads(client))
        said = reload(daemon, file, document, "was not reloaded")
        assert word in said
        assert client.get("/info").json()["Labels"] == info["Labels"]
        assert len(reloads(client)) == events


def test_the_sockets_group_and_mode(daemon):
    found = daemon.socket.stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (grp.getgrnam("daemon").gr_gid, 0o660)


def test_the_pidfile_holds_the_pid(daemon):
    assert int((daemon.home / "pid").read_text()) == daemon.pid


def sampand(*arguments):
    return subprocess.run([SAMPAND, *arguments], capture_output=True, text=True, timeout=60)


def test_a_configuration_can_be_checked_alone(tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text('{"debug": true}')
    bad.write_text('{"debug": "very"}')
    done = sampand("--validate", "--config-file", str(good))
    assert (done.returncode, done.stdout, done.stderr) == (0, "configuration OK\n", "")
    done = sampand("--validate", "--config-file", str(bad))
    assert (done.returncode, done.stdout) == (1, "")
    assert "the directive debug must be true or false" in done.stderr
    done = sampand("--validate", "--default-runtime", "nonesuch")
    assert done.returncode == 1
    assert "nonesuch" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-H", "tcp://127.0.0.1:2375"], "tcp:// is not there yet"),
        (["--no-such-flag"], "--no-such-flag"),
        (["--group", "no-such-group-here"], "group no-such-group-here does not exist"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_begins(tmp_path, arguments, words):
    roots = [f"--data-root={tmp_path}/d", f"--exec-root={tmp_path}/e", f"--pidfile={tmp_path}/pid"]
    hosts = [] if "-H" in arguments else ["-H", f"unix://{tmp_path}/sock"]
    done = sampand(*roots, *hosts, *arguments)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "sock").exists()
    assert not (tmp_path / "pid").exists()
