"""The docker command line: large streams arrive whole, at the client and in the log, byte for byte."""

from __future__ import annotations

import hashlib
import os
from subprocess import PIPE

import pytest

IMAGE = "busybox"
LINE = 100


def numbered_lines(total, length):
    """`total` bytes in lines of `length`, each with its own number, so that a lost or doubled one is seen."""
    width = length - 1
    return b"".join(b"%0*d\n" % (width, number) for number in range(total // length)) + b"x" * (total % length)


def digest(pipe):
    """Length and hash of what a pipe brings."""
    seen, total = hashlib.sha256(), 0
    while data := pipe.read(1 << 20):
        seen.update(data)
        total += len(data)
    return total, seen.hexdigest()


def of_bytes(data):
    return len(data), hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def lines(tmp_path_factory, loaded):
    """Files of lines in a folder to bind: `long` with 2^27 bytes in lines of 100, `short` with 2^24 in lines of 2."""
    folder = tmp_path_factory.mktemp("lines")
    (folder / "long").write_bytes(numbered_lines(1 << 27, LINE))
    (folder / "short").write_bytes(b"".join(b"%d\n" % (number * 7 % 10) for number in range(1 << 23)))
    return folder


def run_and_compare(docker, folder, name, rounds):
    expected = of_bytes((folder / name).read_bytes())
    for _ in range(rounds):
        command = [
            "run",
            "--name",
            "stream",
            "-v",
            f"{folder}:/lines:ro",
            "--net",
            "none",
            IMAGE,
            "cat",
            f"/lines/{name}",
        ]
        client = docker.popen(*command, stdout=PIPE)
        assert digest(client.stdout) == expected
        assert client.wait(60) == 0
        reader = docker.popen("logs", "stream", stdout=PIPE)
        assert digest(reader.stdout) == expected
        assert reader.wait(60) == 0
        docker.ok("rm", "stream")


@pytest.mark.timeout(900)
def test_lines_of_100_bytes_to_client_and_log(docker, lines, long_run):
    run_and_compare(docker, lines, "long", rounds=20 if long_run else 2)


@pytest.mark.timeout(600)
def test_lines_of_2_bytes_to_client_and_log(docker, lines):
    run_and_compare(docker, lines, "short", rounds=1)


@pytest.mark.timeout(300)
def test_100_megabytes_of_standard_input(docker):
    data = os.urandom(100_000_000)
    done = docker.run("run", "--rm", "-i", "--net", "none", IMAGE, "sha256sum", stdin=data, timeout=240)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


@pytest.mark.timeout(300)
def test_100_megabytes_there_and_back(docker):
    """Through cat: both directions at once, without a log that could change bytes that are no text."""
    data = os.urandom(100_000_000)
    command = ["run", "--rm", "-i", "--net", "none", "--log-driver", "none", IMAGE, "cat"]
    done = docker.run(*command, stdin=data, timeout=240)
    assert of_bytes(done.stdout) == of_bytes(data)


@pytest.mark.timeout(300)
def test_20_megabytes_through_exec(docker):
    docker.ok("run", "-d", "--name", "host", "--net", "none", IMAGE, "sleep", "100")
    data = os.urandom(20_000_000)
    done = docker.run("exec", "-i", "host", "cat", stdin=data, timeout=240)
    assert of_bytes(done.stdout) == of_bytes(data)


def test_both_streams_stay_apart_under_load(docker):
    script = "i=0; while [ $i -lt 3000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done"
    done = docker.run("run", "--name", "both", IMAGE, "sh", "-c", script)
    wanted = [b"".join(b"%s%d\n" % (word, number) for number in range(3000)) for word in (b"out", b"err")]
    assert [done.stdout, done.stderr] == wanted
    logged = docker.run("logs", "both")
    assert [logged.stdout, logged.stderr] == wanted


def test_output_without_a_last_newline(docker):
    assert docker.run("run", "--name", "open", IMAGE, "printf", "a\\nb").stdout == b"a\nb"
    assert docker.run("logs", "open").stdout == b"a\nb"


def test_a_very_long_line(docker):
    script = "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end"
    wanted = b"x" * 1_000_000 + b"\nend\n"
    assert docker.run("run", "--name", "wide", IMAGE, "sh", "-c", script).stdout == wanted
    assert docker.run("logs", "wide").stdout == wanted


def test_follow_sees_everything_to_the_end(docker):
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"
    docker.ok("run", "-d", "--name", "talker", IMAGE, "sh", "-c", script)
    wanted = b"".join(b"line %d\n" % number for number in range(20000))
    assert docker.run("logs", "--follow", "talker").stdout == wanted


def test_a_follower_that_goes_away_harms_nobody(docker):
    docker.ok("run", "-d", "--name", "talker", IMAGE, "sh", "-c", "while :; do echo tick; sleep 0.05; done")
    follower = docker.popen("logs", "--follow", "talker", stdout=PIPE)
    assert follower.stdout.readline() == b"tick\n"
    follower.kill()
    follower.wait()
    assert docker.inspect("talker")["State"]["Running"]
    assert docker.ok("logs", "--tail", "1", "talker") == "tick"
