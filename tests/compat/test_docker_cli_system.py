"""The docker command line: version, info, events."""

from __future__ import annotations

import json
import time

IMAGE = "busybox"


def test_version_names_client_and_server(docker):
    shown = docker.json("version", "--format", "{{json .}}")
    assert shown["Server"]["ApiVersion"] == "1.51"
    assert shown["Server"]["MinAPIVersion"] == "1.24"
    assert shown["Server"]["Os"] == "linux"
    assert shown["Client"]["ApiVersion"] == "1.51"


def test_an_older_client_is_served(docker):
    docker.environment["DOCKER_API_VERSION"] = "1.41"
    assert docker.ok("run", "--rm", IMAGE, "echo", "old") == "old"
    assert docker.json("version", "--format", "{{json .Client}}")["ApiVersion"] == "1.41"


def test_too_old_a_client_is_refused(docker):
    docker.environment["DOCKER_API_VERSION"] = "1.12"
    assert "client version 1.12 is too old" in docker.fails("ps")
    del docker.environment["DOCKER_API_VERSION"]


def test_info(docker):
    docker.ok("run", "-d", "--name", "counted", IMAGE, "sleep", "100")
    docker.ok("create", "--name", "created", IMAGE)
    shown = docker.json("info", "--format", "{{json .}}")
    assert (shown["Containers"], shown["ContainersRunning"], shown["ContainersStopped"]) == (2, 1, 1)
    assert shown["Images"] == 1
    assert shown["Driver"] == "overlay2" and shown["OSType"] == "linux"
    assert shown["NCPU"] > 0 and shown["MemTotal"] > 0
    assert "runc" in shown["Runtimes"]


def test_info_as_text(docker):
    shown = docker.ok("info")
    assert "Storage Driver: overlay2" in shown and "Server Version:" in shown


def lines(text):
    return [json.loads(line) for line in text.split("\n") if line]


def test_events_of_one_container(docker):
    since = time.time()
    docker.ok("run", "--rm", "--name", "eventful", "--net", "none", IMAGE, "true")
    window = ["--since", f"{since:.6f}", "--until", f"{time.time() + 1:.6f}"]
    shown = lines(docker.ok("events", *window, "--filter", "container=eventful", "--format", "{{json .}}"))
    assert [event["Action"] for event in shown] == ["create", "attach", "start", "die", "destroy"]
    die = shown[3]["Actor"]["Attributes"]
    assert (die["exitCode"], die["image"], die["name"]) == ("0", "busybox", "eventful")


def test_events_filters(docker):
    since = time.time()
    docker.ok("run", "--name", "first", "-l", "kind=a", "--net", "none", IMAGE, "true")
    docker.fails("run", "--name", "second", "--net", "none", IMAGE, "sh", "-c", "exit 3", code=3)
    window = ["--since", f"{since:.6f}", "--until", f"{time.time() + 1:.6f}"]

    def found(*filters):
        flags = [word for item in filters for word in ("--filter", item)]
        shown = lines(docker.ok("events", *window, *flags, "--format", "{{json .}}"))
        return [(event["Action"], event["Actor"]["Attributes"].get("name")) for event in shown]

    assert found("event=die") == [("die", "first"), ("die", "second")]
    assert found("event=start", "container=second") == [("start", "second")]
    assert found("label=kind=a", "event=die") == [("die", "first")]
    assert found("type=image") == []
    assert {name for _, name in found("type=container", "image=busybox")} == {"first", "second"}


def test_events_stream_live(docker):
    import subprocess

    since = f"{time.time():.6f}"
    docker.ok("run", "--rm", "--name", "before", "--net", "none", IMAGE, "true")
    flags = ("--since", since, "--filter", "event=die", "--format", "{{.Actor.Attributes.name}}")
    watcher = docker.popen("events", *flags, stdout=subprocess.PIPE)
    try:
        assert watcher.stdout.readline() == b"before\n"
        docker.ok("run", "--rm", "--name", "live", "--net", "none", IMAGE, "true")
        assert watcher.stdout.readline() == b"live\n"
    finally:
        watcher.kill()
        watcher.wait()


def test_events_of_images(docker):
    since = time.time()
    docker.ok("tag", IMAGE, "event:1")
    docker.ok("rmi", "event:1")
    window = ["--since", f"{since:.6f}", "--until", f"{time.time() + 1:.6f}"]
    assert docker.ok("events", *window, "--filter", "type=image", "--format", "{{.Action}}").split() == ["tag", "untag"]
