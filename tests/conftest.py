"""Fixtures of the whole suite: engines, images and the real docker command line.

engine        what compat tests talk to: sampand, or what SAMPAN_TEST_HOST names (`genuine`, or unix://PATH)
sampand       this tree's daemon on temporary roots, one for each test module; nothing may be left at its end, and
              every reply was as the OpenAPI file says
genuine       a genuine dockerd, one for the session; skipped with a reason where there is none
docker        the docker command line against `engine`, with the busybox image loaded
api           a raw HTTP client of `engine`, with the busybox image loaded
s3_server     the address of a genuine S3 server on loopback, one for the session; skipped where there is none
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.buckets import serving_buckets
from rig.care import load, remove_containers, started, stop_and_check
from rig.checked_sampand import CheckedSampand
from rig.docker_cli import DockerCli
from rig.engines import (
    GENUINE_MAJOR,
    TEST_HOST,
    Engine,
    GenuineDockerd,
    Sampand,
    peer_binary,
    peer_version,
    peers_ready,
)
from rig.http import EngineClient

LONG = bool(os.environ.get("SAMPAN_TEST_LONG"))


def pytest_configure() -> None:
    """One seed for all random parts of a run, the same in all worker processes."""
    os.environ.setdefault("SAMPAN_TEST_SEED", str(random.SystemRandom().randrange(1, 1 << 30)))
    try:
        from hypothesis import HealthCheck, settings
    except ImportError:  # the virtual machine of ./dev test --vm has none
        return
    # A busy machine is no failure: no test asserts how long something takes.
    settings.register_profile("sampan", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("sampan")


def pytest_report_header() -> str:
    return f"SAMPAN_TEST_SEED={os.environ['SAMPAN_TEST_SEED']} repeats the random parts of this run"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") and not LONG:
            item.add_marker(pytest.mark.skip(reason="only whole by ./dev test --long"))
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root and a real kernel"))


@pytest.fixture(scope="session")
def long_run() -> bool:
    """True when storms and long streams run at full length."""
    return LONG


@pytest.fixture(scope="session")
def peers() -> None:
    reason = peers_ready()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def docker_binary(peers: None) -> Path:
    return peer_binary("docker")


@pytest.fixture(scope="session")
def genuine(peers: None) -> Iterator[Engine]:
    version = peer_version("docker.io")
    if not version.startswith(f"{GENUINE_MAJOR}."):
        pytest.skip(f"the genuine dockerd is {version}; expectations are of {GENUINE_MAJOR}")
    daemon = started(GenuineDockerd())
    yield daemon
    daemon.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    with serving_buckets() as address:
        yield address


@pytest.fixture(scope="module")
def sampand() -> Iterator[Sampand]:
    if os.geteuid() != 0:
        pytest.skip("needs root and a real kernel")
    daemon = started(CheckedSampand())
    yield daemon
    stop_and_check(daemon)


@pytest.fixture
def fresh_sampand() -> Iterator[Sampand]:
    """A sampand for one test, for those that kill it."""
    daemon = started(Sampand())
    load(daemon)
    yield daemon
    stop_and_check(daemon)


class GivenEngine(Engine):
    """An engine that somebody else runs."""

    def __init__(self, host: str) -> None:
        self.socket = Path(host.removeprefix("unix://"))
        self.process = None


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    if TEST_HOST == "genuine":
        return request.getfixturevalue("genuine")
    if TEST_HOST:
        return GivenEngine(TEST_HOST)
    return request.getfixturevalue("sampand")


@pytest.fixture(scope="module")
def loaded(engine: Engine) -> Engine:
    """The engine with the busybox image."""
    load(engine)
    return engine


@pytest.fixture
def docker(docker_binary: Path, loaded: Engine, tmp_path: Path) -> Iterator[DockerCli]:
    """The docker command line; containers that a test leaves are removed after it."""
    cli = DockerCli(docker_binary, loaded.host, tmp_path / "docker-config")
    yield cli
    cli.remove_all_containers()


@pytest.fixture
def api(loaded: Engine) -> Iterator[EngineClient]:
    with loaded.client() as client:
        yield client
    remove_containers(loaded)
