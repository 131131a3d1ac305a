"""docker-py's own integration tests pass wherever they do on a genuine daemon.

Its newest source distribution with tests is 7.0.0; they run on the newest library, which is what people use.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from suite_kit import PATH, Suite, engine_with_hub, failures, marked, not_passed, passed_by_genuine, run

from rig import image

pytestmark = [pytest.mark.root, pytest.mark.timeout(420)]

SUITE = Suite(
    "docker",
    "docker==7.0.0",
    (
        "requests>=2.26",
        "urllib3>=1.26",
        "paramiko>=3",
        "websocket-client>=1.6",
        "pytest==7.4.2",
        "pytest-timeout==2.1.0",
    ),
    library="docker==7.2.0",
)

EXCLUDED = {
    "swarm mode, and what it has (services, nodes, secrets, configs), is out of scope": (
        "api_swarm_test.py",
        "api_service_test.py",
        "api_secret_test.py",
        "api_config_test.py",
        "models_swarm_test.py",
        "models_services_test.py",
        "models_nodes_test.py",
        "api_network_test.py::TestNetworks::test_create_inspect_network_with_scope",
        "api_network_test.py::TestNetworks::test_create_network_attachable",
        "api_network_test.py::TestNetworks::test_create_network_ingress",
    ),
    "plugins are out of scope": ("api_plugin_test.py",),
    "refused, as by a genuine daemon, where the root is not a shared mount": (
        "api_container_test.py::VolumeBindTest::test_create_with_binds_rw_rshared",
    ),
    "needs the program docker-credential-pass and a store of passwords": ("credentials",),
    "building images is not there yet": (
        "api_build_test.py",
        "models_images_test.py::ImageCollectionTest::test_build",
    ),
    "networks of one's own are not there yet": (
        "api_network_test.py::TestNetworks::test_connect",
        "api_network_test.py::TestNetworks::test_create",
        "api_network_test.py::TestNetworks::test_inspect_network",
        "api_network_test.py::TestNetworks::test_list_networks",
        "api_network_test.py::TestNetworks::test_prune_networks",
        "api_network_test.py::TestNetworks::test_remove_network",
        "models_containers_test.py::ContainerCollectionTest::test_run_with_network",
        "models_networks_test.py",
    ),
    "puts Runtime where no daemon reads it, and expects the default one to be runc; here that is crun": (
        "api_container_test.py::ContainerCPUTest::test_create_with_runtime",
    ),
    "expects exit code 126 where daemons of today say 127": (
        "models_containers_test.py::ContainerTest::test_exec_run_failed",
    ),
    "expects the field Container in an image, which ended with API 1.44": ("api_image_test.py::CommitTest",),
    "reads the log of a container that may not have written yet: fails half the time anywhere": (
        "api_container_test.py::AttachContainerTest::test_attach_no_stream",
    ),
    "the client can't open a WebSocket over a unix socket": (
        "api_container_test.py::AttachContainerTest::test_run_container_reading_socket_ws",
    ),
    "asks the hub itself, which is out of reach": (
        "models_containers_test.py::ContainerCollectionTest::test_run_with_image_that_does_not_exist",
        "models_images_test.py::ImageCollectionTest::test_pull_with_sha",
        "api_image_test.py::ImportImageTest::test_import_from_url",
    ),
}
# Tests of the repository that came after the source distribution.
NEWER = {
    "api_container_test.py::VolumeBindTest::test_create_with_subpath_volume_mount",
    "models_containers_test.py::ContainerTest::test_exec_run_error_code_from_exec",
}
USERS = "root:x:0:0:root:/root:/bin/sh\npostgres:x:70:70::/var/lib/postgresql:/bin/sh\n"
IMAGES = ("busybox:latest", "alpine:latest", "alpine:3.10", "hello-world:latest")


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, str]]:
    SUITE.fetch()
    layers = (image.busybox_layer(),)
    images = {name: (_config(name), marked(layers, name, {"etc/passwd": USERS})) for name in IMAGES}
    with engine_with_hub(images, keep=True) as engine:
        environment = {"DOCKER_TEST_API_VERSION": "1.51"}
        yield run(SUITE, engine, "tests/integration", ["--timeout=60"], EXCLUDED, environment)


def _config(name: str) -> image.Config:
    command = ["/bin/echo", "Hello from Docker!"] if name.startswith("hello-world") else ["/bin/sh"]
    return {"Cmd": command, "Env": [PATH]}


def test_nothing_but_the_excluded_fails(outcomes: dict[str, str]):
    assert len(outcomes) > 150
    assert not failures(outcomes, EXCLUDED)


def test_all_that_a_genuine_daemon_passes_passes(outcomes: dict[str, str]):
    expected = passed_by_genuine("docker-py-genuine.tsv") - NEWER
    assert not not_passed(outcomes, expected, EXCLUDED)
