"""Log files byte by byte: what sampand writes for a container's output is what a genuine dockerd writes for it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rig import storm
from rig.care import load
from rig.engines import TEST_HOST

pytestmark = pytest.mark.root

TIME = re.compile(rb'"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,8}[1-9])?Z)"')

OUTPUT = {
    "plain": "echo one; echo; echo two words",
    "escapes": r"printf '<a href=\"x\">&amp;</a> \\ \t\r\b\f\v\001\033[0m\177\n'",
    "separators": r"printf 'a\342\200\250b\342\200\251c\342\200\247d \303\251 \360\237\246\206\n'",
    "without an end": "printf 'no newline at the end'",
    "a long line": "head -c 40000 /dev/zero | tr '\\0' x; echo",
    "a line of just one piece": "head -c 16383 /dev/zero | tr '\\0' x; echo; echo after",
    "a line of one piece and its end": "head -c 16384 /dev/zero | tr '\\0' x; echo; echo after",
    "nothing but an end": "echo",
    "zeros": r"printf 'a\0b\n'",
}
AT_ONCE = "dd if=/said bs=60000 2>/dev/null"
"""In one write: a line that comes in parts is logged as it comes, where dockerd waits for its end."""
ATTRIBUTES = {
    "LogConfig": {
        "Type": "json-file",
        "Config": {"labels": "b,a,missing", "env": "WORD", "labels-regex": "^re", "tag": "{{.Name}}/<{{.ImageName}}>"},
    }
}


def lines(engine, script, name, **options):
    """The records of a container that ran a script, each with its time cut out."""
    with engine.client() as client:
        storm.run(client, name, "sh", "-c", script, **options)
        client.post(f"/containers/{name}/wait")
        path = Path(client.get(f"/containers/{name}/json").json()["LogPath"])
        text = path.read_bytes()
        storm.remove(client, [name])
    records = text.splitlines(keepends=True)
    for record in records:
        json.loads(record)
        assert TIME.search(record), record
    return [TIME.sub(b'"time":"T"', record) for record in records]


@pytest.fixture(scope="module")
def pair(genuine, sampand):
    if TEST_HOST:
        pytest.skip("compares files of two engines of this machine")
    for engine in (genuine, sampand):
        load(engine)
    return genuine, sampand


@pytest.mark.parametrize("script", OUTPUT.values(), ids=OUTPUT)
def test_records_are_the_same(pair, script):
    genuine, ours = (lines(engine, f"({script}) >/said; {AT_ONCE}", "writer") for engine in pair)
    assert ours == genuine


def test_streams_and_attributes_are_the_same(pair):
    script = "echo out; sleep 0.2; echo err >&2"
    options = {
        "Labels": {"a": "1 & 2", "b": '<\u00e9\u2028\t">', "regular": "3", "other": "no"},
        "Env": ["WORD=of=mine", "OTHER=no"],
        "HostConfig": ATTRIBUTES,
    }
    genuine, ours = (lines(engine, script, "marked", **options) for engine in pair)
    assert ours == genuine


def test_a_terminals_output_is_the_same(pair):
    genuine, ours = (lines(engine, "echo one; printf 'two\\tend'", "seen", Tty=True) for engine in pair)
    assert b"".join(ours).count(b"\\r\\n") == b"".join(genuine).count(b"\\r\\n") == 1
    assert ours[0] == genuine[0]


def test_bytes_that_are_no_text_are_kept_where_docker_damages_them(pair):
    genuine, ours = (lines(engine, r"printf 'a\377b\n'", "binary") for engine in pair)
    assert genuine == [rb'{"log":"a\ufffdb\n","stream":"stdout","time":"T"}' + b"\n"]
    assert ours == [rb'{"log":"a\udcffb\n","stream":"stdout","time":"T"}' + b"\n"]


def test_a_log_of_a_genuine_dockerd_reads_the_same(pair):
    """What a genuine dockerd wrote, put in the place of our log, comes out as it does there."""
    genuine, ours = pair
    script = "; ".join(f"({script}); echo" for script in OUTPUT.values())
    answers, text = [], b""
    for engine in (genuine, ours):
        with engine.client() as client:
            storm.run(client, "read", "sh", "-c", script)
            client.post("/containers/read/wait")
            path = Path(client.get("/containers/read/json").json()["LogPath"])
            if engine is genuine:
                text = path.read_bytes()
            else:
                path.write_bytes(text)
            for query in ("", "&tail=1", "&tail=3", "&tail=0", "&tail=1000", "&since=1", "&until=1"):
                answers.append(storm.unframed(client.get(f"/containers/read/logs?stdout=1{query}").body))
            storm.remove(client, ["read"])
    half = len(answers) // 2
    assert answers[:half] == answers[half:]
    assert b"two words" in answers[0]
