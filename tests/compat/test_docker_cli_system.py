"""The docker command line: version, info, events, and what it says without a daemon's help."""

from __future__ import annotations

import json


def test_version_names_client_and_server(docker):
    shown = docker.json("version", "--format", "{{json .}}")
    assert shown["Server"]["ApiVersion"] == "1.51"
    assert shown["Server"]["MinAPIVersion"] == "1.24"
    assert shown["Server"]["Os"] == "linux"
