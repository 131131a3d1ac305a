"""The same calls to a genuine dockerd and to sampand must get the same answers, but for what `EXPECTED` lists.

`READS` are calls on a standing set of containers (`made`: created, `runner`: running, `past`: ended with 3) that
change nothing. `CASES` are sequences. Where the two disagree on purpose, `EXPECTED` says so with the reason.
"""

from __future__ import annotations

import io
import tarfile
import time
import urllib.parse

import pytest

from rig.differential import Difference, Judge, Observation, Session, clean, filtered, window
from rig.engines import TEST_HOST
from rig.waiting import wait_until

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


GARBAGE = (
    r"GET /events\?(since|until)=garbage"
    r"|POST /containers/\w+/(stop|restart)\?t=\w+"
    r"|GET /containers/json\?limit=garbage"
    r"|GET /containers/past/logs\?stdout=1&(since|until|tail)=garbage"
    r"|POST /containers/runner/resize.*"
)
EXPECTED = (
    Difference("what is malformed is said in our words", r"\.message", r"POST /\w+/prune\?filters=.*"),
    Difference("the runtime's words of a folder that is not there", "body", r"POST /exec/<id8>/start"),
    Difference("what is wrong with the keys is said", r"\.message", "POST /containers/alpha/exec"),
    Difference(
        "another program", r"\.(Version|GitCommit|GoVersion|BuildTime|Platform\.Name|Components.*)", "GET /version"
    ),
    Difference(
        "describes the engine; what clients use is compared in the tests of the command line", ".*", "GET /info"
    ),
    Difference("crun is the default runtime", r"\.HostConfig\.Runtime"),
    Difference("a name of its own means nothing in a network without names", r".*\.Networks\.none\.DNSNames.*"),
    Difference("the words name no folder of ours", r"\.message", r"POST /containers/create\?name=place"),
    Difference("what could never be started is refused at once", ".*", r"POST /containers/create\?name=early"),
    Difference("layers lie elsewhere", r"\.GraphDriver\.Data\..*"),
    Difference(
        "the namespace has no name in a folder; its process's entry reaches it", r"\.NetworkSettings\.SandboxKey"
    ),
    Difference("what was sent is wrong, so it is a 400 that says how it is written", r"status|\.message", GARBAGE),
    Difference("garbage for a number of lines is refused, not taken as all", ".*", r"GET .*/logs\?.*tail=garbage"),
    Difference("a filter that is not known is refused, not ignored", ".*", r'GET /events\?.*filters=\{"nonesuch".*'),
    Difference("a tag without a name is refused, not ignored", ".*", "POST /images/busybox/tag"),
    Difference("the words of the HTTP client differ", r"\.message", r"POST /images/create\?fromSrc=garbage"),
    Difference("a conflict with the container's own name is a 409", "status", r"DELETE .*link=1"),
    Difference("the archive is described, not the daemon's temporary file", r"\.error.*", "POST /images/load.*"),
    Difference("the platform's form is explained", r"\.message", r"POST .*platform=garbage//"),
    Difference(
        "a user or group that is not in the image is a mistake in the request",
        "status",
        "POST /containers/(user|group)/start",
    ),
    Difference(
        "nothing to create from: the request is wrong, and no host is asked", r"status|\.message", "POST /images/create"
    ),
)


JUDGE = Judge(EXPECTED)
EXISTING = ("made", "runner", "past")

READS = [
    # system
    ("GET", "/_ping"),
    ("HEAD", "/_ping"),
    ("GET", "/version"),
    ("GET", "/info"),
    ("GET", "/nonesuch"),
    ("POST", "/_ping"),
    ("PUT", "/containers/json"),
    ("DELETE", "/version"),
    ("GET", "/containers"),
    ("GET", "/events?since=1&until=2"),
    ("GET", "/events?since=5&until=2"),
    ("GET", "/events?since=garbage"),
    ("GET", "/events?until=garbage"),
    ("GET", filtered("/events?until=1", "garbage")),
    ("GET", filtered("/events?until=1", '{"nonesuch":["x"]}')),
    # list
    ("GET", "/containers/json"),
    ("GET", "/containers/json?all=1"),
    ("GET", "/containers/json?all=true&limit=1"),
    ("GET", "/containers/json?all=True"),
    ("GET", "/containers/json?all=garbage"),
    ("GET", "/containers/json?limit=garbage"),
    ("GET", "/containers/json?limit=-1"),
    ("GET", "/containers/json?limit=2"),
    ("GET", filtered("/containers/json?all=1", '{"name":["made"]}')),
    ("GET", filtered("/containers/json?all=1", '{"name":{"made":true}}')),
    ("GET", filtered("/containers/json", '{"status":["exited"]}')),
    ("GET", filtered("/containers/json", '{"status":["created","running"]}')),
    ("GET", filtered("/containers/json", '{"status":["nonesuch"]}')),
    ("GET", filtered("/containers/json?all=1", '{"exited":["3"]}')),
    ("GET", filtered("/containers/json?all=1", '{"exited":["x"]}')),
    ("GET", filtered("/containers/json?all=1", '{"label":["kind"]}')),
    ("GET", filtered("/containers/json?all=1", '{"label":["kind=test","other"]}')),
    ("GET", filtered("/containers/json?all=1", '{"ancestor":["busybox"]}')),
    ("GET", filtered("/containers/json?all=1", '{"ancestor":["nonesuch"]}')),
    ("GET", filtered("/containers/json?all=1", '{"before":["past"]}')),
    ("GET", filtered("/containers/json?all=1", '{"since":["made"]}')),
    ("GET", filtered("/containers/json?all=1", '{"since":["nobody"]}')),
    ("GET", filtered("/containers/json?all=1", '{"health":["none"]}')),
    ("GET", filtered("/containers/json?all=1", '{"is-task":["false"]}')),
    ("GET", filtered("/containers/json?all=1", '{"network":["none"]}')),
    ("GET", filtered("/containers/json?all=1", '{"volume":["nonesuch"]}')),
    ("GET", filtered("/containers/json?all=1", '{"nonesuch":["x"]}')),
    ("GET", filtered("/containers/json", "garbage")),
    ("GET", filtered("/containers/json", "[]")),
    ("GET", filtered("/containers/json", "")),
    ("GET", filtered("/containers/json", "{}")),
    ("GET", filtered("/containers/json", "null")),
    # inspect
    *(("GET", f"/containers/{name}/json") for name in EXISTING),
    ("GET", "/containers/nobody/json"),
    ("GET", "/containers/nobody/json?size=1"),
    ("GET", "/containers/ma/json"),
    ("GET", "/containers/%2Fmade/json"),
    # refusals on containers
    ("POST", "/containers/nobody/start"),
    ("POST", "/containers/runner/start"),
    ("POST", "/containers/nobody/stop"),
    ("POST", "/containers/past/stop"),
    ("POST", "/containers/made/stop"),
    ("POST", "/containers/past/stop?t=garbage"),
    ("POST", "/containers/nobody/restart"),
    ("POST", "/containers/nobody/kill"),
    ("POST", "/containers/past/kill"),
    ("POST", "/containers/made/kill"),
    ("POST", "/containers/runner/kill?signal=NONESUCH"),
    ("POST", "/containers/runner/kill?signal=0"),
    ("POST", "/containers/runner/kill?signal=99"),
    ("POST", "/containers/runner/kill?signal=-1"),
    ("POST", "/containers/runner/kill?signal=SIGCONT"),
    ("POST", "/containers/runner/kill?signal=winch"),
    ("POST", "/containers/nobody/wait"),
    ("POST", "/containers/past/wait"),
    ("POST", "/containers/past/wait?condition=not-running"),
    ("POST", "/containers/past/wait?condition=nonesuch"),
    ("POST", "/containers/made/wait"),
    ("POST", "/containers/nobody/rename?name=other"),
    ("POST", "/containers/made/rename"),
    ("POST", "/containers/made/rename?name="),
    ("POST", "/containers/made/rename?name=made"),
    ("POST", "/containers/made/rename?name=runner"),
    ("POST", "/containers/made/rename?name=bad/name"),
    ("POST", "/containers/made/rename?name=other"),
    ("POST", "/containers/other/rename?name=made"),
    ("DELETE", "/containers/nobody"),
    ("DELETE", "/containers/runner"),
    ("DELETE", "/containers/runner?link=1"),
    ("DELETE", "/containers/made?force=garbage&link=1"),
    ("POST", "/containers/nobody/resize?h=10&w=10"),
    ("POST", "/containers/past/resize?h=10&w=10"),
    ("POST", "/containers/runner/resize?h=garbage&w=10"),
    ("POST", "/containers/runner/resize"),
    ("POST", "/containers/nobody/attach?stream=1"),
    # logs
    ("GET", "/containers/past/logs?stdout=1&stderr=1"),
    ("GET", "/containers/past/logs?stdout=1"),
    ("GET", "/containers/past/logs?stderr=1"),
    ("GET", "/containers/past/logs"),
    ("GET", "/containers/past/logs?stdout=1&tail=1"),
    ("GET", "/containers/past/logs?stdout=1&tail=0"),
    ("GET", "/containers/past/logs?stdout=1&tail=all"),
    ("GET", "/containers/past/logs?stdout=1&tail=garbage"),
    ("GET", "/containers/past/logs?stdout=1&tail=-5"),
    ("GET", "/containers/past/logs?stdout=1&since=9999999999"),
    ("GET", "/containers/past/logs?stdout=1&until=1"),
    ("GET", "/containers/past/logs?stdout=1&since=garbage"),
    ("GET", "/containers/past/logs?stdout=1&until=garbage"),
    ("GET", "/containers/past/logs?stdout=1&timestamps=1"),
    ("GET", "/containers/past/logs?stdout=1&details=1"),
    ("GET", "/containers/past/logs?stdout=1&follow=1"),
    ("GET", "/containers/made/logs?stdout=1"),
    ("GET", "/containers/nobody/logs?stdout=1"),
    # exec
    ("POST", "/containers/nobody/exec"),
    ("GET", "/exec/nonesuch/json"),
    ("POST", "/exec/nonesuch/start"),
    ("POST", "/exec/nonesuch/resize?h=1&w=1"),
    # images
    ("GET", "/images/json"),
    ("GET", "/images/json?all=1"),
    ("GET", "/images/json?digests=1"),
    ("GET", filtered("/images/json", '{"reference":["busy*"]}')),
    ("GET", filtered("/images/json", '{"reference":["nonesuch"]}')),
    ("GET", filtered("/images/json", '{"dangling":["true"]}')),
    ("GET", filtered("/images/json", '{"dangling":["garbage"]}')),
    ("GET", filtered("/images/json", '{"label":["kind"]}')),
    ("GET", filtered("/images/json", '{"before":["nonesuch"]}')),
    ("GET", filtered("/images/json", '{"nonesuch":["x"]}')),
    ("GET", filtered("/images/json", "garbage")),
    ("GET", "/images/busybox/json"),
    ("GET", "/images/busybox:latest/json"),
    ("GET", "/images/docker.io/library/busybox:latest/json"),
    ("GET", "/images/nonesuch/json"),
    ("GET", "/images/no/such:tag/json"),
    ("GET", "/images/UPPER/json"),
    ("GET", "/images/busybox/history"),
    ("GET", "/images/nonesuch/history"),
    ("POST", "/images/nonesuch/tag?repo=x"),
    ("POST", "/images/busybox/tag?repo=UPPER"),
    ("POST", "/images/busybox/tag?repo=x&tag=bad%20tag"),
    ("POST", "/images/busybox/tag"),
    ("DELETE", "/images/nonesuch"),
    ("DELETE", "/images/busybox"),
    ("GET", "/images/nonesuch/get"),
    ("GET", "/images/get?names=nonesuch"),
    ("POST", "/images/create"),
    ("POST", "/images/create?fromSrc=garbage"),
]

# Documents that create must refuse, or take although they look odd.
CREATE = {
    "nothing": b"",
    "no_json": b"garbage",
    "cut_json": b'{"Image":"busybox"',
    "trailing_data": b'{"Image":"busybox"} x',
    "two_documents": b'{"Image":"busybox"}{}',
    "a_list": [],
    "a_null": b"null",
    "empty": {},
    "no_image": {"Cmd": ["true"]},
    "missing_image": {"Image": "nonesuch"},
    "bad_image_name": {"Image": "UPPER"},
    "wrong_type": {"Image": 5},
    "wrong_type_inside": {"Image": "busybox", "HostConfig": {"Memory": "lots"}},
    "keys_in_another_case": {"image": "busybox", "CMD": ["true"]},
    "command_as_text": {"Image": "busybox", "Cmd": "true"},
    "entrypoint_as_text": {"Image": "busybox", "Entrypoint": "true"},
    "unknown_fields": {"Image": "busybox", "Nonesuch": 1},
    "empty_command": {"Image": "busybox", "Cmd": []},
    "relative_working_folder": {"Image": "busybox", "WorkingDir": "x"},
    "too_little_memory": {"Image": "busybox", "HostConfig": {"Memory": 1000}},
    "negative_memory": {"Image": "busybox", "HostConfig": {"Memory": -5}},
    "swap_below_memory": {"Image": "busybox", "HostConfig": {"Memory": 2**26, "MemorySwap": 2**25}},
    "swap_without_memory": {"Image": "busybox", "HostConfig": {"MemorySwap": 2**25}},
    "too_many_cpus": {"Image": "busybox", "HostConfig": {"NanoCpus": 10**12}},
    "cpus_and_quota": {"Image": "busybox", "HostConfig": {"NanoCpus": 10**9, "CpuQuota": 5000}},
    "bad_network": {"Image": "busybox", "HostConfig": {"NetworkMode": "container:nobody"}},
    "empty_network_container": {"Image": "busybox", "HostConfig": {"NetworkMode": "container:"}},
    "bad_restart_policy": {"Image": "busybox", "HostConfig": {"RestartPolicy": {"Name": "nonesuch"}}},
    "retries_without_on_failure": {
        "Image": "busybox",
        "HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}},
    },
    "restart_and_auto_remove": {
        "Image": "busybox",
        "HostConfig": {"RestartPolicy": {"Name": "always"}, "AutoRemove": True},
    },
    "relative_bind": {"Image": "busybox", "HostConfig": {"Binds": ["/tmp:relative"]}},
    "bind_to_root": {"Image": "busybox", "HostConfig": {"Binds": ["/tmp:/"]}},
    "bad_bind_mode": {"Image": "busybox", "HostConfig": {"Binds": ["/tmp:/x:nonesuch"]}},
    "bad_bind_form": {"Image": "busybox", "HostConfig": {"Binds": ["/tmp:/x:ro:y"]}},
    "same_target_twice": {"Image": "busybox", "HostConfig": {"Binds": ["/tmp:/x", "/var:/x"]}},
    "bad_mount_type": {"Image": "busybox", "HostConfig": {"Mounts": [{"Type": "nonesuch", "Target": "/x"}]}},
    "mount_without_target": {"Image": "busybox", "HostConfig": {"Mounts": [{"Type": "tmpfs"}]}},
    "mount_of_missing_source": {
        "Image": "busybox",
        "HostConfig": {"Mounts": [{"Type": "bind", "Source": "/no/such", "Target": "/x"}]},
    },
    "bad_capability": {"Image": "busybox", "HostConfig": {"CapAdd": ["NONESUCH"]}},
    "bad_log_option": {
        "Image": "busybox",
        "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"nonesuch": "1"}}},
    },
    "bad_stop_signal": {"Image": "busybox", "StopSignal": "NONESUCH"},
    "bad_runtime": {"Image": "busybox", "HostConfig": {"Runtime": "nonesuch"}},
    "bad_port": {"Image": "busybox", "ExposedPorts": {"garbage/tcp": {}}},
    "bad_environment": {"Image": "busybox", "Env": ["=x"]},
    "bad_ipc_mode": {"Image": "busybox", "HostConfig": {"IpcMode": "nonesuch"}},
    "bad_pid_mode": {"Image": "busybox", "HostConfig": {"PidMode": "nonesuch"}},
    "bad_security_option": {"Image": "busybox", "HostConfig": {"SecurityOpt": ["nonesuch=1"]}},
    "hostname_with_host_network": {"Image": "busybox", "Hostname": "x", "HostConfig": {"NetworkMode": "host"}},
    "long_hostname": {"Image": "busybox", "Hostname": "x" * 70},
    "bad_ulimit": {"Image": "busybox", "HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": 20, "Hard": 10}]}},
    "bad_tmpfs_option": {"Image": "busybox", "HostConfig": {"Tmpfs": {"/x": "nonesuch"}}},
    "init_and_labels": {"Image": "busybox", "Labels": {"a": "b"}, "HostConfig": {"Init": True}},
}


@case
def create_names(s):
    for name in ("good-name_1.x", "a", "-bad", "_bad", "bad name", "bad/name", "%C3%BC"):
        s.post(f"/containers/create?name={urllib.parse.quote(name)}", {"Image": "busybox"})
    s.post("/containers/create?name=good-name_1.x", {"Image": "busybox"})


@case
def create_platforms(s):
    s.post("/containers/create?name=alpha&platform=linux/amd64", {"Image": "busybox"})
    s.post("/containers/create?name=beta&platform=garbage//", {"Image": "busybox"})
    s.post("/containers/create?name=gamma&platform=linux/arm64", {"Image": "busybox"})


@case
def life_of_a_container(s):
    s.post("/containers/create?name=alpha", {"Image": "busybox", "Cmd": ["sleep", "100"]})
    s.get("/containers/alpha/json")
    s.post("/containers/alpha/start")
    s.get("/containers/alpha/json")
    s.get("/containers/json")
    s.post("/containers/alpha/kill")
    s.post("/containers/alpha/wait")
    s.get("/containers/alpha/json")
    s.delete("/containers/alpha")
    s.get("/containers/alpha/json")


@case
def exit_codes(s):
    for code in (0, 1, 127, 255):
        s.run_to_end(f"code{code}", "sh", "-c", f"exit {code}")


@case
def start_refusals(s):
    s.run("missing", "nonesuch")
    s.get("/containers/missing/json")
    s.run("absolute", "/no/such")
    s.run("folder", "/etc")
    s.run("file", "/etc/passwd")
    s.run("place", "true", WorkingDir="/etc/passwd/x")
    s.run("user", "true", User="nobody-knows")
    s.run("group", "true", User="root:nobody-knows")


@case
def start_with_a_body(s):
    s.post(
        "/containers/create?name=alpha",
        {"Image": "busybox", "Cmd": ["sleep", "9"], "HostConfig": {"NetworkMode": "none"}},
    )
    s.post("/containers/alpha/start", {"NetworkMode": "host"})
    s.post("/containers/alpha/start", {})
    s.get("/containers/json")


@case
def image_defaults_are_merged(s):
    s.post("/containers/create?name=alpha", {"Image": "busybox", "Env": ["A=1"], "HostConfig": {"NetworkMode": "none"}})
    s.get("/containers/alpha/json")


@case
def everything_set(s):
    s.post(
        "/containers/create?name=alpha",
        {
            "Image": "busybox",
            "Cmd": ["-c", "echo hi"],
            "Entrypoint": ["sh"],
            "Env": ["A=1", "PATH=/bin"],
            "Hostname": "boat",
            "Domainname": "sea",
            "User": "1000:50",
            "WorkingDir": "/tmp",
            "Labels": {"a": "b"},
            "StopSignal": "SIGUSR1",
            "StopTimeout": 3,
            "Tty": True,
            "OpenStdin": True,
            "StdinOnce": True,
            "AttachStdin": True,
            "HostConfig": {
                "NetworkMode": "none",
                "Memory": 2**25,
                "MemorySwap": 2**26,
                "NanoCpus": 5 * 10**8,
                "PidsLimit": 50,
                "ReadonlyRootfs": True,
                "Tmpfs": {"/run": "size=1m"},
                "CapAdd": ["SYS_TIME"],
                "CapDrop": ["net_raw"],
                "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
                "Binds": ["/tmp:/outside:ro"],
                "Init": True,
                "ShmSize": 2**20,
                "GroupAdd": ["50"],
            },
        },
    )
    s.get("/containers/alpha/json")
    s.get("/containers/json?all=1")


@case
def networks_of_containers(s):
    for mode in ("default", "bridge", "none", "host", ""):
        name = mode or "empty"
        s.post(
            f"/containers/create?name={name}",
            {"Image": "busybox", "Cmd": ["sleep", "9"], "HostConfig": {"NetworkMode": mode}},
        )
        s.get(f"/containers/{name}/json")
        s.post(f"/containers/{name}/start")
        s.get(f"/containers/{name}/json")


@case
def network_of_another(s):
    s.run("first", "sleep", "9")
    s.run("second", "sleep", "9", HostConfig={"NetworkMode": "container:first"})
    s.get("/containers/second/json")
    s.post("/containers/first/kill")
    s.run("third", "true", HostConfig={"NetworkMode": "container:first"})


@case
def stop_codes(s):
    s.run("alpha", "sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done")
    wait_until(lambda: b"ready" in s.client.get("/containers/alpha/logs?stdout=1").body, "the shell has set its trap")
    s.post("/containers/alpha/stop?t=30")
    s.get("/containers/alpha/json")
    s.post("/containers/alpha/stop")
    s.run("beta", "sleep", "9")
    s.post("/containers/beta/stop?t=0")
    s.get("/containers/beta/json")


@case
def kill_and_state(s):
    s.run("alpha", "sleep", "9")
    s.post("/containers/alpha/kill?signal=SIGKILL")
    s.post("/containers/alpha/wait")
    s.get("/containers/alpha/json")
    s.post("/containers/alpha/kill")
    s.post("/containers/alpha/start")
    s.get("/containers/alpha/json")


@case
def restart(s):
    s.run("alpha", "sleep", "9")
    s.post("/containers/alpha/restart?t=0")
    s.get("/containers/alpha/json")
    s.run_to_end("beta", "true")
    s.post("/containers/beta/restart")
    s.post("/containers/beta/wait")
    s.post("/containers/beta/restart?t=x")


@case
def wait_conditions(s):
    s.post(
        "/containers/create?name=alpha", {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
    )
    s.post("/containers/alpha/wait?condition=not-running")
    s.post("/containers/alpha/start")
    s.post("/containers/alpha/wait?condition=not-running")
    s.post("/containers/alpha/wait?condition=")
    s.post("/containers/alpha/wait?condition=garbage")


@case
def auto_remove(s):
    s.post(
        "/containers/create?name=alpha",
        {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", "AutoRemove": True}},
    )
    s.client.send("POST", "/containers/alpha/wait?condition=removed")
    with s.engine.client() as other:
        other.post("/containers/alpha/start")
    answer = s.client.head()
    assert b"".join(s.client.stream(answer)).startswith(b'{"StatusCode":0')
    s.get("/containers/alpha/json")


@case
def remove_rules(s):
    s.run("alpha", "sleep", "9")
    s.delete("/containers/alpha")
    s.delete("/containers/alpha?force=1")
    s.delete("/containers/alpha?force=1")
    s.run_to_end("beta", "true")
    s.delete("/containers/beta?v=1")
    s.get("/containers/json?all=1")


@case
def rename(s):
    s.run("alpha", "sleep", "9")
    s.post("/containers/alpha/rename?name=beta")
    s.get("/containers/beta/json")
    s.get("/containers/alpha/json")
    s.post("/containers/create?name=alpha", {"Image": "busybox"})
    s.post("/containers/beta/rename?name=/gamma")
    s.get("/containers/json?all=1")


@case
def logs_both_streams(s):
    s.run_to_end("alpha", "sh", "-c", "echo 1; sleep 0.05; echo 2 >&2; sleep 0.05; echo 3; printf end")
    for flags in ("stdout=1&stderr=1", "stdout=1", "stderr=1", "stdout=1&stderr=1&tail=2", "stdout=true&timestamps=1"):
        s.get(f"/containers/alpha/logs?{flags}")


@case
def logs_of_a_terminal(s):
    s.run_to_end("alpha", "sh", "-c", "echo 1; echo 2 >&2", Tty=True)
    s.get("/containers/alpha/logs?stdout=1&stderr=1")
    s.get("/containers/alpha/logs?stderr=1")


@case
def logs_of_a_container_without_a_log(s):
    s.run_to_end("alpha", "echo", "x", HostConfig={"LogConfig": {"Type": "none"}})
    s.get("/containers/alpha/logs?stdout=1")


@case
def logs_of_odd_lines(s):
    s.run_to_end("alpha", "printf", "\\n\\n\\ttab \\\\ \\042quote\\042 <>&\\n\\001\\033[0m\\nno end")
    s.get("/containers/alpha/logs?stdout=1")


@case
def logs_of_a_long_line(s):
    s.run_to_end("alpha", "sh", "-c", "head -c 40000 /dev/zero | tr '\\0' y; echo; echo z")
    s.get("/containers/alpha/logs?stdout=1")
    s.get("/containers/alpha/logs?stdout=1&tail=1")


@case
def local_log_driver(s):
    s.run_to_end("alpha", "echo", "x", HostConfig={"LogConfig": {"Type": "local", "Config": {"max-size": "1m"}}})
    s.get("/containers/alpha/logs?stdout=1")
    s.get("/containers/alpha/json")


@case
def exec_documents(s):
    s.run("alpha", "sleep", "100")
    for document in ({}, {"Cmd": []}, {"Cmd": "true"}, {"Cmd": ["true"], "User": "nobody-knows"}, b"garbage", b""):
        s.post("/containers/alpha/exec", document)


def run_exec(s, name, document):
    """Create and run an exec, detached, and inspect it when it ended."""
    made = s.post(f"/containers/{name}/exec", document)
    s.post(f"/exec/{made['Id']}/start", {"Detach": True})
    while s.quietly("GET", f"/exec/{made['Id']}/json")["Running"]:
        pass
    s.get(f"/exec/{made['Id']}/json")
    return made["Id"]


@case
def exec_life(s):
    s.run("alpha", "sleep", "100")
    made = s.post(
        "/containers/alpha/exec", {"Cmd": ["sh", "-c", "exit 5"], "Env": ["A=1"], "WorkingDir": "/tmp", "User": "1000"}
    )
    s.get(f"/exec/{made['Id']}/json")
    s.get("/containers/alpha/json")
    identity = run_exec(s, "alpha", {"Cmd": ["sh", "-c", "exit 5"]})
    s.post(f"/exec/{identity}/start", {"Detach": True})


@case
def exec_output(s):
    s.run("alpha", "sleep", "100")
    for tty in (False, True):
        wanted = {
            "Cmd": ["sh", "-c", "echo 1; sleep 0.05; echo 2 >&2"],
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": tty,
        }
        made = s.post("/containers/alpha/exec", wanted)
        s.post(f"/exec/{made['Id']}/start", {"Detach": False, "Tty": tty})
        s.get(f"/exec/{made['Id']}/json")


@case
def exec_failures(s):
    s.run("alpha", "sleep", "100")
    for command in ("nonesuch", "/no/such", "/etc", "/etc/passwd"):
        made = s.post("/containers/alpha/exec", {"Cmd": [command]})
        s.post(f"/exec/{made['Id']}/start", {"Detach": True})
        s.get(f"/exec/{made['Id']}/json")


@case
def exec_in_stopped_ones(s):
    s.run_to_end("alpha", "true")
    s.post("/containers/alpha/exec", {"Cmd": ["true"]})
    s.post("/containers/create?name=beta", {"Image": "busybox"})
    s.post("/containers/beta/exec", {"Cmd": ["true"]})
    s.run("gamma", "sleep", "100")
    made = s.post("/containers/gamma/exec", {"Cmd": ["true"]})
    s.post("/containers/gamma/kill")
    s.post("/containers/gamma/wait")
    s.post(f"/exec/{made['Id']}/start", {"Detach": True})
    s.get(f"/exec/{made['Id']}/json")


@case
def out_of_memory(s):
    s.run_to_end("alpha", "tail", "/dev/zero", HostConfig={"Memory": 2**24, "MemorySwap": 2**24})
    s.get("/containers/alpha/json")


@case
def tags(s):
    s.post("/images/busybox/tag?repo=x/y&tag=1")
    s.get("/images/json")
    s.get("/images/x/y:1/json")
    s.get(filtered("/images/json", '{"reference":["x/*"]}'))
    s.delete("/images/x/y:1")
    s.get("/images/x/y:1/json")


@case
def untagging_by_id(s):
    identity = s.quietly("GET", "/images/busybox/json")["Id"]
    s.post("/images/busybox/tag?repo=x&tag=1")
    s.delete(f"/images/{identity}")
    s.delete("/images/x:1")


@case
def image_in_use(s):
    s.post("/images/busybox/tag?repo=x&tag=1")
    s.post("/containers/create?name=alpha", {"Image": "x:1"})
    s.delete("/images/x:1")
    s.get("/containers/json?all=1")
    s.get("/containers/alpha/json")


@case
def load_garbage(s):
    for data in (b"", b"garbage", b"\0" * 10240):
        s.call("POST", "/images/load?quiet=1", data, {"Content-Type": "application/x-tar"})


@case
def events_of_a_life(s):
    began = time.time()
    s.run_to_end("alpha", "true", Labels={"k": "v"})
    s.post("/containers/alpha/rename?name=beta")
    s.delete("/containers/beta")
    s.get(filtered(window(began), '{"type":["container"]}'))


@case
def events_of_signals_and_execs(s):
    began = time.time()
    s.run("alpha", "sleep", "100")
    run_exec(s, "alpha", {"Cmd": ["true"]})
    s.post("/containers/alpha/kill")
    s.post("/containers/alpha/wait")
    s.get(filtered(window(began), '{"type":["container"]}'))


@case
def events_of_images(s):
    began = time.time()
    s.post("/images/busybox/tag?repo=x&tag=1")
    s.delete("/images/x:1")
    s.get(window(began))


@case
def versions(s):
    current = s.client.version
    for version in ("", "/v1.24", "/v1.41", "/v1.51", "/v1.23", "/v1.52", "/v2.0", "/vgarbage", "/v1"):
        s.client.version = version
        s.get("/_ping")
        s.get("/containers/json")
        s.get("/images/busybox/json")
    s.client.version = current


@case
def older_inspect(s):
    s.run("alpha", "sleep", "100")
    current = s.client.version
    for version in ("/v1.24", "/v1.41", "/v1.44"):
        s.client.version = version
        s.get("/containers/alpha/json")
        s.get("/containers/json")
        s.get("/images/json")
    s.client.version = current


@case
def pausing(s):
    s.run("alpha", "sleep", "9")
    s.post("/containers/alpha/unpause")
    s.post("/containers/alpha/pause")
    s.post("/containers/alpha/pause")
    s.get("/containers/alpha/json")
    s.get("/containers/json?filters=" + urllib.parse.quote('{"status":["paused"]}'))
    s.post("/containers/alpha/start")
    s.post("/containers/alpha/exec", {"Cmd": ["true"]})
    s.post("/containers/alpha/attach?stream=1")
    s.delete("/containers/alpha")
    s.post("/containers/alpha/unpause")
    s.post("/containers/alpha/pause")
    s.post("/containers/alpha/kill")
    s.get("/containers/alpha/json")
    s.post("/containers/alpha/pause")
    s.post("/containers/alpha/unpause")
    s.post("/containers/nobody/pause")


@case
def pausing_events(s):
    since = time.time()
    s.run("alpha", "sleep", "9")
    for verb in ("pause", "unpause", "pause", "kill"):
        s.post(f"/containers/alpha/{verb}")
    s.post("/containers/alpha/wait")
    s.get(filtered(window(since), '{"type":["container"]}'))


@case
def updating(s):
    s.run("alpha", "sleep", "9")
    mib = 1 << 20
    for change in (
        {},
        {"Memory": 64 * mib},
        {"Memory": 64 * mib, "MemorySwap": 128 * mib, "MemoryReservation": 32 * mib},
        {"CpuShares": 512, "CpuQuota": 50_000, "CpuPeriod": 100_000, "CpusetCpus": "0"},
        {"NanoCpus": 500_000_000},
        {"PidsLimit": 100},
        {"PidsLimit": -1},
        {"BlkioWeight": 300},
        {"Memory": 1000},
        {"CpusetCpus": "77"},
        {"NanoCpus": 99_000_000_000},
        {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}},
        {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}},
        {"RestartPolicy": {"Name": "garbage"}},
        {"RestartPolicy": {"Name": "no"}},
        {"Memory": "garbage"},
    ):
        s.post("/containers/alpha/update", change)
    s.get("/containers/alpha/json")
    s.post("/containers/nobody/update", {})


@case
def updating_what_removes_itself(s):
    s.run("alpha", "sleep", "9", HostConfig={"AutoRemove": True})
    s.post("/containers/alpha/update", {"RestartPolicy": {"Name": "always"}})
    s.post("/containers/alpha/update", {"NanoCpus": 500_000_000})
    s.post("/containers/alpha/update", {"CpuQuota": 50_000})


@case
def top_and_stats(s):
    s.run("alpha", "sleep", "9")
    s.get("/containers/alpha/top?ps_args=-o%20args")
    s.get("/containers/alpha/top?ps_args=-o%20x%3DPID")
    s.get("/containers/alpha/top?ps_args=--nonsense")
    s.get("/containers/nobody/top")
    s.get("/containers/alpha/stats?stream=1&one-shot=1")
    s.get("/containers/nobody/stats")
    s.post("/containers/alpha/kill")
    s.get("/containers/alpha/top")
    s.get("/containers/alpha/stats?stream=0")
    s.get("/containers/alpha/stats?stream=0&one-shot=1")


def places(document, path=""):
    """The names of all fields of a document; of lists that of their entries."""
    if isinstance(document, dict):
        return {name for key, value in document.items() for name in {f"{path}.{key}", *places(value, f"{path}.{key}")}}
    if isinstance(document, list):
        return {name for value in document for name in places(value, f"{path}[]")}
    return set()


@case
def fields_of_stats(s):
    s.run("alpha", "sh", "-c", "while :; do :; done", HostConfig={"NetworkMode": "bridge", "Memory": 2**26})
    s.run("beta", "sleep", "100")
    for name in ("alpha", "beta"):
        for query in ("stream=0", "stream=0&one-shot=1"):
            found = places(s.quietly("GET", f"/containers/{name}/stats?{query}"))
            s.record(f"{name} {query}", sorted(place for place in found if "[]" not in place))


@case
def pruning(s):
    for name, labels in (("alpha", {"a": "1"}), ("beta", {"a": "2"}), ("gamma", {"b": ""}), ("delta", {"a": "3"})):
        s.run_to_end(name, "true", Labels=labels)
    for wanted in (
        '{"label":["a=3"]}',
        '{"label":["a=1"]}',
        '{"label!":["a"]}',
        '{"until":["2000-01-01T00:00:00Z"]}',
        '{"until":["1h"]}',
        '{"until":["1h","2h"]}',
        '{"until":["garbage"]}',
        '{"nonesuch":["x"]}',
        '{"label":["a"],"until":["0s"]}',
        "{}",
    ):
        s.post(filtered("/containers/prune", wanted))
    s.get("/containers/json?all=1")
    for name, labels in (("one", {"a": "1"}), ("two", {})):
        s.post("/volumes/create", {"Name": name, "Labels": labels})
    for wanted in (
        '{"label":["a=2"]}',
        '{"all":["1"],"label!":["a"]}',
        '{"all":["x"]}',
        '{"until":["1h"]}',
        '{"all":["1"]}',
    ):
        s.post(filtered("/volumes/prune", wanted))


@case
def exec_with_options(s):
    s.run("alpha", "sleep", "100", Env=["A=0", "B=0"], User="1000")
    script = "echo $A $B $PWD $(id -u):$(id -g) $(grep CapEff /proc/self/status)"
    for options in (
        {"Env": ["A=1"], "WorkingDir": "/tmp"},
        {"User": "0:50"},
        {"User": "worker"},
        {"Privileged": True},
        {"Privileged": True, "User": "root"},
        {"Tty": True, "Cmd": ["test", "-t", "1"]},
        {"WorkingDir": "/no/such"},
        {"DetachKeys": "ctrl-x,q"},
        {"DetachKeys": "garbage-x"},
    ):
        made = s.post("/containers/alpha/exec", {"Cmd": ["sh", "-c", script], "AttachStdout": True, **options})
        if "Id" in made:
            s.post(f"/exec/{made['Id']}/start", {"Tty": options.get("Tty", False)})
            s.get(f"/exec/{made['Id']}/json")


def put(s, name, path, entries, query=""):
    """An archive of files (bytes), directories (None) and links (text) into a container."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry, content in entries.items():
            info = tarfile.TarInfo(entry)
            data = content if isinstance(content, bytes) else b""
            info.size = len(data)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            archive.addfile(info, io.BytesIO(data))
    s.call("PUT", f"/containers/{name}/archive?path={path}{query}", buffer.getvalue())


@case
def files(s):
    for name, command in (("alpha", "sleep 9"), ("beta", "true")):
        s.run(name, "sh", "-c", f"mkdir -p /w/sub; echo x >/w/f; ln -s /w/sub /w/link; {command}")
    s.post("/containers/beta/wait")
    s.quietly("POST", "/containers/alpha/exec", {"Cmd": ["true"]})
    for name in ("alpha", "beta"):
        for path in ("/w", "/w/f", "/w/f/", "/w/link/", "/nosuch", "/w/f/x", ""):
            s.call("HEAD", f"/containers/{name}/archive?path={path}")
        for path in ("/nosuch", "/w/f/"):
            s.get(f"/containers/{name}/archive?path={path}")
        put(s, name, "/nosuch", {"a": b"x"})
        put(s, name, "/w/f", {"a": b"x"})
        put(s, name, "/w/link", {"a": b"x"})
        put(s, name, "/w", {"sub": b"x"}, "&noOverwriteDirNonDir=1")
        put(s, name, "/w", {"f": None}, "&noOverwriteDirNonDir=1")
        put(s, name, "/w", {"../out": b"x"})
        put(s, name, "/w", {"to": "/etc", "to/inside": b"x"})
        put(s, name, "/w", {"d/e/f": b"x", "link": b"x"})
        for path in ("/w/link", "/w/sub/a", "/w/d/e/f", "/etc/inside", "/w/etc/inside", "/out"):
            s.call("HEAD", f"/containers/{name}/archive?path={path}")


@case
def read_only_files(s):
    mounts = [
        {"Type": "volume", "Source": "kept", "Target": "/ro", "ReadOnly": True},
        {"Type": "volume", "Target": "/rw"},
    ]
    host = {"NetworkMode": "none", "ReadonlyRootfs": True, "Mounts": mounts}
    s.post("/containers/create?name=alpha", {"Image": "busybox", "Cmd": ["true"], "HostConfig": host})
    for path in ("/tmp", "/ro", "/rw"):
        put(s, "alpha", path, {"a": b"x"})


@case
def changes(s):
    s.run_to_end("alpha", "sh", "-c", "echo x >/new")
    s.get("/containers/alpha/changes")
    s.run_to_end("beta", "true")
    s.get("/containers/beta/changes")
    s.run_to_end("gamma", "rm", "/bin/sh")
    s.get("/containers/gamma/changes")
    s.get("/containers/nobody/changes")
    s.get("/containers/nobody/export")


@case
def committing(s):
    s.run("alpha", "sleep", "9", Labels={"a": "b"}, Env=["X=1"], WorkingDir="/tmp")
    s.post("/commit?container=nobody")
    s.post("/commit?repo=made")
    s.post("/commit?container=alpha&repo=BAD")
    s.post("/commit?container=alpha&changes=GARBAGE%20x")
    s.quietly(
        "POST", "/commit?container=alpha&repo=made&tag=1&changes=ENV%20Y%3D%24X&changes=CMD%20x&comment=c&author=a"
    )
    made = s.quietly("GET", "/images/made:1/json")
    s.observations.append(
        Observation(
            "the image", 200, "", [made["Config"], made["Comment"], made["Author"], len(made["RootFS"]["Layers"])]
        )
    )


@case
def health_before_the_first_check(s):
    check = {"Test": ["CMD", "true"], "Interval": 3_600_000_000_000}
    s.run("alpha", "sleep", "9", Healthcheck=check)
    s.get("/containers/alpha/json")
    s.get("/containers/json")
    s.get(filtered("/containers/json", '{"health":["starting"]}'))
    s.post("/containers/alpha/kill")
    s.post("/containers/alpha/wait")
    s.get("/containers/alpha/json")
    s.run("beta", "sleep", "9", Healthcheck={"Test": ["NONE"]})
    s.get("/containers/beta/json")


@case
def health_checked(s):
    since = time.time()
    interval = {"Interval": 20_000_000, "Retries": 1}
    s.run("alpha", "sleep", "9", Healthcheck={"Test": ["CMD-SHELL", "echo said; exit 3"], **interval})
    wait = time.monotonic() + 20
    while s.quietly("GET", "/containers/alpha/json")["State"]["Health"]["Status"] != "unhealthy":
        assert time.monotonic() < wait
        time.sleep(0.02)
    first = s.quietly("GET", "/containers/alpha/json")["State"]["Health"]["Log"][0]
    s.observations.append(Observation("the first check", 200, "", s.normalise(first)))
    s.get(filtered(window(since), '{"type":["container"],"event":["health_status"]}'))


@case
def links(s):
    bridge = {"NetworkMode": "bridge"}
    s.run("alpha", "sleep", "9", HostConfig=bridge)
    s.run("beta", "sleep", "9", HostConfig={**bridge, "Links": ["alpha:other", "alpha"]})
    document = s.quietly("GET", "/containers/beta/json")
    s.observations.append(Observation("the links", 200, "", sorted(document["HostConfig"]["Links"])))
    found = [row["Names"] for row in s.quietly("GET", "/containers/json")]
    s.observations.append(Observation("the names", 200, "", found))
    s.delete("/containers/beta/other?link=1")
    s.delete("/containers/beta/nosuch?link=1")
    s.delete("/containers/beta?link=1")
    s.post("/containers/create?name=gamma", {"Image": "busybox", "HostConfig": {"Links": ["nobody"]}})
    s.post("/containers/create?name=gamma", {"Image": "busybox", "HostConfig": {"Links": ["a:b:c"]}})


@case
def disk_usage(s):
    s.get("/system/df?type=volume")
    s.get("/system/df?type=build-cache")
    s.get("/system/df?type=garbage")


REFUSED_EARLY = ("no_image", "bad_ulimit", "bad_tmpfs_option")


def for_one_create(document):
    def run(s):
        made = s.post("/containers/create?name=gamma", document)
        if made and "Id" in made:
            s.get("/containers/gamma/json")

    return run


def for_one_refused(document):
    return lambda s: s.post("/containers/create?name=early", document)


for name, document in CREATE.items():
    CASES[f"create_{name}"] = (for_one_refused if name in REFUSED_EARLY else for_one_create)(document)


def read_case(method, path):
    return lambda s: s.call(method, path)


@pytest.fixture(scope="module")
def standing(pair):
    """Both engines with the three standing containers."""
    sessions = [Session(engine) for engine in pair]
    for session in sessions:
        host = {"NetworkMode": "none"}
        made = {"Image": "busybox", "Cmd": ["true"], "Labels": {"kind": "test"}, "HostConfig": host}
        session.quietly("POST", "/containers/create?name=made", made)
        session.run("runner", "sleep", "100000")
        session.run_to_end("past", "sh", "-c", "echo out; sleep 0.05; echo err >&2; exit 3")
    yield pair
    for engine in pair:
        clean(engine)


@pytest.mark.parametrize(("method", "path"), READS, ids=[f"{m} {urllib.parse.unquote(p)}" for m, p in READS])
def test_reads_and_refusals(standing, method, path):
    JUDGE.compare(standing, read_case(method, path))


@pytest.mark.parametrize("name", CASES)
def test_sequences(pair, name):
    try:
        JUDGE.compare(pair, CASES[name])
    finally:
        for engine in pair:
            clean(engine)


def test_there_are_enough():
    assert len(READS) + len(CASES) >= 150


def test_each_expected_difference_is_real():
    """Runs last: a difference that is listed and no longer there must go from the list."""
    if TEST_HOST == "genuine" or not JUDGE.used:
        pytest.skip("needs the other tests of this module, against sampand")
    assert JUDGE.unused() == set()
