"""The same documents under older versions of the API: what a genuine dockerd answers a client of each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rig.differential import Difference, Judge, Session, clean, filtered

VERSIONS = ("1.24", "1.30", "1.40", "1.41", "1.43", "1.44", "1.45", "1.46", "1.47", "1.48", "1.49", "1.50", "1.51")
CASES = {}
EXPECTED = (
    Difference("layers lie elsewhere", r".*\.GraphDriver\.Data.*"),
    Difference("crun is the default runtime", r".*\.Runtime"),
    Difference("what docker's fields do not name has one of ours", r"\.Sampan.*"),
    Difference("the kernel has had no such limit since 5.11, so none is shown", r"\.KernelMemory"),
    Difference("what belongs to mounts of another type is dropped, not shown", r"\.Mounts\[0\]\.TmpfsOptions.*"),
    Difference(
        "an address in the wrong place is told of in every version", r"\.Warnings.*", "POST /containers/create.*"
    ),
    Difference("the network's namespace is reached by the process", r".*\.NetworkSettings\.SandboxKey"),
    Difference("a name of its own means nothing in a network without names", r".*\.Networks\.none\.DNSNames.*"),
)
JUDGE = Judge(EXPECTED)


def case(function):
    CASES[function.__name__] = function
    return function


def in_each(s: Session, *calls: tuple) -> None:
    """Make the calls as clients of every version."""
    current = s.client.version
    for version in VERSIONS:
        s.client.version = f"/v{version}"
        for method, path, *document in calls:
            s.call(method, path, *document)
            # The version belongs to what is said of a difference.
            s.observations[-1] = replace(s.observations[-1], call=f"v{version} {s.observations[-1].call}")
    s.client.version = current


def gets(*paths: str) -> list[tuple]:
    return [("GET", path) for path in paths]


@case
def containers(s):
    options = {"Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}, "Env": ["A=1"], "Domainname": "sea"}
    s.run("alpha", "sleep", "100", **options, HostConfig={"Memory": 2**26, "Annotations": {"x": "y"}})
    s.run_to_end("beta", "sh", "-c", "exit 3", Tty=True)
    in_each(s, *gets("/containers/alpha/json", "/containers/beta/json", "/containers/json?all=1"))


@case
def a_container_in_the_bridge(s):
    s.run("alpha", "sleep", "100", HostConfig={"NetworkMode": "bridge"})
    in_each(s, *gets("/containers/alpha/json", "/containers/json"))


@case
def images(s):
    s.post("/images/busybox/tag?repo=x&tag=1")
    in_each(
        s,
        *gets("/images/json", "/images/json?all=1&digests=1", "/images/busybox/json", "/images/busybox/history"),
        *gets("/images/json?shared-size=1", "/images/nonesuch/json"),
    )


@case
def volumes_and_networks(s):
    s.post("/volumes/create", {"Name": "kept", "Labels": {"a": "b"}})
    in_each(s, *gets("/volumes", "/volumes/kept", "/volumes/nonesuch", "/networks/none", "/networks/nonesuch"))


@case
def disk_usage(s):
    s.run("alpha", "sleep", "100", HostConfig={"Binds": ["kept:/v"]})
    in_each(s, *gets("/system/df?type=image", "/system/df?type=volume", "/system/df?type=build-cache"))


@case
def pings_and_refusals(s):
    in_each(
        s,
        ("GET", "/_ping"),
        ("HEAD", "/_ping"),
        ("GET", "/nonesuch"),
        ("GET", "/containers/nobody/json"),
        ("POST", "/containers/nobody/start"),
        ("GET", filtered("/containers/json", "garbage")),
        ("GET", filtered("/images/json", '{"nonesuch":["x"]}')),
        ("POST", "/containers/create", {"Image": "nonesuch"}),
    )


@case
def commands(s):
    s.run("alpha", "sleep", "100")
    wanted = {"Cmd": ["true"], "ConsoleSize": [10, 20], "Tty": True}
    current = s.client.version
    for version in VERSIONS:
        s.client.version = f"/v{version}"
        made = s.post("/containers/alpha/exec", wanted)
        s.get(f"/exec/{made['Id']}/json")
    s.client.version = current


CREATE = {
    "plain": {},
    "memory": {"Memory": 2**26, "KernelMemory": 2**25, "KernelMemoryTCP": 2**25},
    "annotations": {"Annotations": {"a": "b"}},
    "console": {"ConsoleSize": [10, 20]},
    "tmpfs": {"Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 2**20}}]},
    "tmpfs_options_of_a_volume": {"Mounts": [{"Type": "volume", "Target": "/t", "TmpfsOptions": {"SizeBytes": 5}}]},
    "bind": {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/t", "ReadOnly": True}]},
    "bind_options": {
        "Mounts": [
            {
                "Type": "bind",
                "Source": "/tmp",
                "Target": "/t",
                "ReadOnly": True,
                "BindOptions": {"NonRecursive": True, "ReadOnlyNonRecursive": True},
            }
        ]
    },
    "subpath": {"Mounts": [{"Type": "volume", "Source": "kept", "Target": "/t", "VolumeOptions": {"Subpath": "a"}}]},
    "swappiness": {"MemorySwappiness": 50},
    "kernel_options": {"PidsLimit": 0, "OomKillDisable": True, "Memory": 2**26},
    "modes": {"IpcMode": "", "CgroupnsMode": ""},
    "runtime": {"Init": True, "Privileged": True},
}


def created_in_each(host: dict):
    def run(s: Session) -> None:
        current = s.client.version
        for version in VERSIONS:
            s.client.version = f"/v{version}"
            body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", **host}}
            made = s.post("/containers/create?name=alpha", body)
            s.client.version = current
            if "Id" in made:
                s.record(f"v{version}", s.quietly("GET", "/containers/alpha/json")["HostConfig"])
                s.quietly("DELETE", "/containers/alpha?v=1")

    return run


for name, host in CREATE.items():
    CASES[f"create_{name}"] = created_in_each(host)


@case
def create_with_a_health_check(s):
    check = {"Test": ["CMD", "true"], "StartInterval": 10**9, "Interval": 10**9}
    current = s.client.version
    for version in VERSIONS:
        s.client.version = f"/v{version}"
        s.post(
            "/containers/create?name=alpha",
            {"Image": "busybox", "Healthcheck": check, "MacAddress": "02:42:ac:11:00:05"},
        )
        s.client.version = current
        s.record(f"v{version}", s.quietly("GET", "/containers/alpha/json")["Config"])
        s.quietly("DELETE", "/containers/alpha")


@case
def updates(s):
    s.run("alpha", "sleep", "100")
    current = s.client.version
    for version in VERSIONS:
        s.client.version = f"/v{version}"
        s.post("/containers/alpha/update", {"PidsLimit": 50, "KernelMemory": 2**25, "CpuShares": 512})
        s.client.version = current
        s.record(f"v{version}", s.quietly("GET", "/containers/alpha/json")["HostConfig"])


@case
def ends(s):
    """A body of `start` and a name of a signal, as old clients send them."""
    s.run("alpha", "sleep", "100")
    s.client.version = "/v1.24"
    s.post("/containers/alpha/kill?signal=9")
    s.post("/containers/alpha/wait")
    s.post("/containers/alpha/start")
    s.post("/containers/alpha/stop?t=0")
    s.get("/containers/alpha/json")
    s.client.version = "/v1.51"


@pytest.mark.parametrize("name", CASES)
def test_versions(pair, name):
    try:
        JUDGE.compare(pair, CASES[name])
    finally:
        for engine in pair:
            clean(engine)
