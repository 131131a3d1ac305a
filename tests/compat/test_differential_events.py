"""The events of every operation on containers, images and volumes, with all their attributes, as dockerd tells them.

What a case causes is compared as a set that counts: dockerd itself tells some neighbours in either order (`die` and
`stop`, a removed container and its volume). tests/e2e has the order of ours.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import time

import pytest

from rig import image
from rig.differential import Difference, Judge, Session, clean, filtered

CASES = {}
DIGEST = re.compile("sha256:[0-9a-f]{64}")
EXPECTED: tuple[Difference, ...] = ()
JUDGE = Judge(EXPECTED)


def case(function):
    CASES[function.__name__] = function
    return function


def told(s: Session, since: float, last: str, count: int = 1, filters: str = "") -> None:
    """Record the events since then, once there are `count` of the kind `last` (events may come after the answer)."""
    deadline = time.monotonic() + 60
    while True:
        path = f"/events?since={since:.9f}&until={time.time():.9f}"
        events = lines(s.client.get(filtered(path, filters) if filters else path).body)
        if sum(event["Action"].startswith(last) for event in events) >= count:
            break
        assert time.monotonic() < deadline, f"no {last} among {[event['Action'] for event in events]}"
        time.sleep(0.02)
    found = numbered([[event["Type"], event["Action"], event["scope"], event["Actor"]] for event in events])
    s.record("events", sorted(found, key=json.dumps))


def numbered(found: list) -> list:
    """Images that a case makes are others each time: digests become numbers in the order in which they come."""
    text = json.dumps(found)
    for number, digest in enumerate(dict.fromkeys(DIGEST.findall(text))):
        text = text.replace(digest, f"<image{number}>")
    return json.loads(text)


def lines(body: bytes) -> list:
    return [json.loads(line) for line in body.splitlines()]


def silently(s: Session, name: str, *command: str, **options) -> None:
    """Create and start a container, not recorded."""
    host = {"NetworkMode": "none", **options.pop("HostConfig", {})}
    body = {"Image": "busybox", "Cmd": list(command), "HostConfig": host, **options}
    assert s.client.post(f"/containers/create?name={name}", body).status == 201
    assert s.client.post(f"/containers/{name}/start").status == 204


def archive(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@case
def a_life_in_the_bridge(s):
    since = time.time()
    silently(s, "alpha", "sleep", "100", Labels={"a": "b"}, HostConfig={"NetworkMode": "bridge"})
    s.client.post("/containers/alpha/kill")
    s.client.post("/containers/alpha/wait")
    s.client.delete("/containers/alpha")
    told(s, since, "destroy")


@case
def a_life_without_a_network(s):
    since = time.time()
    silently(s, "alpha", "sh", "-c", "exit 3")
    s.client.post("/containers/alpha/wait")
    s.client.delete("/containers/alpha")
    told(s, since, "destroy")


@case
def stopping_and_restarting(s):
    silently(s, "alpha", "sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done")
    until_ready(s)
    since = time.time()
    s.client.post("/containers/alpha/stop?t=60")
    told(s, since, "stop")
    since = time.time()
    s.client.post("/containers/alpha/start")
    until_ready(s, 2)
    s.client.post("/containers/alpha/restart?t=60")
    told(s, since, "restart")


def until_ready(s, times=1):
    deadline = time.monotonic() + 60
    while s.client.get("/containers/alpha/logs?stdout=1").body.count(b"ready") < times:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@case
def stopping_by_force(s):
    silently(s, "alpha", "sleep", "100")
    since = time.time()
    s.client.post("/containers/alpha/stop?t=0")
    told(s, since, "stop")


@case
def stopping_one_with_a_signal_of_its_own(s):
    silently(s, "alpha", "sleep", "100", StopSignal="SIGQUIT")
    since = time.time()
    s.client.post("/containers/alpha/stop?t=0&signal=SIGINT")
    told(s, since, "stop")


@case
def signals(s):
    silently(s, "alpha", "sleep", "100")
    since = time.time()
    for signal in ("SIGWINCH", "USR1", "9"):
        s.client.post(f"/containers/alpha/kill?signal={signal}")
    s.client.post("/containers/alpha/wait")
    told(s, since, "die")


@case
def removal_by_force(s):
    silently(s, "alpha", "sleep", "100")
    since = time.time()
    s.client.delete("/containers/alpha?force=1")
    told(s, since, "destroy")


@case
def a_container_that_removes_itself(s):
    since = time.time()
    silently(s, "alpha", "true", HostConfig={"AutoRemove": True})
    told(s, since, "destroy")


@case
def a_start_that_fails(s):
    s.client.post(
        "/containers/create?name=alpha",
        {"Image": "busybox", "Cmd": ["nonesuch"], "HostConfig": {"NetworkMode": "none"}},
    )
    since = time.time()
    s.client.post("/containers/alpha/start")
    s.client.delete("/containers/alpha")
    # dockerd also tells that a network was left, which was never joined.
    told(s, since, "destroy", filters='{"type":["container"]}')


@case
def pauses_updates_and_names(s):
    silently(s, "alpha", "sleep", "100", Labels={"k": "v"})
    since = time.time()
    s.client.post("/containers/alpha/pause")
    s.client.post("/containers/alpha/unpause")
    s.client.post("/containers/alpha/update", {"CpuShares": 512})
    s.client.post("/containers/alpha/rename?name=beta")
    told(s, since, "rename")


@case
def looking_in(s):
    silently(s, "alpha", "sleep", "100", Tty=True)
    since = time.time()
    s.client.get("/containers/alpha/top")
    s.client.post("/containers/alpha/resize?h=10&w=20")
    s.client.get("/containers/alpha/json")
    s.client.get("/containers/alpha/logs?stdout=1")
    s.client.get("/containers/alpha/changes")
    s.client.get("/containers/alpha/stats?stream=0&one-shot=1")
    s.client.request("HEAD", "/containers/alpha/archive?path=/etc")
    told(s, since, "resize")


@case
def files_in_and_out(s):
    silently(s, "alpha", "sleep", "100")
    since = time.time()
    s.client.get("/containers/alpha/archive?path=/etc/group")
    s.client.request("PUT", "/containers/alpha/archive?path=/tmp", archive("x", b"x"))
    s.client.get("/containers/alpha/export")
    told(s, since, "export")


@case
def attaching(s):
    silently(s, "alpha", "sleep", "100", OpenStdin=True)
    since = time.time()
    with s.engine.client() as other:
        other.begin("POST", "/containers/alpha/attach?stream=1&stdout=1")
        told(s, since, "attach")


@case
def commands(s):
    silently(s, "alpha", "sleep", "100", Labels={"k": "v"})
    since = time.time()
    made = s.client.post("/containers/alpha/exec", {"Cmd": ["sh", "-c", "exit 5"]}).json()["Id"]
    s.client.post(f"/exec/{made}/start", {"Detach": True})
    told(s, since, "exec_die")
    since = time.time()
    made = s.client.post("/containers/alpha/exec", {"Cmd": ["echo", "a b"], "AttachStdout": True}).json()["Id"]
    s.client.post(f"/exec/{made}/start", {})
    told(s, since, "exec_die")


@case
def out_of_memory(s):
    since = time.time()
    silently(s, "alpha", "tail", "/dev/zero", HostConfig={"Memory": 2**24, "MemorySwap": 2**24})
    s.client.post("/containers/alpha/wait")
    told(s, since, "die")


@case
def a_policy_that_starts_again(s):
    since = time.time()
    silently(s, "alpha", "false", HostConfig={"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1}})
    told(s, since, "die", 2)


@case
def health(s):
    check = {"Test": ["CMD-SHELL", "test -e /well"], "Interval": 50_000_000, "Retries": 1}
    silently(s, "alpha", "sleep", "100", Healthcheck=check)
    only = '{"event":["health_status"]}'
    since = time.time()
    told(s, since - 30, "health_status: unhealthy", filters=only[:-1] + ',"container":["alpha"]}')
    made = s.client.post("/containers/alpha/exec", {"Cmd": ["touch", "/well"]}).json()["Id"]
    s.client.post(f"/exec/{made}/start", {"Detach": True})
    told(s, since - 30, "health_status: healthy", filters=only[:-1] + ',"container":["alpha"]}')


@case
def commits(s):
    silently(s, "alpha", "sleep", "100", Labels={"k": "v"})
    since = time.time()
    s.client.post("/commit?container=alpha&repo=made&tag=1&comment=c")
    told(s, since, "commit")
    since = time.time()
    s.client.post("/commit?container=alpha&pause=0")
    told(s, since, "commit")


@case
def pruned_containers(s):
    only = '{"event":["destroy","prune"]}'
    silently(s, "alpha", "true")
    s.client.post("/containers/alpha/wait")
    since = time.time()
    s.client.post("/containers/prune")
    told(s, since, "prune", filters=only)
    since = time.time()
    s.client.post("/containers/prune")
    told(s, since, "prune", filters=only)


@case
def pruned_networks(s):
    since = time.time()
    s.client.post("/networks/prune")
    told(s, since, "prune")


@case
def named_volumes(s):
    since = time.time()
    s.client.post("/volumes/create", {"Name": "kept", "Labels": {"a": "b"}})
    s.client.post("/volumes/create", {"Name": "kept"})
    silently(s, "alpha", "sleep", "100", HostConfig={"Binds": ["kept:/v", "kept:/r:ro"]})
    s.client.delete("/containers/alpha?force=1")
    s.client.delete("/volumes/kept")
    told(s, since, "destroy", 2)


@case
def anonymous_volumes(s):
    since = time.time()
    silently(s, "alpha", "true", Volumes={"/v": {}})
    s.client.post("/containers/alpha/wait")
    s.client.delete("/containers/alpha?v=1")
    told(s, since, "destroy", 2)


@case
def pruned_volumes(s):
    s.client.post("/volumes/create", {"Name": "kept"})
    since = time.time()
    s.client.post("/volumes/prune")
    told(s, since, "prune")
    since = time.time()
    s.client.post("/volumes/prune?filters=%7B%22all%22%3A%5B%22true%22%5D%7D")
    told(s, since, "prune")


@case
def names_of_images(s):
    since = time.time()
    s.client.post("/images/busybox/tag?repo=x/y&tag=1")
    s.client.post("/images/busybox/tag?repo=x/y&tag=1")
    s.client.delete("/images/x/y:1")
    told(s, since, "untag")


@case
def a_whole_image(s):
    since = time.time()
    data = image.busybox_archive("other:1", {"Cmd": ["true"], "Labels": {"a": "b"}})
    s.client.request("POST", "/images/load?quiet=1", data, {"Content-Type": "application/x-tar"})
    told(s, since, "load")
    since = time.time()
    s.client.get("/images/other:1/get")
    s.client.get("/images/get?names=other:1&names=busybox")
    told(s, since, "save", 2)
    since = time.time()
    s.client.delete("/images/other:1")
    told(s, since, "delete")


@case
def an_imported_image(s):
    since = time.time()
    kind = {"Content-Type": "application/x-tar"}
    s.client.request("POST", "/images/create?fromSrc=-&repo=made&tag=2", archive("x", b"x"), kind)
    told(s, since, "import")


@case
def pruned_images(s):
    kind = {"Content-Type": "application/x-tar"}
    s.client.request("POST", "/images/create?fromSrc=-", archive("x", b"y"), kind)
    since = time.time()
    s.client.post("/images/prune")
    told(s, since, "prune")


@case
def removal_of_several_names_by_force(s):
    data = image.busybox_archive("other:1", {"Cmd": ["false"]})
    s.client.request("POST", "/images/load?quiet=1", data, {"Content-Type": "application/x-tar"})
    s.client.post("/images/other:1/tag?repo=other&tag=2")
    identity = s.client.get("/images/other:1/json").json()["Id"]
    since = time.time()
    s.client.delete(f"/images/{identity}?force=1")
    told(s, since, "delete")


FILTERS = (
    '{"type":["container"]}',
    '{"type":["container","volume"]}',
    '{"event":["start","die"]}',
    '{"container":["alpha"]}',
    '{"container":["alp"]}',
    '{"container":["nobody"]}',
    '{"image":["busybox"]}',
    '{"image":["busybox:latest"]}',
    '{"volume":["kept"]}',
    '{"network":["none"]}',
    '{"network":["bridge"]}',
    '{"label":["k"]}',
    '{"label":["k=v"]}',
    '{"label":["k=w"]}',
    '{"scope":["local"]}',
    '{"scope":["swarm"]}',
    '{"daemon":["nosuch"]}',
    '{"event":["exec_create"]}',
    '{"event":["exec_create: true"]}',
    '{"type":["container"],"event":["create"],"label":["k"]}',
)


@case
def filters(s):
    since = time.time()
    silently(s, "alpha", "sleep", "100", Labels={"k": "v"}, HostConfig={"Binds": ["kept:/v"], "NetworkMode": "bridge"})
    made = s.client.post("/containers/alpha/exec", {"Cmd": ["true"]}).json()["Id"]
    s.client.post(f"/exec/{made}/start", {"Detach": True})
    told(s, since, "exec_die")
    s.client.post("/images/busybox/tag?repo=x&tag=1")
    s.client.delete("/containers/alpha?force=1")
    told(s, since, "destroy")
    until = time.time()
    for wanted in FILTERS:
        found = lines(s.client.get(filtered(f"/events?since={since:.9f}&until={until:.9f}", wanted)).body)
        s.record(wanted, sorted([event["Type"], event["Action"]] for event in found))


@case
def older_versions(s):
    """Events of containers and images had three more fields, which dockerd has dropped again by now."""
    current, since = s.client.version, time.time()
    silently(s, "alpha", "true", HostConfig={"AutoRemove": True})
    told(s, since, "destroy")
    until = time.time()
    for version in ("/v1.24", "/v1.40", "/v1.47", "/v1.51"):
        s.client.version = version
        found = lines(s.client.get(f"/events?since={since:.9f}&until={until:.9f}").body)
        s.record(version, numbered(sorted(found, key=lambda event: (event["Type"], event["Action"]))))
    s.client.version = current


@pytest.mark.parametrize("name", CASES)
def test_events(pair, name):
    try:
        JUDGE.compare(pair, CASES[name])
    finally:
        for engine in pair:
            clean(engine)
