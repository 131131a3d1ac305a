"""The docker command line pushes and pulls through an engine: Debian's docker-registry, and ours with TLS and tokens.

All expectations are those of a genuine dockerd (SAMPAN_TEST_HOST=genuine), but where a test says otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from rig import image
from rig.care import load, started, stop_and_check
from rig.docker_cli import DockerCli
from rig.engines import TEST_HOST, Engine, GenuineDockerd, Sampand, peer_binary
from rig.registries import PASSWORD, USER, DebianRegistry, OurRegistry, ServedRegistry

PLAIN, PRIVATE = "127.0.0.1:5000", "127.0.0.1:5443"
INSECURE, UNKNOWN = "10.98.76.1:5000", "10.98.76.2:5000"
FLAGS = (f"--registry-mirror=http://{PLAIN}", f"--insecure-registry={INSECURE}")
GENUINE = TEST_HOST == "genuine"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def engine(peers) -> Iterator[Engine]:
    if TEST_HOST not in ("", "genuine"):
        pytest.skip("needs an engine with flags of its own")
    daemon = started(GenuineDockerd(flags=FLAGS) if GENUINE else Sampand(flags=FLAGS))
    for address in (INSECURE, UNKNOWN):
        daemon.network.run("ip", "address", "add", f"{address.partition(':')[0]}/32", "dev", "lo")
    yield daemon
    if isinstance(daemon, Sampand):
        stop_and_check(daemon)
    else:
        daemon.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sampan-registries-", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def debian(engine, folder) -> Iterator[ServedRegistry]:
    registry = DebianRegistry(engine, folder / "debian", PLAIN)
    registry.start()
    yield registry
    registry.close()


@pytest.fixture(scope="module")
def ours(engine, folder) -> Iterator[ServedRegistry]:
    registry = OurRegistry(engine, folder / "ours", PRIVATE)
    registry.start()
    yield registry
    registry.close()


@pytest.fixture
def docker(docker_binary, engine, debian, ours, tmp_path) -> Iterator[DockerCli]:
    load(engine)
    cli = DockerCli(docker_binary, engine.host, tmp_path / "docker-config")
    yield cli
    cli.remove_all_containers()
    images = cli.ok("images", "-aq", "--no-trunc").split()
    if images:
        cli.run("rmi", "-f", *dict.fromkeys(images))


@pytest.fixture(params=[PLAIN, PRIVATE], ids=["debian", "ours"])
def registry(request, docker) -> str:
    """A registry that the command line is logged in to, where that needs be."""
    if request.param == PRIVATE:
        log_in(docker)
    return str(request.param)


def log_in(docker: DockerCli, password: str = PASSWORD) -> str:
    return docker.ok("login", "-u", USER, "--password-stdin", PRIVATE, stdin=password.encode())


def made_image(docker: DockerCli, name: str, text: str, layers: int = 1, **config: object) -> None:
    """Load an image like busybox with layers of its own."""
    extra = []
    for number in range(layers):
        layer = image.Layer()
        layer.add(f"{text}{number}", f"{text} {number}\n".encode() * 1000)
        extra.append(layer.finish())
    docker.ok("load", stdin=image.busybox_archive(name, {"Cmd": ["sh"], "Env": ["PATH=/bin"], **config}, extra))


def pushed(docker: DockerCli, name: str, text: str = "pushed", layers: int = 1) -> str:
    """Make an image, push it, remove it; its digest."""
    made_image(docker, name, text, layers)
    digest = DIGEST.search(docker.ok("push", name).rpartition("digest: ")[2])[0]
    docker.ok("rmi", name)
    return digest


def crane(engine: Engine, *words: str) -> str:
    done = subprocess.run(
        [*engine.network.prefix, peer_binary("crane"), *words, "--insecure"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def multi_platform(engine: Engine, docker: DockerCli, repository: str) -> tuple[str, str]:
    """An index of an amd64 and an arm64 image at `repository`:1; the index's digest and bytes."""
    for architecture in ("amd64", "arm64"):
        pushed(docker, f"{repository}:{architecture}", architecture)
        crane(engine, "mutate", f"{repository}:{architecture}", "--set-platform", f"linux/{architecture}",
              "-t", f"{repository}:{architecture}")  # fmt: skip
    entries = [word for name in ("arm64", "amd64") for word in ("-m", f"{repository}:{name}")]
    crane(engine, "index", "append", *entries, "-t", f"{repository}:1")
    raw = crane(engine, "manifest", f"{repository}:1").removesuffix("\n")
    return crane(engine, "digest", f"{repository}:1").strip(), raw


def test_push_and_pull(docker, registry):
    name = f"{registry}/first/busybox:1"
    digest = pushed(docker, name, layers=3)
    said = docker.ok("pull", name)
    assert said.split("\n")[0] == "1: Pulling from first/busybox"
    assert f"Digest: {digest}\nStatus: Downloaded newer image for {name}\n{name}" in said
    shown = docker.inspect(name)
    assert shown["RepoTags"] == [name]
    assert shown["RepoDigests"] == [f"{registry}/first/busybox@{digest}"]
    assert docker.ok("run", "--rm", name, "cat", "/pushed2").split("\n")[0] == "pushed 2"
    assert f"Status: Image is up to date for {name}" in docker.ok("pull", name)


def test_run_pulls_first(docker, registry):
    name = f"{registry}/run/busybox:1"
    pushed(docker, name)
    done = docker.run("run", "--rm", name, "echo", "hello")
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    assert b"Unable to find image" in done.stderr and b"Status: Downloaded newer image" in done.stderr


def test_pull_by_digest(docker, registry):
    digest = pushed(docker, f"{registry}/digest/busybox:1")
    name = f"{registry}/digest/busybox@{digest}"
    said = docker.ok("pull", name)
    assert f"Digest: {digest}\nStatus: Downloaded newer image for {name}" in said
    shown = docker.inspect(name)
    assert (shown["RepoTags"], shown["RepoDigests"]) == ([], [name])
    assert f"Untagged: {name}" in docker.ok("rmi", name)
    assert docker.run("inspect", name).returncode == 1


def test_all_tags(docker, registry):
    names = [f"{registry}/many/busybox:{tag}" for tag in ("1", "2", "3")]
    for number, name in enumerate(names):
        made_image(docker, name, f"text{number}")
    said = docker.ok("push", "--all-tags", f"{registry}/many/busybox")
    assert [line.partition(":")[0] for line in said.split("\n") if "digest: sha256" in line] == ["1", "2", "3"]
    docker.ok("rmi", *names)
    docker.ok("pull", "--all-tags", f"{registry}/many/busybox")
    assert sorted(docker.inspect(name)["RepoTags"][0] for name in names) == names


def test_a_push_of_what_is_there_sends_nothing(docker, registry):
    name = f"{registry}/again/busybox:1"
    made_image(docker, name, "again")
    docker.ok("push", name)
    said = docker.ok("push", name)
    assert "Layer already exists" in said and "Pushed" not in said


def test_layers_are_mounted_from_another_repository(docker, registry):
    first, second = f"{registry}/mount/one:1", f"{registry}/mount/two:1"
    made_image(docker, first, f"mounted{registry}")
    docker.ok("push", first)
    docker.ok("tag", first, second)
    assert "Mounted from mount/one" in docker.ok("push", second)


def test_login_and_logout(docker):
    name = f"{PRIVATE}/private/busybox:1"
    made_image(docker, name, "private")
    refused = docker.fails("push", name)
    assert "denied" in refused or "unauthorized" in refused
    refused = docker.fails("login", "-u", USER, "--password-stdin", PRIVATE, stdin=b"wrong")
    assert "unauthorized" in refused.lower() or GENUINE, "dockerd goes on to http and tells of that"
    assert "Login Succeeded" in log_in(docker)
    docker.ok("push", name)
    docker.ok("logout", PRIVATE)
    said = docker.fails("pull", name)
    assert "denied" in said or "unauthorized" in said


def test_anybody_pulls_what_is_public(docker):
    name = f"{PRIVATE}/public/busybox:1"
    log_in(docker)
    pushed(docker, name)
    docker.ok("logout", PRIVATE)
    docker.ok("pull", name)
    refused = docker.fails("push", name)
    assert "denied" in refused or "unauthorized" in refused


def test_what_is_not_there(docker, registry):
    name = f"{registry}/nothing/here:1"
    assert "not found" in docker.fails("pull", name) or "not exist" in docker.fails("pull", name)
    assert "does not exist locally with the tag" in docker.fails("push", name)
    docker.fails("run", "--rm", name, code=125)


def auth_header(registry: str) -> dict[str, str]:
    if registry == PLAIN:
        return {}
    known = {"username": USER, "password": PASSWORD, "serveraddress": registry}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(known).encode()).decode()}


def test_distribution_inspect(docker, engine, registry):
    name = f"{registry}/looked/busybox:1"
    digest = pushed(docker, name)
    with engine.client() as client:
        answer = client.request("GET", f"/distribution/{name}/json", None, auth_header(registry))
        assert answer.status == 200, answer.message
        shown = answer.json()
        assert shown["Descriptor"]["digest"] == digest and shown["Descriptor"]["size"] > 100
        assert [(p["os"], p["architecture"]) for p in shown["Platforms"]] == [("linux", "amd64")]
        missing = client.request("GET", f"/distribution/{registry}/looked/none:1/json", None, auth_header(registry))
        assert missing.status in (401, 403, 404), missing.message


def test_auth_endpoint(docker, engine):
    with engine.client() as client:
        good = client.post("/auth", {"username": USER, "password": PASSWORD, "serveraddress": PRIVATE})
        assert good.status == 200 and good.json()["Status"] == "Login Succeeded"
        bad = client.post("/auth", {"username": USER, "password": "wrong", "serveraddress": PRIVATE})
        assert bad.status == 500 if GENUINE else bad.status == 401 and "unauthorized" in bad.message.lower()


def test_the_platform_is_chosen(docker, engine):
    repository = f"{PLAIN}/platforms/busybox"
    digest, raw = multi_platform(engine, docker, repository)
    assert f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}" == digest
    assert f"Digest: {digest}" in docker.ok("pull", f"{repository}:1")
    shown = docker.inspect(f"{repository}:1")
    assert (shown["Architecture"], shown["RepoDigests"]) == ("amd64", [f"{repository}@{digest}"])
    said = docker.ok("pull", "--platform", "linux/arm64", f"{repository}:1")
    assert "Downloaded newer image" in said
    assert docker.inspect(f"{repository}:1")["Architecture"] == "arm64"
    assert "no matching manifest for linux/s390x" in docker.fails(
        "pull", "--platform", "linux/s390x", f"{repository}:1"
    )
    with engine.client() as client:
        shown = client.get(f"/distribution/{repository}:1/json").json()
    assert sorted(p["architecture"] for p in shown["Platforms"]) == ["amd64", "arm64"]


@pytest.mark.skipif(GENUINE, reason="dockerd's own image store keeps no index")
def test_an_index_stays_byte_for_byte(docker, engine):
    """Pushed elsewhere an image goes as its own manifest; an index goes where all of it is here."""
    repository, other = f"{PLAIN}/kept/busybox", f"{PLAIN}/kept/other"
    _, raw = multi_platform(engine, docker, repository)
    docker.ok("pull", f"{repository}:1")
    docker.ok("tag", f"{repository}:1", f"{other}:one")
    docker.ok("push", f"{other}:one")
    assert crane(engine, "manifest", f"{other}:one") == crane(engine, "manifest", f"{repository}:amd64")
    docker.ok("pull", "--platform", "linux/arm64", f"{repository}:1")
    docker.ok("pull", f"{repository}:1")
    docker.ok("tag", f"{repository}:1", f"{other}:both")
    docker.ok("push", f"{other}:both")
    assert crane(engine, "manifest", f"{other}:both").removesuffix("\n") == raw


@pytest.mark.skipif(GENUINE, reason="dockerd's own image store packs layers anew")
def test_the_digest_stays_through_push_pull_save_load(docker, engine, registry):
    name, other = f"{registry}/same/busybox:1", f"{registry}/same/other:1"
    pushed(docker, name, layers=2)
    docker.ok("pull", name)
    before = docker.inspect(name)
    archive = docker.run("save", name).stdout
    docker.ok("rmi", name)
    docker.ok("load", stdin=archive)
    docker.ok("tag", name, other)
    digest = DIGEST.search(docker.ok("push", other).rpartition("digest: ")[2])[0]
    assert before["RepoDigests"] == [f"{registry}/same/busybox@{digest}"]
    assert docker.inspect(other)["Id"] == before["Id"]
    with tarfile.open(fileobj=io.BytesIO(archive)) as saved:
        assert f"blobs/sha256/{digest.removeprefix('sha256:')}" in saved.getnames()


def test_a_mirror_answers_for_docker_io(docker):
    pushed(docker, f"{PLAIN}/library/mirrored:1")
    said = docker.ok("pull", "mirrored:1")
    assert said.split("\n")[0] == "1: Pulling from library/mirrored"
    assert docker.inspect("mirrored:1")["RepoDigests"][0].startswith("mirrored@sha256:")


def test_insecure_registries(docker):
    name = f"{INSECURE}/insecure/busybox:1"
    pushed(docker, name)
    docker.ok("pull", name)
    assert "HTTP response to HTTPS client" in docker.fails("pull", f"{UNKNOWN}/insecure/busybox:1") or not GENUINE


def test_rmi_of_a_pulled_image(docker, registry):
    name = f"{registry}/removed/busybox:1"
    digest = pushed(docker, name)
    docker.ok("pull", name)
    identity = docker.inspect(name)["Id"]
    said = docker.ok("rmi", name).split("\n")
    assert said[:3] == [
        f"Untagged: {name}",
        f"Untagged: {registry}/removed/busybox@{digest}",
        f"Deleted: {identity}",
    ]
    assert len(said) > 3
    pulled_again = docker.ok("pull", name)
    assert f"Status: Downloaded newer image for {name}" in pulled_again


def test_events(docker, engine, registry):
    name = f"{registry}/events/busybox:1"
    made_image(docker, name, "events")
    since = docker.ok("info", "--format", "{{.SystemTime}}")
    docker.ok("push", name)
    docker.ok("pull", name)
    until = docker.ok("info", "--format", "{{.SystemTime}}")
    told = docker.ok("events", "--since", since, "--until", until, "--filter", "type=image", "--format", "{{json .}}")
    events = [json.loads(line) for line in told.split("\n") if line]
    shown = [(e["Action"], e["Actor"]["ID"], e["Actor"]["Attributes"]["name"]) for e in events]
    repository = name.removesuffix(":1")
    assert shown == [("push", name, repository), ("pull", name, repository)]


def lines_of(engine: Engine, path: str, registry: str) -> list[dict]:
    with engine.client() as client:
        answer = client.request("POST", path, None, auth_header(registry) or {"X-Registry-Auth": "e30="})
        assert answer.status == 200, answer.message
        return [json.loads(line) for line in answer.body.split(b"\r\n") if line]


def stages(lines: list[dict]) -> dict[str, list[str]]:
    """The states of each layer in their order, repeated ones once."""
    told: dict[str, list[str]] = {}
    for line in lines:
        if line.get("id") and "progressDetail" in line:
            states = told.setdefault(line["id"], [])
            if not states or states[-1] != line["status"]:
                states.append(line["status"])
    return told


ORDER = [
    "Pulling fs layer", "Waiting", "Downloading", "Verifying Checksum", "Download complete", "Extracting",
    "Pull complete",
]  # fmt: skip


def test_lines_of_a_pull(docker, engine, registry):
    name = f"{registry}/lines/busybox"
    pushed(docker, f"{name}:1", layers=6)
    docker.run("rmi", "-f", "busybox")
    lines = lines_of(engine, f"/images/create?fromImage={quote(name, safe='')}&tag=1", registry)
    assert lines[0] == {"status": "Pulling from lines/busybox", "id": "1"}
    assert [line["status"].partition(":")[0] for line in lines[-2:]] == ["Digest", "Status"]
    told = stages(lines)
    assert len(told) == 7
    for states in told.values():
        assert states == [state for state in ORDER if state in states], states
        assert {"Pulling fs layer", "Pull complete"} <= set(states)
    complete = [line["id"] for line in lines if line.get("status") == "Pull complete"]
    assert complete == list(told), "layers are made from the bottom up"
    assert any("Waiting" in states for states in told.values())
    assert all(line["progressDetail"]["total"] for line in lines if line.get("status") == "Extracting")


def test_lines_of_a_push(docker, engine, registry):
    name = f"{registry}/lines/pushed{registry.rpartition(':')[2]}"
    made_image(docker, f"{name}:1", f"lines{registry}", layers=3)
    lines = lines_of(engine, f"/images/{name}/push?tag=1", registry)
    assert lines[0] == {"status": f"The push refers to repository [{name}]"}
    assert re.fullmatch(r"1: digest: sha256:[0-9a-f]{64} size: \d+", lines[-2]["status"])
    assert set(lines[-1]["aux"]) == {"Tag", "Digest", "Size"}
    told = stages(lines)
    diffs = [diff.removeprefix("sha256:")[:12] for diff in docker.inspect(f"{name}:1")["RootFS"]["Layers"]]
    assert sorted(told) == sorted(diffs)
    for states in told.values():
        assert states[0] == "Preparing"
        assert states[-1] in ("Pushed", "Layer already exists") or states[-1].startswith("Mounted from")


def test_pulls_of_the_same_image_at_once(docker, engine, debian):
    name = f"{PLAIN}/once/busybox"
    pushed(docker, f"{name}:1", layers=4)
    failures: list[str] = []

    def pull() -> None:
        told = lines_of(engine, f"/images/create?fromImage={quote(name, safe='')}&tag=1", PLAIN)
        failures.extend(line["error"] for line in told if "error" in line)

    threads = [threading.Thread(target=pull) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert docker.ok("run", "--rm", f"{name}:1", "cat", "/pushed3").split("\n")[0] == "pushed 3"
    docker.run("save", f"{name}:1", "-o", os.devnull)
