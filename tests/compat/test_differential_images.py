"""Images beside a genuine dockerd: lists and filters, inspect, history, save and load, references, removal, prune."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from urllib.parse import quote, unquote

import pytest

from rig import image
from rig.differential import Difference, Judge, Session, clean, filtered
from rig.http import Answer

CASES = {}
EXPECTED = (
    Difference("layers lie elsewhere", r".*\.GraphDriver\.Data.*"),
    Difference("crun is the default runtime", r"\.HostConfig\.Runtime"),
    Difference("the network's namespace is reached by the process", r"\.NetworkSettings\.SandboxKey"),
    Difference("the list says where a volume lies, as inspect does", r"\[0\]\.Mounts\[0\]\.Source"),
    Difference("what is malformed is said in our words", r"\.message", r".*[/=\[\"]garbage.*"),
    Difference(
        "a platform that is not there is a 404 that says what is there",
        r"status|\.message",
        r".*/get\?platform=.*arm64.*",
    ),
)
JUDGE = Judge(EXPECTED)
TAR = {"Content-Type": "application/x-tar"}


def case(function):
    CASES[function.__name__] = function
    return function


def layer(**files: str) -> bytes:
    made = image.Layer()
    for name, text in files.items():
        made.add(name, text.encode())
    return made.finish()


CONFIG = {
    "Cmd": ["sleep", "9"],
    "Entrypoint": ["sh", "-c"],
    "Env": ["PATH=/bin", "A=1"],
    "Labels": {"kind": "test", "n": "1"},
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/v": {}},
    "WorkingDir": "/tmp",
    "User": "1000",
    "StopSignal": "SIGUSR1",
    "OnBuild": ["RUN true"],
    "Shell": ["/bin/ash", "-c"],
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 3600 * 10**9},
}


def load(s: Session, data: bytes, query: str = "quiet=1") -> None:
    s.call("POST", f"/images/load?{query}", data, TAR)


def furnish(s: Session) -> None:
    """busybox, `first:1` and `first:2` (one image), `second:1` on top of `first`."""
    base = image.busybox_layer()
    images = {
        "first:1": (CONFIG, [base, layer(one="1")]),
        "second:1": ({"Cmd": ["true"], "Labels": {"kind": "other"}}, [base, layer(one="1"), layer(two="2")]),
    }
    assert s.client.request("POST", "/images/load?quiet=1", image.archive(images), TAR).status == 200
    assert s.client.post("/images/first:1/tag?repo=first&tag=2").status == 201


def outcome(answer: Answer) -> dict:
    """The words of a refusal."""
    return {"message": answer.message} if answer.status >= 400 else {}


def sorted_list(s: Session, path: str) -> None:
    """Record a list of images by their names: all of them were made at the same time."""
    answer = s.client.get(path)
    found = answer.json()
    if isinstance(found, list):
        for row in found:
            row["RepoTags"] = sorted(row["RepoTags"] or [])
        found.sort(key=lambda row: row["RepoTags"])
    s.record(f"GET {unquote(path)}", found, answer.status)


FILTERS = (
    '{"reference":["first"]}',
    '{"reference":["first:1"]}',
    '{"reference":["*:1"]}',
    '{"reference":["first","second"]}',
    '{"reference":["f*:[12]"]}',
    '{"reference":["docker.io/library/first"]}',
    '{"reference":["[garbage"]}',
    '{"label":["kind"]}',
    '{"label":["kind=test"]}',
    '{"label":["kind=test","n=1"]}',
    '{"label":["kind=none"]}',
    '{"label!":["kind=test"]}',
    '{"dangling":["false"]}',
    '{"dangling":["1"]}',
    '{"before":["busybox"]}',
    '{"since":["busybox"]}',
    '{"before":["first:1"]}',
    '{"since":["nonesuch"]}',
    '{"until":["2020-01-01"]}',
    '{"until":["1h"]}',
    '{"until":["garbage"]}',
    '{"reference":["first"],"label":["kind=test"]}',
    '{"reference":["first"],"label":["kind=other"]}',
)


@case
def lists(s):
    furnish(s)
    for path in ("", "?all=1", "?digests=1", "?shared-size=1", "?manifests=1", "?filter=first"):
        sorted_list(s, f"/images/json{path}")
    for wanted in FILTERS:
        sorted_list(s, filtered("/images/json", wanted))


@case
def a_list_counts_containers(s):
    s.post("/containers/create?name=alpha", {"Image": "busybox", "HostConfig": {"NetworkMode": "none"}})
    sorted_list(s, "/images/json")


@case
def inspections(s):
    furnish(s)
    for name in ("first:1", "first:2", "second:1", "second", "first", "docker.io/library/first:1", "library/first:1"):
        s.get(f"/images/{name}/json")
    s.get("/images/first:1/json?manifests=1")
    s.get("/images/first:1/json?platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22amd64%22%7D")
    s.get("/images/first:1/json?platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm64%22%7D")
    s.get("/images/first:1/json?platform=garbage")


@case
def histories(s):
    furnish(s)
    for name in ("first:1", "second:1"):
        s.get(f"/images/{name}/history")
    s.get("/images/first:1/history?platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm64%22%7D")
    s.get("/images/first:1/history?platform=garbage")


@case
def ids_and_digests(s):
    furnish(s)
    identity = s.quietly("GET", "/images/first:1/json")["Id"]
    full = identity.removeprefix("sha256:")
    for name in (
        identity,
        full,
        full[:12],
        identity[:20],
        full[:2],
        full[0],
        "sha256:",
        "sha256:" + "0" * 64,
        "0" * 64,
    ):
        s.get(f"/images/{name}/json")
    for name in (f"first@{identity}", f"first:1@{identity}", f"busybox@{identity}", f"nonesuch@{identity}"):
        s.get(f"/images/{name}/json")
    s.post("/containers/create?name=alpha", {"Image": full[:12], "HostConfig": {"NetworkMode": "none"}})
    s.get("/containers/alpha/json")
    s.post(f"/images/{full[:12]}/tag?repo=third")
    s.get("/images/third/json")


def ambiguous() -> tuple[bytes, str]:
    """Images whose ids begin alike, as an archive, with the beginning."""
    base, seen = image.busybox_layer(), {}
    for number in range(300):
        config = {"Cmd": ["true"], "Labels": {"n": str(number)}}
        document = {
            "architecture": "amd64",
            "os": "linux",
            "created": image.CREATED,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{image.sha256(base)}"]},
            "history": [{"created": image.CREATED, "created_by": "layer 0"}],
        }
        start = image.sha256(image.document(document))[:2]
        if start in seen:
            return image.archive({"twin:1": (seen[start], [base]), "twin:2": (config, [base])}), start
        seen[start] = config
    raise AssertionError("no two of 300 digests begin with the same byte")


@case
def ambiguous_ids(s):
    data, start = ambiguous()
    assert s.client.request("POST", "/images/load?quiet=1", data, TAR).status == 200
    s.get(f"/images/{start}/json")
    s.get(f"/images/sha256:{start}/json")
    s.get(f"/images/{start}/history")
    s.delete(f"/images/{start}")
    s.post(f"/images/{start}/tag?repo=x")
    s.post("/containers/create?name=alpha", {"Image": start})


@case
def removals_by_name(s):
    furnish(s)
    s.delete("/images/first:1")
    s.delete("/images/first:1")
    s.delete("/images/second")
    s.delete("/images/second:1")
    s.delete("/images/first:2")
    sorted_list(s, "/images/json")


@case
def removals_by_id(s):
    furnish(s)
    first, second = (s.quietly("GET", f"/images/{name}/json")["Id"] for name in ("first:1", "second:1"))
    s.delete(f"/images/{first}")
    s.delete(f"/images/{second[7:19]}")
    s.delete(f"/images/{first}?force=1")
    sorted_list(s, "/images/json")


@case
def removals_without_prune(s):
    furnish(s)
    s.delete("/images/second:1?noprune=1")
    sorted_list(s, "/images/json?all=1")


@case
def removal_under_containers(s):
    furnish(s)
    host = {"NetworkMode": "none"}
    s.post("/containers/create?name=made", {"Image": "second:1", "HostConfig": host})
    s.run("runner", "sleep 100", Image="first:1")
    identity = s.quietly("GET", "/images/first:1/json")["Id"]
    s.delete("/images/second:1")
    s.delete("/images/first:1")
    s.delete("/images/first:2")
    s.delete(f"/images/{identity}")
    s.delete(f"/images/{identity}?force=1")
    s.delete("/images/second:1?force=1")
    s.delete("/images/first:2?force=1")
    sorted_list(s, "/images/json")
    s.get("/containers/runner/json")
    s.get("/containers/json?all=1")
    s.post("/containers/made/start")


@case
def an_older_image_loses_its_name(s):
    base = image.busybox_layer()
    for number in "12":
        data = image.archive({"moving:1": ({"Labels": {"n": number}}, [base, layer(n=number)])})
        load(s, data)
    sorted_list(s, "/images/json")
    sorted_list(s, filtered("/images/json", '{"dangling":["true"]}'))
    s.post("/images/prune")
    sorted_list(s, "/images/json")


@case
def prunes(s):
    furnish(s)
    for wanted in (
        '{"dangling":["true"]}',
        '{"dangling":["false"],"label":["kind=other"]}',
        '{"dangling":["false"],"label!":["kind"]}',
        '{"dangling":["false"],"until":["2020-01-01T00:00:00"]}',
        '{"dangling":["garbage"]}',
        '{"until":["garbage"]}',
        '{"until":["1h","2h"]}',
        '{"nonesuch":["x"]}',
    ):
        prune(s, wanted)
    s.post("/containers/create?name=alpha", {"Image": "first:1", "HostConfig": {"NetworkMode": "none"}})
    s.post("/containers/create?name=beta", {"Image": "busybox", "HostConfig": {"NetworkMode": "none"}})
    prune(s, '{"dangling":["0"]}')
    sorted_list(s, "/images/json")


def prune(s: Session, wanted: str) -> None:
    """Record what a prune removes; the order of images is arbitrary."""
    answer = s.client.post(filtered("/images/prune", wanted))
    found = answer.json()
    if isinstance(found.get("ImagesDeleted"), list):
        found["ImagesDeleted"].sort(key=json.dumps)
    s.record(f"prune {wanted}", found, answer.status)


def contents(data: bytes) -> dict:
    """The documents of a saved archive, and the digests of its other files."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            if member.isfile():
                body = tar.extractfile(member).read()
                name = member.name
                found[name] = json.loads(body) if name.endswith(".json") or name == "repositories" else digest(body)
            elif member.issym() or member.islnk():
                found[member.name] = f"-> {member.linkname}"
    return found


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


@case
def saved_documents(s):
    furnish(s)
    for path in ("/images/first:1/get", "/images/get?names=first:1&names=second:1", "/images/first/get"):
        found = contents(s.client.get(path).body)
        manifest = sorted(found["manifest.json"], key=lambda entry: entry["Config"])
        for entry in manifest:
            entry["RepoTags"] = sorted(entry["RepoTags"] or [])
        s.record(path, [[entry["Config"], entry["RepoTags"], len(entry["Layers"])] for entry in manifest])
        s.record(f"{path} repositories", {name: sorted(tags) for name, tags in found["repositories"].items()})
        s.record(f"{path} configs", [found[entry["Config"]] for entry in manifest])
        s.record(f"{path} layout", found["oci-layout"] if isinstance(found["oci-layout"], dict) else "there")
        s.record(f"{path} layers", sorted({layer for entry in manifest for layer in entry["Layers"]}))


@case
def saves_that_can_not_be(s):
    for path in (
        "/images/nonesuch/get",
        "/images/get",
        "/images/get?names=busybox&names=nonesuch",
        "/images/UPPER/get",
        "/images/busybox/get?platform=garbage",
        "/images/busybox/get?platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm64%22%7D",
    ):
        answer = s.client.get(path)
        s.record(path, outcome(answer), answer.status)


@case
def loads(s):
    data = image.busybox_archive("other:1", {"Cmd": ["true"]})
    load(s, data)
    load(s, data)
    load(s, data, "quiet=garbage")
    several = image.archive({"a:1": ({}, [image.busybox_layer()]), "b:1": ({"Cmd": ["x"]}, [image.busybox_layer()])})
    load(s, several)
    sorted_list(s, "/images/json")


@case
def a_saved_image_comes_back(s):
    furnish(s)
    before = s.quietly("GET", "/images/second:1/json")["Id"]
    data = s.client.get("/images/second:1/get").body
    s.delete("/images/second:1")
    load(s, data)
    s.record("the same", s.quietly("GET", "/images/second:1/json")["Id"] == before)
    s.get("/images/second:1/json")


@case
def imports(s):
    data = layer(file="text")
    for query in (
        "repo=made&tag=1",
        "repo=made&tag=2&message=words",
        "repo=made&tag=3&changes=CMD%20sleep%209&changes=ENV%20A%3D1",
        "repo=made&tag=4&changes=GARBAGE%20x",
        "repo=BAD",
        "repo=made&tag=5&platform=linux/arm64",
        "repo=made&tag=6&platform=garbage/x/y/z",
    ):
        answer = s.client.request("POST", f"/images/create?fromSrc=-&{query}", data, TAR)
        s.record(query, outcome(answer), answer.status)
    for tag in "123":
        found = s.quietly("GET", f"/images/made:{tag}/json")
        kept = ("Comment", "Author", "Config", "Architecture", "Os", "Size", "RootFS", "RepoTags")
        s.record(f"made:{tag}", {key: found.get(key) for key in kept})
    s.record("made:5", s.quietly("GET", "/images/made:5/json")["Architecture"])


CHANGES = (
    "CMD echo a b",
    'CMD ["echo", "a b"]',
    "ENTRYPOINT sh -c",
    'ENTRYPOINT ["sh"]',
    "ENV A=1 B=two\\ words",
    "ENV A old form",
    "EXPOSE 80 90/udp",
    "EXPOSE 100-102",
    "LABEL a=1 b='two words'",
    "ONBUILD RUN true",
    "USER 1000:50",
    "VOLUME /a /b",
    'VOLUME ["/c d"]',
    "WORKDIR /tmp",
    "WORKDIR relative",
    "STOPSIGNAL SIGUSR1",
    "HEALTHCHECK --interval=5s --retries=2 CMD true",
    "HEALTHCHECK NONE",
    'SHELL ["/bin/ash", "-c"]',
    "MAINTAINER me",
    "RUN true",
    "COPY a b",
    "STOPSIGNAL NONESUCH",
    "EXPOSE garbage",
    "cmd lower case",
    "",
)


@case
def commits_with_changes(s):
    body = {"Image": "busybox", "Cmd": ["sleep", "9"], "HostConfig": {"NetworkMode": "none"}, "WorkingDir": "/etc"}
    s.post("/containers/create?name=alpha", body)
    for number, change in enumerate(CHANGES):
        words = quote(change, safe="")
        answer = s.client.post(f"/commit?container=alpha&repo=made&tag={number}&changes={words}&author=me&comment=c")
        s.record(change, outcome(answer), answer.status)
        if answer.status == 201:
            found = s.quietly("GET", f"/images/made:{number}/json")
            s.record(f"{change}: image", [found["Config"], found["Author"], found["Comment"]])


@case
def commits_with_a_configuration(s):
    s.run("alpha", "sleep", "100", Labels={"a": "b"}, Env=["X=1"])
    document = {
        "Cmd": ["true"],
        "Labels": {"c": "d"},
        "Env": ["Y=2"],
        "WorkingDir": "/tmp",
        "ExposedPorts": {"80/tcp": {}},
    }
    for query in ("", "&pause=0", "&pause=1", "&pause=garbage"):
        answer = s.client.post(f"/commit?container=alpha&repo=made&tag=x{query}", document)
        s.record(query, answer.status)
        s.record(f"{query}: image", s.quietly("GET", "/images/made:x/json")["Config"])
    s.get("/containers/json")


@case
def tags_of_all_kinds(s):
    for query in (
        "repo=x/y/z&tag=1",
        "repo=localhost:5000/x",
        "repo=example.com/x&tag=v1.0_x-y",
        "repo=x:1",
        "repo=x:1&tag=2",
        "repo=x&tag=-bad",
        "repo=x&tag=" + "a" * 128,
        "repo=x&tag=" + "a" * 129,
        "repo=" + "a" * 300,
        "repo=x@sha256:" + "0" * 64,
        "repo=sha256:x",
        "repo=" + "0" * 64,
        "repo=x//y",
        "repo=x/",
        "repo=Docker.io/x",
        "repo=docker.io/x",
        "repo=index.docker.io/library/x&tag=9",
    ):
        s.post(f"/images/busybox/tag?{query}")
    sorted_list(s, "/images/json")


@case
def disk_usage_of_images(s):
    furnish(s)
    found = s.quietly("GET", "/system/df?type=image")
    for row in found["Images"]:
        row["RepoTags"] = sorted(row["RepoTags"])
    found["Images"].sort(key=lambda row: row["RepoTags"])
    found.pop("Sampan", None)
    s.record("df", found)


@pytest.mark.parametrize("name", CASES)
def test_images(pair, name):
    try:
        JUDGE.compare(pair, CASES[name])
    finally:
        for engine in pair:
            clean(engine)
