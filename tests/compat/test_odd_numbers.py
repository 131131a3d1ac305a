"""Odd numbers in queries and bodies: taken as a genuine dockerd takes them, or refused by a clear 4xx; never a 500."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from rig import storm

pytestmark = pytest.mark.root

WORDS = ("-1", "-5", "0", "+1", "1e9", "1.5", " 1", "1_0", "\u0661", "\u00b2", "0x5", "abc", "9" * 25, "9" * 5000, "")
SIGNALS = ("0", "65", "SIGFOO", " 9", "9 ", "-9", "1e1", "9.0", "sigrtmin+16", "\u0669", "\u00b2", "9" * 25, "9" * 5000)
TIMES = (*WORDS, ".5", "1.", "now", "1h1h", "1" * 300 + "h", "0." + "9" * 5000 + "h", "2026-13-01", "9999-99-99")
BODIES = (
    *({"StopTimeout": value} for value in (1.5, 10**20, "5", 1e300)),
    *({"StopSignal": signal} for signal in SIGNALS),
    *({"HostConfig": {"Memory": value}} for value in (-1, 1.5e9, 10**19, "1g")),
    *({"HostConfig": {"ConsoleSize": value}} for value in ([-1, 5], [1, 2, 3], "x", [10**20, 1])),
    *({"HostConfig": {"CpusetCpus": value}} for value in ("99999", "0-99999999999", "-1", "\u0661", "9" * 5000)),
    *({"HostConfig": {"CpusetMems": value}} for value in ("0-4000000000", "1.5")),
    *({"HostConfig": {"DeviceCgroupRules": [f"c {value}:0 rwm"]}} for value in ("9" * 5000, "\u0661")),
    *(
        {"HostConfig": {"LogConfig": {"Type": "json-file", "Config": {name: value}}}}
        for name in ("max-size", "max-file")
        for value in ("nan", "inf", "1e400", "-5", "\u0661", "9" * 5000, "", "0", "1x")
    ),
    *({"HostConfig": {"PortBindings": {f"{value}/tcp": [{}]}}} for value in ("-1", "65536", "\u0661", "9" * 5000)),
    *(
        {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": value}]}}}
        for value in ("-1", "65536", "\u0661", "9" * 5000, "1-", "5-4")
    ),
    *({"Healthcheck": {"Test": ["CMD", "true"], name: -1}} for name in ("Interval", "Timeout", "Retries")),
    {"HostConfig": {"ShmSize": -1}},
    {"HostConfig": {"OomScoreAdj": 5000}},
    {"HostConfig": {"BlkioWeight": 70000}},
    {"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}}},
    {"HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 2}]}},
)


@pytest.fixture(scope="module")
def standing(loaded):
    """A container that runs in a terminal, and one that has ended."""
    with loaded.client() as client:
        storm.run(client, "odd-term", "sleep", "100000", Tty=True)
        storm.run(client, "odd-past", "sh", "-c", "echo one; echo two")
        client.post("/containers/odd-past/wait")
        yield client
        storm.remove(client, ["odd-term", "odd-past"])


def check(answer, call):
    assert answer.status < 500, f"{call[:200]}: {answer.status} {answer.message[:300]}"
    assert answer.status < 400 or answer.message, call[:200]


@pytest.mark.parametrize(
    "path",
    [
        "POST /containers/odd-term/resize?h={}&w=80",
        "POST /containers/odd-term/resize?h=24&w={}",
        "POST /containers/odd-past/stop?t={}",
        "POST /containers/odd-past/restart?t={}",
        "GET /containers/json?all=1&limit={}",
        "GET /containers/odd-past/logs?stdout=1&tail={}",
        "GET /images/search?term=x&limit={}x",
        'GET /containers/json?all=1&filters={{"exited":["{}"]}}',
        'GET /containers/json?all=1&filters={{"publish":["{}"]}}',
        "GET /containers/odd-term/json?size={}",
    ],
)
def test_in_a_query(standing, path):
    for word in (*WORDS, "2147483648", "4294967295"):
        method, _, target = path.format(quote(word)).partition(" ")
        check(standing.request(method, target.replace('"', "%22")), f"{path} {word}")
        if "restart" in path:
            standing.post("/containers/odd-past/wait")


def test_as_moments(standing):
    for word in TIMES:
        for key in ("since", "until"):
            check(standing.get(f"/containers/odd-past/logs?stdout=1&{key}={quote(word)}"), f"{key} {word}")
    for word in OVER:
        check(standing.get(f"/events?since=1&until={quote(word or '1')}"), f"events {word}")


OVER = ("1.5", "1e9", "abc", "0x5", "", "1.", "\u0661", "9" * 5000)
"""Moments that are past or wrong: events up to them end at once."""


def test_as_signals(standing):
    for signal in SIGNALS:
        for verb in ("kill", "stop", "restart"):
            answer = standing.post(f"/containers/odd-term/{verb}?signal={quote(signal)}")
            assert answer.status == 400, f"{verb} {signal}: {answer.status} {answer.message}"
            assert "signal" in answer.message
    assert storm.state(standing, "odd-term")["Status"] == "running"


@pytest.mark.parametrize("signal", ["9", "+9", "09", "kill", "SIGKILL"])
def test_signals_have_many_names(standing, signal):
    storm.run(standing, "odd-killed", "sleep", "100000")
    assert standing.post(f"/containers/odd-killed/kill?signal={quote(signal)}").status == 204
    assert standing.post("/containers/odd-killed/wait").json()["StatusCode"] == 137
    storm.remove(standing, ["odd-killed"])


def test_in_a_body(standing):
    for body in BODIES:
        host = {"NetworkMode": "none", **body.get("HostConfig", {})}
        document = {"Image": "busybox", "Cmd": ["true"], **body, "HostConfig": host}
        answer = standing.post("/containers/create?name=odd-made", document)
        assert answer.status in (201, 400), f"{json.dumps(body)[:200]}: {answer.status} {answer.message[:300]}"
        if answer.status == 201:
            check(standing.post("/containers/odd-made/start"), json.dumps(body))
            storm.remove(standing, ["odd-made"])


def test_a_terminal_of_any_size(standing):
    """The kernel has sixteen bits for it; nothing breaks beyond."""
    for height, width in ((65535, 65536), (4294967295, 0), (24, 80)):
        assert standing.post(f"/containers/odd-term/resize?h={height}&w={width}").status == 200
    assert storm.state(standing, "odd-term")["Status"] == "running"
    for size in ([10**6, 10**12], [0, 0], [5], []):
        made = standing.post("/containers/odd-term/exec", {"Cmd": ["true"], "Tty": True, "ConsoleSize": size})
        assert made.status == 201, made.message
        started = standing.post(f"/exec/{made.json()['Id']}/start", {"Detach": True, "Tty": True, "ConsoleSize": size})
        assert started.status == 200, f"{size}: {started.message}"
    for size in ([-1, 5], [1, 2, 3], "x"):
        assert standing.post("/containers/odd-term/exec", {"Cmd": ["true"], "ConsoleSize": size}).status == 400
    for number in ("-1", "4294967296", "9" * 25):
        assert standing.post(f"/containers/odd-term/resize?h={number}&w=5").status == 400


def test_a_huge_patience_is_patience(standing):
    """A stop that may take for ever ends when the process does."""
    for seconds in ("2147483648", "9223372036854775807", "-1", "-9223372036854775808"):
        storm.run(standing, "odd-patient", "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.05; done")
        answer = standing.post(f"/containers/odd-patient/stop?t={seconds}")
        assert answer.status == 204, f"{seconds}: {answer.status} {answer.message}"
        assert storm.state(standing, "odd-patient")["ExitCode"] in (4, 143)
        storm.remove(standing, ["odd-patient"])


@pytest.mark.parametrize("name", ["x", "", "/tcp", "1-3/tcp", "70000/tcp", "-5", "80/foo"])
def test_an_exposed_port_that_is_none_troubles_nobody(api, name):
    """Docker takes it, so an image may have it. It shows it as port 0; we show the true ports only."""
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "ExposedPorts": {name: {}, "80/TCP": {}}}
    identity = api.post("/containers/create", {**body, "HostConfig": {"NetworkMode": "bridge"}}).json()["Id"]
    assert api.post(f"/containers/{identity}/start").status == 204
    (row,) = [row for row in api.get("/containers/json?all=1").json() if row["Id"] == identity]
    assert row["Ports"] == [{"PrivatePort": 80, "Type": "tcp"}]
    shown = api.get(f"/containers/{identity}/json").json()
    assert shown["NetworkSettings"]["Ports"] == {"80/tcp": None}
    assert set(shown["Config"]["ExposedPorts"]) == {name, "80/TCP"}
    listed = api.get("/containers/json?filters=" + quote(json.dumps({"expose": ["80"]}))).json()
    assert identity in [row["Id"] for row in listed]
    linked = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "bridge", "Links": [f"{identity}:a"]}}
    other = api.post("/containers/create", linked).json()["Id"]
    assert api.post(f"/containers/{other}/start").status == 204
