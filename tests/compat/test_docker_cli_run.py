"""The docker command line: `run` in all its forms that need no terminal, and its exit codes."""

from __future__ import annotations

import signal
from subprocess import PIPE

import pytest

from rig.waiting import wait_until

IMAGE = "busybox"


def test_foreground_output_on_both_streams(docker):
    done = docker.run("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out\n", b"err\n")


def test_detached_prints_the_id_and_keeps_running(docker):
    container = docker.ok("run", "-d", "--name", "sleeper", IMAGE, "sleep", "100")
    assert len(container) == 64
    state = docker.inspect("sleeper")["State"]
    assert state["Running"] and state["Pid"] > 0 and state["Status"] == "running"
    assert docker.inspect("sleeper")["Id"] == container


def test_rm_removes_after_the_exit(docker):
    assert docker.ok("run", "--rm", "--name", "gone", IMAGE, "echo", "bye") == "bye"
    assert not docker.exists("gone")


def test_detached_rm_removes_after_the_exit(docker):
    docker.ok("run", "-d", "--rm", "--name", "gone", IMAGE, "true")
    wait_until(lambda: not docker.exists("gone"))


@pytest.mark.parametrize("code", [0, 1, 3, 125, 126, 127, 255])
def test_exit_code_of_the_process(docker, code):
    assert docker.run("run", "--rm", IMAGE, "sh", "-c", f"exit {code}").returncode == code


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV", "USR1"])
def test_exit_code_of_a_process_that_a_signal_ended(docker, name):
    number = getattr(signal, f"SIG{name}")
    docker.ok("run", "-d", "--name", "victim", IMAGE, "sh", "-c", "sleep 1000 & exec sleep 1000")
    # The first process of a pid namespace ignores signals that it does not handle, but for KILL from outside.
    docker.ok("kill", "--signal", "KILL", "victim")
    assert docker.ok("wait", "victim") == str(128 + signal.SIGKILL)
    done = docker.run("run", "--rm", "--init", IMAGE, "sh", "-c", f"kill -{name} $$")
    assert done.returncode == 128 + number


def test_125_when_the_engine_refuses(docker):
    docker.ok("create", "--name", "taken", IMAGE)
    said = docker.fails("run", "--name", "taken", IMAGE, "true", code=125)
    assert 'The container name "/taken" is already in use by container' in said


def test_125_for_an_unknown_flag(docker):
    assert "unknown flag: --nonesuch" in docker.fails("run", "--nonesuch", IMAGE, code=125)


def test_126_when_the_command_cannot_be_executed(docker):
    assert "permission denied" in docker.fails("run", "--rm", IMAGE, "/etc/passwd", code=126).lower()


def test_126_when_the_command_is_a_folder(docker):
    docker.fails("run", "--rm", IMAGE, "/etc", code=126)


@pytest.mark.parametrize("command", ["nonesuch", "/no/such/file"])
def test_127_when_there_is_no_such_command(docker, command):
    said = docker.fails("run", "--rm", IMAGE, command, code=127)
    assert "executable file not found" in said or "no such file or directory" in said


def test_a_container_that_could_not_start_stays_as_created(docker):
    docker.fails("run", "--name", "broken", IMAGE, "nonesuch", code=127)
    state = docker.inspect("broken")["State"]
    assert state["Status"] == "created"
    assert state["ExitCode"] == 127
    assert "nonesuch" in state["Error"]


def test_missing_image_is_125(docker):
    said = docker.fails("run", "--pull", "never", "nonesuch:latest", code=125)
    assert "No such image: nonesuch:latest" in said


def test_standard_input(docker):
    done = docker.run("run", "--rm", "-i", IMAGE, "cat", stdin=b"one\ntwo\n\xff\x00")
    assert (done.returncode, done.stdout) == (0, b"one\ntwo\n\xff\x00")


def test_standard_input_ends_when_the_client_closes_it(docker):
    done = docker.run("run", "--rm", "-i", IMAGE, "sh", "-c", "cat >/dev/null; echo whole", stdin=b"x" * 70000)
    assert done.stdout == b"whole\n"


def test_without_i_standard_input_is_empty(docker):
    assert docker.run("run", "--rm", IMAGE, "cat", stdin=b"lost").stdout == b""


def test_attach_only_to_standard_error(docker):
    done = docker.run("run", "--rm", "-a", "stderr", IMAGE, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"", b"err\n")


def test_the_client_passes_signals_on(docker):
    script = "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    client = docker.popen("run", "--rm", IMAGE, "sh", "-c", script, stdout=PIPE)
    assert client.stdout.readline() == b"ready\n"
    client.send_signal(signal.SIGTERM)
    assert client.stdout.read() == b"caught\n"
    assert client.wait(20) == 7


def test_cidfile(docker, tmp_path):
    docker.ok("run", "--name", "named", "--cidfile", str(tmp_path / "cid"), IMAGE, "true")
    assert (tmp_path / "cid").read_text() == docker.inspect("named")["Id"]


# -- options


def output(docker, *arguments):
    return docker.ok("run", "--rm", *arguments)


def test_environment(docker, tmp_path):
    (tmp_path / "env").write_text("FROM_FILE=yes\n")
    shown = output(docker, "-e", "A=b c", "-e", "EMPTY=", "--env-file", str(tmp_path / "env"), IMAGE, "env").split("\n")
    assert {"A=b c", "EMPTY=", "FROM_FILE=yes", "PATH=/bin:/sbin", "HOME=/root"} <= set(shown)


def test_hostname_working_folder_and_user(docker):
    script = "hostname; pwd; id -u; id -g; id -G"
    shown = output(docker, "-h", "boat", "-w", "/some/where", "-u", "worker", IMAGE, "sh", "-c", script).split("\n")
    assert shown[:4] == ["boat", "/some/where", "1000", "1000"]
    assert set(shown[4].split()) == {"1000", "50"}


@pytest.mark.parametrize(("user", "ids"), [("1234", "1234 0"), ("1234:50", "1234 50"), ("nobody:staff", "65534 50")])
def test_user_forms(docker, user, ids):
    assert output(docker, "-u", user, IMAGE, "sh", "-c", "echo $(id -u) $(id -g)") == ids


def test_unknown_user(docker):
    said = docker.fails("run", "--rm", "-u", "nonesuch", IMAGE, "true", code=125)
    assert "unable to find user nonesuch: no matching entries in passwd file" in said


def test_default_hostname_is_the_short_id(docker):
    container = docker.ok("run", "-d", IMAGE, "hostname")
    docker.ok("wait", container)
    assert docker.ok("logs", container) == container[:12]


def test_entrypoint(docker):
    assert output(docker, "--entrypoint", "echo", IMAGE, "a", "b") == "a b"


def test_labels(docker):
    docker.ok("create", "--name", "labelled", "-l", "a=1", "--label", "b", IMAGE)
    assert docker.inspect("labelled")["Config"]["Labels"] == {"a": "1", "b": ""}


def test_bind_mount(docker, tmp_path):
    (tmp_path / "in").write_text("from outside\n")
    script = "cat /shared/in; echo from inside > /shared/out"
    assert output(docker, "-v", f"{tmp_path}:/shared", IMAGE, "sh", "-c", script) == "from outside"
    assert (tmp_path / "out").read_text() == "from inside\n"


def test_read_only_bind_mount(docker, tmp_path):
    script = "echo x > /shared/out"
    done = docker.run("run", "--rm", "-v", f"{tmp_path}:/shared:ro", IMAGE, "sh", "-c", script)
    assert done.returncode == 1 and b"Read-only file system" in done.stderr


def test_mount_syntax_wants_an_existing_source(docker, tmp_path):
    mount = f"type=bind,source={tmp_path}/nonesuch,target=/x"
    said = docker.fails("run", "--rm", "--mount", mount, IMAGE, "true", code=125)
    assert "bind source path does not exist" in said


def test_bind_of_a_missing_folder_makes_it(docker, tmp_path):
    output(docker, "-v", f"{tmp_path}/new:/x", IMAGE, "true")
    assert (tmp_path / "new").is_dir()


def test_read_only_root_and_tmpfs(docker):
    script = "echo x > /tmp/ok && cat /tmp/ok; echo y > /file"
    done = docker.run("run", "--rm", "--read-only", "--tmpfs", "/tmp:size=1m", IMAGE, "sh", "-c", script)
    assert done.stdout == b"x\n" and b"Read-only file system" in done.stderr


def test_tmpfs_size(docker):
    assert "1.0M" in output(docker, "--tmpfs", "/t:size=1m", IMAGE, "df", "-h", "/t")


def effective_capabilities(docker, *arguments):
    status = output(docker, *arguments, IMAGE, "grep", "CapEff", "/proc/self/status")
    return int(status.split()[1], 16)


def test_capabilities(docker):
    net_raw, chown, sys_time = 1 << 13, 1 << 0, 1 << 25
    default = effective_capabilities(docker)
    assert default == 0xA80425FB
    assert effective_capabilities(docker, "--cap-drop", "ALL") == 0
    assert effective_capabilities(docker, "--cap-drop", "ALL", "--cap-add", "CHOWN") == chown
    assert effective_capabilities(docker, "--cap-drop", "NET_RAW") == default & ~net_raw
    assert effective_capabilities(docker, "--cap-add", "SYS_TIME") == default | sys_time


def test_privileged_sees_devices_and_writes_sysfs(docker):
    assert "loop-control" in output(docker, "--privileged", IMAGE, "ls", "/dev")
    assert "loop-control" not in output(docker, IMAGE, "ls", "/dev")


def test_seccomp_default_profile_is_on(docker):
    assert output(docker, IMAGE, "grep", "Seccomp:", "/proc/self/status").split()[1] == "2"
    unconfined = output(docker, "--security-opt", "seccomp=unconfined", IMAGE, "grep", "Seccomp:", "/proc/self/status")
    assert unconfined.split()[1] == "0"


def test_masked_paths(docker):
    masked = "kcore keys latency_stats timer_list timer_stats sched_debug interrupts"
    script = f"cd /proc; for name in {masked}; do [ ! -e $name ] || cat $name; done; ls -A acpi scsi /sys/firmware"
    lines = docker.run("run", "--rm", IMAGE, "sh", "-c", script).stdout.decode().split("\n")
    assert [line for line in lines if line and not line.endswith(":")] == []


def test_read_only_paths(docker):
    done = docker.run("run", "--rm", IMAGE, "sh", "-c", "echo 1 > /proc/sys/vm/swappiness")
    assert done.returncode == 1 and b"Read-only file system" in done.stderr


def cgroup_value(docker, flags, v1, v2):
    script = f"cat /sys/fs/cgroup/{v2} 2>/dev/null || cat /sys/fs/cgroup/{v1}"
    return output(docker, *flags, IMAGE, "sh", "-c", script)


def test_memory_limit(docker):
    assert cgroup_value(docker, ["-m", "32m"], "memory/memory.limit_in_bytes", "memory.max") == str(32 << 20)


def test_pids_limit(docker):
    assert cgroup_value(docker, ["--pids-limit", "77"], "pids/pids.max", "pids.max") == "77"


def test_cpus(docker):
    value = cgroup_value(docker, ["--cpus", "0.5"], "cpu/cpu.cfs_quota_us", "cpu.max")
    assert value.split()[0] == "50000"


def test_out_of_memory_is_seen(docker):
    docker.run("run", "--name", "hungry", "-m", "16m", "--memory-swap", "16m", IMAGE, "sh", "-c", "tail /dev/zero")
    state = docker.inspect("hungry")["State"]
    assert state["OOMKilled"] is True and state["ExitCode"] == 137


def test_ulimits(docker):
    assert output(docker, "--ulimit", "nofile=512:1024", IMAGE, "sh", "-c", "ulimit -n; ulimit -Hn") == "512\n1024"


def test_init(docker):
    assert "init" in output(docker, "--init", IMAGE, "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '")


def test_stop_signal_and_timeout(docker):
    script = "trap 'exit 9' USR1; echo ready; while :; do sleep 0.1; done"
    flags = ["--stop-signal", "USR1", "--stop-timeout", "30"]
    docker.ok("run", "-d", "--name", "polite", *flags, IMAGE, "sh", "-c", script)
    wait_until(lambda: docker.ok("logs", "polite"))
    docker.ok("stop", "polite")
    assert docker.ok("wait", "polite") == "9"


# -- networks


def test_network_none_has_only_loopback(docker):
    assert output(docker, "--net", "none", IMAGE, "ls", "/sys/class/net").split() == ["lo"]


def test_network_host_is_the_engines(docker):
    mine = output(docker, "--net", "host", IMAGE, "readlink", "/proc/self/ns/net")
    assert mine == output(docker, "--net", "host", IMAGE, "readlink", "/proc/self/ns/net")
    assert mine != output(docker, IMAGE, "readlink", "/proc/self/ns/net")


def test_network_of_another_container(docker):
    docker.ok("run", "-d", "--name", "first", IMAGE, "sleep", "100")
    theirs = docker.ok("exec", "first", "readlink", "/proc/self/ns/net")
    assert output(docker, "--net", "container:first", IMAGE, "readlink", "/proc/self/ns/net") == theirs


def test_bridge_has_an_address_and_reaches_its_gateway(docker):
    script = "ip -o -4 addr show dev eth0 && ping -c 1 -w 5 $(ip route | awk '/default/ {print $3}')"
    assert " 0% packet loss" in output(docker, IMAGE, "sh", "-c", script)


def test_bridge_address_is_in_inspect_and_hosts(docker):
    docker.ok("run", "-d", "--name", "addressed", "-h", "boat", IMAGE, "sleep", "100")
    address = docker.inspect("addressed")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert address in docker.ok("exec", "addressed", "ip", "-o", "-4", "addr", "show", "dev", "eth0")
    assert f"{address}\tboat" in docker.ok("exec", "addressed", "cat", "/etc/hosts")


def test_containers_on_the_bridge_reach_each_other(docker):
    docker.ok("run", "-d", "--name", "server", IMAGE, "sh", "-c", "while :; do echo hello | nc -l -p 9000; done")
    address = docker.inspect("server")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    script = f"until nc -w 2 {address} 9000; do sleep 0.1; done"
    assert output(docker, IMAGE, "timeout", "20", "sh", "-c", script) == "hello"
