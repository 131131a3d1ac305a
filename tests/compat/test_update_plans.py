"""Updates planned by us beside those of a genuine dockerd, step by step on one running container."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rig import image
from rig.engines import Engine
from rig.http import EngineClient
from sampan.engine.containers.merge import Defaults, complete_host
from sampan.engine.containers.spec import adjust, plan_update
from sampan.errors import SampanError
from sampan.kernel.facts import gather
from sampan.wire import codec
from sampan.wire.containers import HostConfig, UpdateRequest

pytestmark = pytest.mark.root

MIB = 1 << 20
DEFAULTS = Defaults(
    log_driver="json-file", log_opts={}, runtime="runc", ipc_mode="private", cgroupns_mode="host", shm_size=64 * MIB
)
SHOWN = (
    "Memory MemorySwap MemoryReservation NanoCpus CpuQuota CpuPeriod CpuShares CpusetCpus CpusetMems PidsLimit "
    "BlkioWeight RestartPolicy"
).split()
SEQUENCES: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
    (
        {},
        [
            {"Memory": 100 * MIB},
            {"Memory": 100 * MIB, "MemorySwap": 200 * MIB},
            {"Memory": 300 * MIB},
            {"MemorySwap": -1},
            {"Memory": -1},
            {"Memory": 5 * MIB},
            {"MemoryReservation": 50 * MIB},
            {},
        ],
    ),
    ({}, [{"PidsLimit": 5}, {"PidsLimit": -1}, {"PidsLimit": 6}, {"PidsLimit": 0}, {"BlkioWeight": 300}]),
    (
        {},
        [
            {"CpuShares": 5},
            {"NanoCpus": 10**9},
            {"CpuQuota": 5000},
            {"CpuPeriod": 5000},
            {"CpusetCpus": "0"},
            {"CpusetCpus": "999"},
        ],
    ),
    (
        {"CpuQuota": 5000, "Memory": 50 * MIB},
        [{"NanoCpus": 10**9}, {"Memory": 200 * MIB}, {"Memory": 60 * MIB}, {"CpuQuota": -1}],
    ),
    (
        {},
        [
            {"RestartPolicy": {"Name": "foo"}},
            {"RestartPolicy": {"Name": "always"}},
            {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
            {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}},
            {"RestartPolicy": {"Name": "always", "MaximumRetryCount": -1}},
            {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}},
            {"RestartPolicy": {"Name": "", "MaximumRetryCount": -1}},
            {"RestartPolicy": {"MaximumRetryCount": 5}},
            {"RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0}},
            {"OomKillDisable": True, "KernelMemory": 10 * MIB, "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]},
        ],
    ),
    ({"AutoRemove": True}, [{"RestartPolicy": {"Name": "always"}}, {"RestartPolicy": {"Name": "no"}}]),
]


@pytest.fixture(scope="module")
def reference(genuine: Engine) -> Iterator[EngineClient]:
    with genuine.client() as client:
        archive = image.busybox_archive()
        loaded = client.request("POST", "/images/load?quiet=1", archive, {"Content-Type": "application/x-tar"})
        assert loaded.status == 200, loaded.message
        yield client


def shown(host: dict[str, Any]) -> dict[str, Any]:
    return {key: host.get(key) for key in SHOWN}


@pytest.mark.parametrize(("host", "steps"), SEQUENCES, ids=lambda value: json.dumps(value)[:60])
def test_each_step_has_the_same_outcome(reference, host, steps):
    request = {"Image": image.NAME, "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"} | host}
    identity = reference.post("/containers/create", request).json()["Id"]
    facts = gather()
    ours = complete_host(adjust(codec.decode(json.dumps(host).encode(), HostConfig), facts), DEFAULTS)
    try:
        assert reference.post(f"/containers/{identity}/start").status == 204
        for step in steps:
            answer = reference.post(f"/containers/{identity}/update", step)
            theirs = answer.json().get("Warnings") or [] if answer.status == 200 else answer.message
            wish = codec.decode(json.dumps(step).encode(), UpdateRequest)
            said: list[str] | str
            try:
                plan = plan_update(ours, wish, facts, identity)
                ours, said = plan.host_config, plan.warnings
            except SampanError as error:
                said = str(error)
            assert said == theirs, step
            after = reference.get(f"/containers/{identity}/json").json()["HostConfig"]
            assert shown(json.loads(codec.encode(ours))) == shown(after), step
    finally:
        reference.delete(f"/containers/{identity}?force=1&v=1")
