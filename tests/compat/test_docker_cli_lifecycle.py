"""The docker command line: ps, logs, attach, exec, stop, kill, restart, rename, wait, rm."""

from __future__ import annotations

import re
from datetime import datetime
from subprocess import PIPE

import pytest

from rig.waiting import wait_until

IMAGE = "busybox"
PATIENT = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def sleeper(docker):
    """A running container of this name."""
    docker.ok("run", "-d", "--name", "sleeper", "--net", "none", IMAGE, "sleep", "1000")
    return "sleeper"


@pytest.fixture
def patient(docker):
    """A running container that ends with 7 at SIGTERM."""
    docker.ok("run", "-d", "--name", "patient", "--net", "none", IMAGE, "sh", "-c", PATIENT)
    wait_until(lambda: docker.ok("logs", "patient") == "ready")
    return "patient"


def ended(docker, name, *command):
    docker.run("run", "--name", name, "--net", "none", IMAGE, *command)
    return name


# -- ps


def names(docker, *arguments):
    return docker.ok("ps", "--format", "{{.Names}}", *arguments).split()


def test_ps_shows_running_ones_and_all(docker, sleeper):
    ended(docker, "past", "true")
    assert names(docker) == ["sleeper"]
    assert names(docker, "-a") == ["past", "sleeper"]
    assert names(docker, "-n", "1") == ["past"]
    assert names(docker, "-l") == ["past"]


def test_ps_columns(docker, sleeper):
    header, row = docker.ok("ps").split("\n")
    assert header.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    container = docker.inspect(sleeper)["Id"]
    assert re.match(rf'{container[:12]}\s+busybox\s+"sleep 1000"\s+.+ago\s+Up .+\s+sleeper$', row)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["name=slee"], ["sleeper"]),
        (["name=^/past$"], ["past"]),
        (["status=exited"], ["past"]),
        (["status=running"], ["sleeper"]),
        (["exited=3"], ["past"]),
        (["label=kind"], ["past"]),
        (["label=kind=old"], ["past"]),
        (["label=kind=new"], []),
        (["ancestor=busybox"], ["past", "sleeper"]),
        (["since=sleeper"], ["past"]),
        (["before=past"], ["sleeper"]),
        (["status=running", "status=exited"], ["past", "sleeper"]),
        (["name=past", "status=running"], []),
    ],
)
def test_ps_filters(docker, sleeper, filters, expected):
    docker.run("run", "--name", "past", "-l", "kind=old", "--net", "none", IMAGE, "sh", "-c", "exit 3")
    flags = [word for item in filters for word in ("--filter", item)]
    assert names(docker, "-a", *flags) == expected


def test_ps_refuses_an_unknown_filter(docker):
    assert "invalid filter 'nonesuch'" in docker.fails("ps", "--filter", "nonesuch=1")


def test_ps_status_of_an_ended_container(docker):
    ended(docker, "past", "sh", "-c", "exit 3")
    assert re.match(r"Exited \(3\) .* ago$", docker.ok("ps", "-a", "--format", "{{.Status}}"))


# -- logs


def test_logs_tail_and_streams(docker):
    ended(docker, "talker", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; done; echo err >&2")
    assert docker.run("logs", "talker").stderr == b"err\n"
    assert docker.run("logs", "talker").stdout == b"1\n2\n3\n4\n5\n"
    tail = docker.run("logs", "--tail", "3", "talker")
    assert tail.stdout + tail.stderr == b"4\n5\nerr\n"
    assert docker.run("logs", "--tail", "0", "talker").stdout == b""


def test_logs_timestamps_since_and_until(docker):
    ended(docker, "talker", "sh", "-c", "echo one; sleep 1.2; echo two")
    first, second = docker.ok("logs", "--timestamps", "talker").split("\n")
    assert first.endswith(" one") and second.endswith(" two")
    moment = second.split()[0]
    assert datetime.fromisoformat(first.split()[0][:19]) < datetime.fromisoformat(moment[:19])
    assert docker.ok("logs", "--since", moment, "talker") == "two"
    assert docker.ok("logs", "--until", first.split()[0], "talker") == "one"


def test_logs_follow_ends_with_the_container(docker):
    docker.ok("run", "-d", "--name", "talker", "--net", "none", IMAGE, "sh", "-c", "sleep 0.5; echo late")
    assert docker.ok("logs", "-f", "talker") == "late"


def test_logs_of_a_restarted_container_are_all_there(docker):
    ended(docker, "again", "echo", "hello")
    docker.ok("start", "-a", "again")
    assert docker.ok("logs", "again") == "hello\nhello"


def test_logs_of_nobody(docker):
    assert "No such container: nobody" in docker.fails("logs", "nobody")


def test_logs_without_a_log(docker):
    docker.ok("run", "--name", "mute", "--log-driver", "none", IMAGE, "echo", "x")
    assert "configured logging driver does not support reading" in docker.fails("logs", "mute")


# -- attach


def test_attach_follows_to_the_end(docker):
    script = "read begin; echo seen; exit 4"
    docker.ok("run", "-di", "--name", "talker", "--net", "none", IMAGE, "sh", "-c", script)
    with docker.popen("attach", "talker", stdin=PIPE, stdout=PIPE) as client:
        client.stdin.write(b"now\n")
        client.stdin.flush()
        assert client.stdout.read() == b"seen\n"
        assert client.wait(60) == 4


def test_attach_gives_standard_input(docker):
    docker.ok("run", "-di", "--name", "reader", "--net", "none", IMAGE, "sh", "-c", "read line; echo got $line")
    client = docker.popen("attach", "reader", stdin=PIPE, stdout=PIPE)
    client.stdin.write(b"this\n")
    client.stdin.flush()
    assert client.stdout.readline() == b"got this\n"
    client.communicate(timeout=60)


def test_attach_to_a_stopped_one_is_refused(docker):
    ended(docker, "past", "true")
    assert "cannot attach to a stopped container" in docker.fails("attach", "past")


# -- exec


def test_exec_output_and_code(docker, sleeper):
    done = docker.run("exec", sleeper, "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (done.returncode, done.stdout, done.stderr) == (42, b"out\n", b"err\n")


def test_exec_options(docker, sleeper):
    script = "echo $A; pwd; id -u"
    shown = docker.ok("exec", "-e", "A=b", "-w", "/tmp", "-u", "worker", sleeper, "sh", "-c", script)
    assert shown == "b\n/tmp\n1000"


def test_exec_standard_input(docker, sleeper):
    assert docker.run("exec", "-i", sleeper, "cat", stdin=b"piped\x00\xff").stdout == b"piped\x00\xff"


def test_exec_detached(docker, sleeper):
    docker.ok("exec", "-d", sleeper, "touch", "/made")
    wait_until(lambda: docker.run("exec", sleeper, "test", "-e", "/made").returncode == 0)


def test_exec_of_a_missing_command_is_127(docker, sleeper):
    docker.fails("exec", sleeper, "nonesuch", code=127)
    docker.fails("exec", sleeper, "/no/such/file", code=127)


def test_exec_of_a_file_that_is_no_program_is_126(docker, sleeper):
    docker.fails("exec", sleeper, "/etc/passwd", code=126)


def test_exec_in_a_stopped_container(docker):
    ended(docker, "past", "true")
    assert "is not running" in docker.fails("exec", "past", "true")


def test_exec_killed_by_a_signal(docker, sleeper):
    assert docker.run("exec", sleeper, "sh", "-c", "kill -9 $$").returncode == 137


def test_many_execs_at_once(docker, sleeper):
    clients = [docker.popen("exec", sleeper, "sh", "-c", f"echo {i}; exit {i}", stdout=PIPE) for i in range(12)]
    seen = [(client.stdout.read(), client.wait(60)) for client in clients]
    assert seen == [(b"%d\n" % i, i) for i in range(12)]


# -- stop, kill, restart, wait


def test_stop_sends_the_signal_and_waits(docker, patient):
    assert docker.ok("stop", patient) == patient
    state = docker.inspect(patient)["State"]
    assert (state["Status"], state["ExitCode"], state["Running"], state["Pid"]) == ("exited", 7, False, 0)


def test_stop_kills_after_the_timeout(docker, sleeper):
    docker.ok("stop", "-t", "1", sleeper)
    assert docker.inspect(sleeper)["State"]["ExitCode"] == 137


def test_stop_with_another_signal(docker):
    script = "trap 'exit 5' USR2; echo ready; while :; do sleep 0.05; done"
    docker.ok("run", "-d", "--name", "odd", "--net", "none", IMAGE, "sh", "-c", script)
    wait_until(lambda: docker.ok("logs", "odd") == "ready")
    docker.ok("stop", "-s", "USR2", "odd")
    assert docker.inspect("odd")["State"]["ExitCode"] == 5


def test_stop_of_a_stopped_one_is_fine(docker):
    ended(docker, "past", "true")
    assert docker.ok("stop", "past") == "past"


@pytest.mark.parametrize("given", ["KILL", "SIGKILL", "9"])
def test_kill(docker, sleeper, given):
    docker.ok("kill", "-s", given, sleeper)
    assert docker.ok("wait", sleeper) == "137"


def test_kill_with_a_signal_that_is_handled(docker, patient):
    docker.ok("kill", "-s", "TERM", patient)
    assert docker.ok("wait", patient) == "7"


def test_kill_of_a_stopped_one_is_refused(docker):
    ended(docker, "past", "true")
    assert "is not running" in docker.fails("kill", "past")


def test_kill_with_an_unknown_signal(docker, sleeper):
    assert "invalid signal: NONESUCH" in docker.fails("kill", "-s", "NONESUCH", sleeper)
    assert docker.inspect(sleeper)["State"]["Running"]


def test_restart_of_a_running_one(docker, patient):
    before = docker.inspect(patient)["State"]
    docker.ok("restart", patient)
    after = docker.inspect(patient)["State"]
    assert after["Running"] and after["Pid"] != before["Pid"] and after["StartedAt"] > before["StartedAt"]


def test_restart_of_a_stopped_one(docker):
    ended(docker, "past", "sh", "-c", "echo x >> /count; wc -l < /count")
    docker.ok("restart", "past")
    docker.ok("wait", "past")
    assert docker.ok("logs", "past") == "1\n2"


def test_start_again_keeps_the_file_system(docker):
    ended(docker, "writer", "sh", "-c", "cat /kept 2>/dev/null; echo kept > /kept")
    assert docker.ok("start", "-a", "writer") == "kept"


def test_start_of_several_with_one_missing(docker):
    docker.ok("create", "--name", "good", IMAGE, "sleep", "100")
    assert "No such container: missing" in docker.fails("start", "good", "missing")
    assert docker.inspect("good")["State"]["Running"]


def test_start_of_a_running_one_is_fine(docker, sleeper):
    assert docker.ok("start", sleeper) == sleeper


def test_wait_before_the_end_and_after(docker):
    docker.ok("run", "-d", "--name", "brief", "--net", "none", IMAGE, "sh", "-c", "sleep 0.5; exit 11")
    assert docker.ok("wait", "brief") == "11"
    assert docker.ok("wait", "brief") == "11"


def test_wait_for_several(docker):
    for code in (1, 2):
        docker.ok("run", "-d", "--name", f"c{code}", "--net", "none", IMAGE, "sh", "-c", f"sleep 0.3; exit {code}")
    assert docker.ok("wait", "c1", "c2") == "1\n2"


# -- rename, rm


def test_rename(docker, sleeper):
    docker.ok("rename", sleeper, "other")
    assert docker.inspect("other")["Name"] == "/other"
    assert not docker.exists(sleeper)
    docker.ok("create", "--name", sleeper, IMAGE)


def test_rename_to_a_taken_name(docker, sleeper):
    docker.ok("create", "--name", "taken", IMAGE)
    assert 'name "/taken" is already in use' in docker.fails("rename", sleeper, "taken")


def test_names_must_be_plain(docker):
    assert "Invalid container name (bad/name)" in docker.fails("create", "--name", "bad/name", IMAGE)


def test_short_ids_and_ambiguity(docker, sleeper):
    container = docker.inspect(sleeper)["Id"]
    assert docker.inspect(container[:6])["Id"] == container


def test_rm_of_a_running_one_needs_force(docker, sleeper):
    said = docker.fails("rm", sleeper)
    assert "container is running" in said
    assert docker.ok("rm", "-f", sleeper) == sleeper
    assert not docker.exists(sleeper)


def test_rm_of_nobody(docker):
    assert "No such container: nobody" in docker.fails("rm", "nobody")
    docker.ok("rm", "-f", "nobody")


def test_rm_removes_its_name_at_once(docker):
    for _ in range(5):
        docker.ok("run", "-d", "--name", "again", "--net", "none", IMAGE, "sleep", "100")
        docker.ok("rm", "-f", "again")


# -- inspect


def test_inspect_of_a_container_that_ran(docker):
    ended(docker, "past", "sh", "-c", "exit 3")
    shown = docker.inspect("past")
    assert (shown["Path"], shown["Args"]) == ("sh", ["-c", "exit 3"])
    assert shown["Config"]["Image"] == IMAGE
    assert shown["Image"] == docker.inspect(IMAGE)["Id"]
    assert shown["State"]["StartedAt"] < shown["State"]["FinishedAt"]
    assert shown["HostConfig"]["NetworkMode"] == "none"
    assert shown["RestartCount"] == 0 and shown["Driver"] == "overlay2"


def test_inspect_format_and_size(docker):
    ended(docker, "writer", "sh", "-c", "head -c 100000 /dev/zero > /file")
    shown = docker.json("inspect", "--size", "writer")[0]
    assert 100_000 <= shown["SizeRw"] < 120_000 and shown["SizeRootFs"] > shown["SizeRw"]
    assert docker.ok("inspect", "-f", "{{.State.ExitCode}}", "writer") == "0"


def test_inspect_of_nothing(docker):
    assert "No such object: nothing" in docker.fails("inspect", "nothing")
