"""`sampan registry serve` in a container of sampand's, pushed to and pulled from by way of its published port."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

import sampan
from rig.docker_cli import DockerCli
from rig.engines import TEST_HOST

pytestmark = pytest.mark.root
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def start_registry(docker: DockerCli) -> str:
    """The registry by this machine's Python, its data in a volume; where it is published."""
    source = Path(sampan.__file__).parents[1]
    mounts = {"/usr": "/usr", "/usr/lib": "/lib", "/usr/lib64": "/lib64", sys.prefix: sys.prefix, source: source}
    shared = [word for host, place in mounts.items() if Path(host).is_dir() for word in ("-v", f"{host}:{place}:ro")]
    serve = [
        sys.executable,
        "-m",
        "sampan.cli.main",
        "registry",
        "serve",
        "--listen",
        "0.0.0.0:5000",
        "--root",
        "/data",
    ]
    flags = ["-d", "--name", "registry", "-p", "127.0.0.1::5000", "-v", "registry-data:/data"]
    docker.ok("run", *flags, "-e", f"PYTHONPATH={source}", *shared, "busybox", *serve)
    end = time.monotonic() + 60
    while "listening on" not in (said := docker.run("logs", "registry").stderr.decode()):
        assert time.monotonic() < end, said
        time.sleep(0.1)
    return docker.ok("port", "registry", "5000/tcp").strip()


def test_a_registry_in_a_container(docker):
    if TEST_HOST:
        pytest.skip("the given engine may not see this tree's files")
    address = start_registry(docker)
    name = f"{address}/in/container:1"
    docker.ok("tag", "busybox", name)
    digest = DIGEST.search(docker.ok("push", name).rpartition("digest: ")[2])[0]
    docker.ok("rmi", name)
    assert digest in docker.ok("pull", name)
    assert docker.ok("run", "--rm", name, "echo", "pulled") == "pulled"
    assert '"PUT /v2/in/container/manifests/1" 201' in docker.run("logs", "registry").stderr.decode()

    docker.ok("stop", "-t", "60", "registry")
    assert docker.ok("inspect", "-f", "{{.State.ExitCode}}", "registry") == "0"
    docker.ok("rm", "registry")
    docker.ok("rmi", name)
    again = start_registry(docker)
    assert digest in docker.ok("pull", f"{again}/in/container@{digest}")
    docker.ok("rm", "-f", "registry")
    docker.ok("rmi", f"{again}/in/container@{digest}")
    docker.ok("volume", "rm", "registry-data")
