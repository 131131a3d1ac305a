"""aiodocker's own integration tests pass wherever they do on a genuine daemon.

They want images with a Python in them: made of this machine's own, on busybox.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from suite_kit import PATH, Suite, engine_with_hub, failures, marked, not_passed, passed_by_genuine, run

from rig import image
from rig.engines import peer_binary

pytestmark = [pytest.mark.root, pytest.mark.timeout(420)]

SUITE = Suite(
    "aiodocker",
    "aiodocker==0.27.0",
    (
        "aiohttp==3.13.5",
        "asyncssh>=2.14",
        "paramiko>=2.9",
        "async-timeout>=5.0.1",
        "packaging>=26",
        "testcontainers==4.14.2",
        "pytest==9.0.3",
        "pytest-asyncio==1.3.0",
        "pytest-timeout>=2.4",
    ),
)

EXCLUDED = {
    "swarm mode, and what it has (services, nodes, secrets, configs), is out of scope": (
        "test_swarm.py",
        "test_services.py",
        "test_nodes.py",
        "test_secrets.py",
        "test_configs.py",
    ),
    "must not be run by root": (
        "test_context.py::TestLoadContextTLS::test_raises_error_on_unreadable_ca_file",
        "test_context.py::TestLoadContextTLS::test_raises_error_on_unreadable_cert_file",
        "test_context.py::TestLoadContextTLS::test_raises_error_on_unreadable_key_file",
    ),
    "building images is not there yet": (
        "test_images.py::test_build",
        "test_images.py::test_prune_builds",
        "test_images.py::test_prune_images$",
    ),
    "networks of one's own are not there yet": (
        "test_networks.py::test_list_networks_with_filter",
        "test_networks.py::test_networks",
        "test_networks.py::test_network_delete_error",
        "test_networks.py::test_prune_networks",
    ),
    "looks for a prompt that may have come before it attached; is marked as failing": (
        "test_integration.py::test_attach_tty",
    ),
}
REGISTRY = """version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000"}
"""
WITH_PYTHON = ("python:3.13-alpine", "python:3.14-alpine")
PYTHON = Path("/usr/bin/python3")
LEFT_OUT = {"__pycache__", "test", "idlelib", "tkinter", "dist-packages", "ensurepip", "lib2to3", "pydoc_data"}


def python_layer() -> bytes:
    """Debian's python3 with its standard library and the shared libraries that they need."""
    program = PYTHON.resolve()
    library = Path("/usr/lib") / program.name
    files = [path for path in library.rglob("*") if path.is_file() and not LEFT_OUT & set(path.parts)]
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, dereference=True) as layer:
        for path in (program, *files, *_shared_libraries((program, *library.rglob("*.so")))):
            layer.add(path, str(path).lstrip("/"), recursive=False)
        for name in ("python", "python3"):
            link = tarfile.TarInfo(f"usr/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, program.name
            layer.addfile(link)
    return buffer.getvalue()


def registry_layer(program: Path) -> bytes:
    """A registry's program, its configuration, and the shared libraries that it needs."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, dereference=True) as layer:
        layer.add(program, "usr/bin/registry")
        for path in _shared_libraries((program,)):
            layer.add(path, str(path).lstrip("/"))
    return buffer.getvalue()


def _shared_libraries(programs: tuple[Path, ...]) -> list[Path]:
    listed = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True).stdout
    words = (word for line in listed.splitlines() if not line.endswith(":") for word in line.split())
    return sorted({Path(word) for word in words if word.startswith("/")})


@pytest.fixture(scope="module")
def outcomes(docker_binary: Path) -> Iterator[dict[str, str]]:
    if not PYTHON.exists():
        pytest.skip("no /usr/bin/python3 to make the images of")
    SUITE.fetch()
    base = (image.busybox_layer(),)
    with_python = (*base, python_layer())
    images = {
        **{name: ({"Cmd": ["python3"], "Env": [PATH]}, marked(with_python, name)) for name in WITH_PYTHON},
        "alpine:3.18": ({"Cmd": ["/bin/sh"], "Env": [PATH]}, marked(base, "alpine")),
        "registry:2": (
            {"Entrypoint": ["registry", "serve", "/etc/registry.yml"], "Env": [PATH], "ExposedPorts": {"5000/tcp": {}}},
            marked((*base, registry_layer(peer_binary("docker-registry"))), "registry", {"etc/registry.yml": REGISTRY}),
        ),
    }
    with engine_with_hub(images, keep=False) as engine:
        programs = engine.home / "bin"
        programs.mkdir()
        shutil.copy(docker_binary, programs / "docker")
        options = ["--override-ini=addopts=", "--override-ini=filterwarnings=default", "--timeout=60"]
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "TESTCONTAINERS_RYUK_DISABLED": "true",
            # Else a run inside a container looks for published ports at the bridge.
            "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
            "TC_HOST": "127.0.0.1",
        }
        yield run(SUITE, engine, "tests", options, EXCLUDED, environment)


def test_nothing_but_the_excluded_fails(outcomes: dict[str, str]):
    assert len(outcomes) > 120
    assert not failures(outcomes, EXCLUDED)


def test_all_that_a_genuine_daemon_passes_passes(outcomes: dict[str, str]):
    assert not not_passed(outcomes, passed_by_genuine("aiodocker-genuine.tsv"), EXCLUDED)
