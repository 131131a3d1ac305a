"""What docker does at the edges: statuses and words of refusals, and states seen right after a reply."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from rig.http import EngineClient, demultiplex

pytestmark = pytest.mark.root

JSON = {"Content-Type": "application/json"}
TAR = {"Content-Type": "application/x-tar"}


def create(api: EngineClient, name: str = "", /, *, cmd: Any = ("sleep", "1000"), **body: Any) -> Any:
    """The reply to a create request."""
    host = {"NetworkMode": "none", **body.pop("HostConfig", {})}
    document = {"Image": "busybox", "Cmd": list(cmd), "HostConfig": host, **body}
    return api.post(f"/containers/create?name={name}" if name else "/containers/create", document)


def created(api: EngineClient, name: str = "", /, **body: Any) -> str:
    answer = create(api, name, **body)
    assert answer.status == 201, answer.message
    return str(answer.json()["Id"])


def started(api: EngineClient, name: str = "", /, **body: Any) -> str:
    identity = created(api, name, **body)
    answer = api.post(f"/containers/{identity}/start")
    assert answer.status == 204, answer.message
    return identity


def printed(api: EngineClient, script: str, **body: Any) -> tuple[int, str]:
    """Exit code and output of a container that runs a script."""
    identity = started(api, cmd=["sh", "-c", script], **body)
    code = api.post(f"/containers/{identity}/wait").json()["StatusCode"]
    return code, b"".join(demultiplex(api.get(f"/containers/{identity}/logs?stdout=1&stderr=1").body)).decode()


def inspected(api: EngineClient, identity: str) -> Any:
    return api.get(f"/containers/{identity}/json").json()


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status, answer.message


# -- words of refusals


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{invalid", "'i' looking for beginning of object key string"),
        (b'{"a":}', "'}' looking for beginning of value"),
        (b'{"a":1,}', "'}' looking for beginning of object key string"),
        (b'{"a" 1}', "'1' after object key"),
        (b'{"a":1 "b"}', "'\"' after object key:value pair"),
        (b'{"a":[1 2]}', "'2' after array element"),
        (b'{"a":[1,]}', "']' looking for beginning of value"),
        (b'{"a":tru}', "'}' in literal true (expecting 'e')"),
        (b'{"a":fals3}', "'3' in literal false (expecting 'e')"),
        (b'{"a":1ex}', "'x' in"),
        (b"'a'", r"'\'' looking for beginning of value"),
        ('{"a":€}'.encode(), "'€' looking for beginning of value"),
        (b"\xff", r"'\xff' looking for beginning of value"),
    ],
)
def test_malformed_json_is_told_in_the_words_of_go(api, body, words):
    status, message = refusal(api.request("POST", "/containers/create", body, JSON))
    assert status == 400
    assert message.startswith(f"invalid JSON: invalid character {words}")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", 'invalid resize height "": invalid syntax'),
        ("h=a&w=1", 'invalid resize height "a": invalid syntax'),
        ("h=1&w=", 'invalid resize width "": invalid syntax'),
        ("h=1&w=-1", 'invalid resize width "-1": value out of range'),
        ("h=4294967296&w=1", 'invalid resize height "4294967296": value out of range'),
    ],
)
def test_sizes_of_terminals(api, query, words):
    identity = started(api)
    run = api.post(f"/containers/{identity}/exec", {"Cmd": ["true"]}).json()["Id"]
    for path in (f"/containers/{identity}", f"/exec/{run}"):
        assert refusal(api.post(f"{path}/resize?{query}")) == (400, words)


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        (" ", "is an invalid OS component of"),
        ("/", "is an invalid OS component of"),
        ("linux/", "is an invalid component of"),
        ("linux/x!", '"x!" is an invalid component of "linux/x!"'),
        ("linux/amd64/v8/x", "cannot parse platform specifier"),
        ("nintendo64", "unknown operating system or architecture"),
        ("macos", "operating system is not supported"),
        ("windows/amd64", "operating system is not supported"),
    ],
)
def test_platforms_that_nothing_is_imported_for(api, platform, words):
    path = f"/images/create?fromSrc=-&repo=imported&platform={quote(platform, safe='')}"
    status, message = refusal(api.request("POST", path, bytes(1024), TAR))
    assert status == 400
    assert words in message


def test_one_platform_at_a_time_is_saved_or_loaded(api):
    platforms = "&".join(
        f"platform={quote(json.dumps({'os': 'linux', 'architecture': name}))}" for name in ("amd64", "arm64")
    )
    expected = (400, "multiple platform parameters not supported")
    assert refusal(api.get(f"/images/get?names=busybox&{platforms}")) == expected
    assert refusal(api.request("POST", f"/images/load?{platforms}", b"", TAR)) == expected


def test_volumes_of_nobody(api):
    assert refusal(create(api, HostConfig={"VolumesFrom": ["nobody"]})) == (400, "No such container: nobody")


def test_joining_what_does_not_run(api):
    donor = created(api, "donor")
    for mode, status in (("Pid", 500), ("Ipc", 409)):
        identity = created(api, HostConfig={f"{mode}Mode": "container:donor"})
        words = f"failed to join {mode.upper()} namespace: container {donor} is not running"
        assert refusal(api.post(f"/containers/{identity}/start")) == (status, words)


def test_recursively_read_only_binds_before_1_44(loaded):
    mount = {"Type": "bind", "Source": "/tmp", "Target": "/x", "ReadOnly": True}
    with loaded.client("/v1.43") as old:
        answer = create(
            old,
            HostConfig={"Mounts": [{**mount, "BindOptions": {"ReadOnlyForceRecursive": True, "NonRecursive": False}}]},
        )
    assert refusal(answer) == (400, "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")


# -- images


def test_the_earliest_of_several_times_counts(api):
    times = [json.dumps({"until": until}) for until in (["2h", "1h"], ["1970-01-02", "1h"])]
    shown = [{row["Id"] for row in api.get(f"/images/json?filters={quote(text)}").json()} for text in times]
    assert shown[0]
    assert not shown[1]
    assert refusal(api.post(f"/images/prune?filters={quote(times[0])}"))[1] == "more than one until filter specified"


def test_a_saved_configuration_is_as_old_as_its_image(api):
    image = api.get("/images/busybox/json").json()
    with tarfile.open(fileobj=io.BytesIO(api.get("/images/busybox/get").body)) as archive:
        member = archive.getmember(f"blobs/sha256/{image['Id'].partition(':')[2]}")
    assert time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(member.mtime)) == image["Created"][:19]


# -- commands of containers that ended


def test_commands_after_the_end_of_their_container(api):
    identity = started(api, "box")
    done, never = (api.post(f"/containers/{identity}/exec", {"Cmd": ["true"]}).json()["Id"] for _ in range(2))
    assert api.post(f"/exec/{done}/start", {"Detach": True}).status == 200
    deadline = time.monotonic() + 60
    while api.get(f"/exec/{done}/json").json()["Running"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert api.post(f"/containers/{identity}/kill").status == 204
    assert api.get(f"/exec/{done}/json").json()["ExitCode"] == 0
    not_running = (409, f"container {identity} is not running")
    assert refusal(api.post(f"/exec/{done}/resize?h=1&w=1")) == not_running
    assert refusal(api.post(f"/exec/{done}/start", {"Detach": True})) == not_running
    assert api.get(f"/exec/{never}/json").status == 404
    assert inspected(api, identity)["ExecIDs"] is None
    assert api.delete(f"/containers/{identity}").status == 204
    assert api.get(f"/exec/{done}/json").status == 404


# -- volumes and mounts


def test_anonymous_volumes_are_gone_when_the_removal_is_answered(api):
    identity = started(api, Volumes={"/there": {}})
    [point] = inspected(api, identity)["Mounts"]
    assert api.get(f"/volumes/{point['Name']}").status == 200
    assert api.delete(f"/containers/{identity}?force=1&v=1").status == 204
    assert api.get(f"/volumes/{point['Name']}").status == 404


def test_an_anonymous_volume_that_another_container_has_stays(api):
    created(api, "first", Volumes={"/there": {}})
    created(api, "second", HostConfig={"VolumesFrom": ["first"]})
    [point] = inspected(api, "second")["Mounts"]
    assert point["Mode"] == ""
    assert api.delete("/containers/first?v=1").status == 204
    assert api.get(f"/volumes/{point['Name']}").status == 200
    assert api.delete("/containers/second?v=1").status == 204
    assert api.get(f"/volumes/{point['Name']}").status == 404


def test_a_tmpfs_lies_over_an_anonymous_volume(api):
    identity = created(api, Volumes={"/there": {}}, HostConfig={"Tmpfs": {"/there": "size=64k"}})
    assert inspected(api, identity)["Mounts"] == []


def test_a_tmpfs_lies_over_a_volume_of_another(api):
    created(api, "first", Volumes={"/there": {}})
    host = {"VolumesFrom": ["first"], "Tmpfs": {"/there": ""}}
    assert printed(api, "grep -c ' /there ' /proc/mounts; grep -c ' /there tmpfs' /proc/mounts", HostConfig=host) == (
        0,
        "1\n1\n",
    )


def a_mount_below_dev() -> str:
    """What is mounted, and may be written to, in a folder of /dev; "" where nothing is."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        _, _, _, _, place, options, *_ = line.split(" ")
        if place.startswith("/dev/") and options.split(",")[0] == "rw":
            return place
    return ""


@pytest.mark.parametrize(("version", "word"), [("/v1.51", "ro"), ("/v1.44", "ro"), ("/v1.43", "rw")])
@pytest.mark.parametrize("way", ["Binds", "Mounts"])
def test_read_only_binds_reach_what_is_mounted_below_since_1_44(loaded, api, version, word, way):
    place = a_mount_below_dev()
    if not place:
        pytest.skip("nothing is mounted below /dev")
    wish = "/dev:/dev:ro" if way == "Binds" else {"Type": "bind", "Source": "/dev", "Target": "/dev", "ReadOnly": True}
    with loaded.client(version) as client:
        code, text = printed(client, f"grep ' {place} ' /proc/self/mountinfo", HostConfig={way: [wish]})
    assert code == 0
    assert {line.split(" ")[5].split(",")[0] for line in text.splitlines()} == {word}


@pytest.mark.parametrize("way", ["Binds", "Mounts"])
@pytest.mark.parametrize("part", ["", "/containers"])
def test_binds_of_the_daemons_root(api, way, part):
    source = api.get("/info").json()["DockerRootDir"] + part

    def asking(propagation: str) -> Any:
        if way == "Binds":
            return create(api, HostConfig={"Binds": [f"{source}:/x{propagation and ':'}{propagation}"]})
        options = {"BindOptions": {"Propagation": propagation}}
        return create(api, HostConfig={"Mounts": [{"Type": "bind", "Source": source, "Target": "/x", **options}]})

    for propagation in ("", "rslave", "rshared"):
        answer = asking(propagation)
        assert answer.status == 201, answer.message
        [point] = inspected(api, answer.json()["Id"])["Mounts"]
        assert point["Propagation"] == (propagation or "rslave")
    for propagation in ("private", "rprivate", "slave", "shared"):
        status, message = refusal(asking(propagation))
        assert status == 400
        assert f'bind mount source: "{source}", propagation: "{propagation}"' in message


@pytest.mark.parametrize("source", ["/", "/tmp", ""])
def test_what_holds_the_daemons_root_can_be_bound_wherever_it_is_mounted(api, source):
    bind = f"{source or api.get('/info').json()['DockerRootDir']}:/x:ro"
    assert printed(api, "grep -c ' /x ' /proc/self/mountinfo", HostConfig={"Binds": [bind]}) == (0, "1\n")


# -- names and labels


def test_a_link_may_be_written_as_a_path(api):
    created(api, "db", HostConfig={"NetworkMode": "bridge"})
    for link in ("db:/mysql", "/db:/app/mysql", "db:mysql"):
        identity = created(api, "app", HostConfig={"NetworkMode": "bridge", "Links": [link]})
        assert inspected(api, identity)["HostConfig"]["Links"] == ["/db:/app/mysql"]
        assert api.post("/containers/app/rename?name=other").status == 204
        assert inspected(api, "other/mysql")["Name"] == "/db"
        assert api.delete(f"/containers/{identity}").status == 204


def test_lists_show_annotations_since_1_46(loaded, api):
    created(api, HostConfig={"Annotations": {"a": "b"}})
    for version, expected in (("/v1.45", None), ("/v1.46", {"a": "b"})):
        with loaded.client(version) as client:
            [row] = client.get("/containers/json?all=1").json()
        assert row["HostConfig"].get("Annotations") == expected


# -- security options


@pytest.mark.parametrize("privileged", [False, True])
def test_a_profile_of_system_calls_holds_in_a_privileged_container(api, privileged):
    names = ["mkdir", "mkdirat"]
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": names, "action": "SCMP_ACT_ERRNO"}],
    }
    host = {"Privileged": privileged, "SecurityOpt": [f"seccomp={json.dumps(profile)}"]}
    code, text = printed(api, "mkdir /here", HostConfig=host)
    assert code != 0
    assert "Operation not permitted" in text


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("writable-cgroups", "rw"),
        ("writable-cgroups=1", "rw"),
        ("writable-cgroups=true", "rw"),
        ("writable-cgroups=false", "ro"),
    ],
)
def test_control_groups_that_may_be_written(api, option, word):
    code, text = printed(api, "grep cgroup /proc/mounts", HostConfig={"SecurityOpt": [option]})
    assert code == 0
    groups = [line.split(" ") for line in text.splitlines() if line.split(" ")[2].startswith("cgroup")]
    assert {options.split(",")[0] for _, _, _, options, *_ in groups} == {word}
