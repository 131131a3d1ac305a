"""Our command line in docker's place: every test of the docker command line, run with `sampan` instead."""

# ruff: noqa: F403

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_docker_cli_images import *
from test_docker_cli_lifecycle import *
from test_docker_cli_run import *
from test_docker_cli_system import *
from test_docker_cli_terminal import *

# Last, as names of its fixtures are those of others' helpers.
from test_docker_cli_streams import *  # isort: skip

from rig.docker_cli import DockerCli
from rig.engines import TREE, Engine


@pytest.fixture
def docker(loaded: Engine, tmp_path: Path) -> Iterator[DockerCli]:
    """The sampan command line; containers that a test leaves are removed after it."""
    cli = DockerCli(TREE / ".venv/bin/sampan", loaded.host, tmp_path / "docker-config")
    yield cli
    cli.remove_all_containers()
