from __future__ import annotations

from typing import Any

import pytest

from sampan.engine.containers.spec import plan_update
from sampan.errors import Conflict, InvalidArgument
from sampan.kernel.cgroups import CgroupLayout, Limits
from sampan.kernel.facts import HostFacts
from sampan.wire.containers import HostConfig, RestartPolicy, UpdateRequest

MIB = 1 << 20
EVERY = Limits(**dict.fromkeys(Limits.__dataclass_fields__, True) | {"cpus": "0-1", "mems": "0"})


def facts(limits: Limits = EVERY) -> HostFacts:
    return HostFacts(
        kernel_release="6.1.0",
        kernel=(6, 1),
        machine="x86_64",
        architecture="amd64",
        hostname="host",
        cpus=2,
        memory=2**30,
        cgroups=CgroupLayout(1),
        limits=limits,
    )


def update(host: dict[str, Any], limits: Limits = EVERY, **request: Any) -> Any:
    return plan_update(HostConfig(**host), UpdateRequest(**request), facts(limits), "c1")


@pytest.mark.parametrize(
    ("host", "request_", "resources"),
    [
        ({}, {}, {}),
        ({}, {"memory": 100 * MIB, "memory_swap": 200 * MIB}, {"memory": {"limit": 100 * MIB, "swap": 200 * MIB}}),
        (
            {"memory": 50 * MIB, "memory_swap": 100 * MIB},
            {"memory": 60 * MIB},
            {"memory": {"limit": 60 * MIB, "swap": 100 * MIB}},
        ),
        (
            {"memory": 50 * MIB, "memory_swap": 100 * MIB},
            {"memory_swap": -1},
            {"memory": {"limit": 50 * MIB, "swap": -1}},
        ),
        ({"cpu_shares": 7}, {"nano_cpus": 10**9}, {"cpu": {"quota": 100_000, "period": 100_000}}),
        ({"cpu_quota": 5000}, {"cpu_quota": -1}, {"cpu": {"quota": -1}}),
        ({}, {"cpuset_cpus": "0", "cpu_shares": 5}, {"cpu": {"shares": 5, "cpus": "0"}}),
        ({}, {"pids_limit": 5}, {"pids": {"limit": 5}}),
        ({"pids_limit": 5}, {"pids_limit": 0}, {"pids": {"limit": -1}}),
        ({"pids_limit": 5}, {"pids_limit": -1}, {"pids": {"limit": -1}}),
        ({}, {"restart_policy": RestartPolicy(name="always")}, {}),
        ({"memory_swap": -1}, {"memory_reservation": 50 * MIB}, {"memory": {"reservation": 50 * MIB}}),
    ],
)
def test_what_the_runtime_changes(host, request_, resources):
    assert update(host, **request_).resources == resources


def test_the_new_configuration():
    found = update({"memory": 50 * MIB, "memory_swap": 100 * MIB, "cpu_shares": 7}, memory=60 * MIB, pids_limit=5)
    assert (found.host_config.memory, found.host_config.memory_swap) == (60 * MIB, 100 * MIB)
    assert (found.host_config.cpu_shares, found.host_config.pids_limit) == (7, 5)
    assert update({"pids_limit": 5}, pids_limit=-1).host_config.pids_limit == 0
    policy = RestartPolicy(name="on-failure", maximum_retry_count=3)
    assert update({}, restart_policy=policy).host_config.restart_policy == policy
    assert update({"restart_policy": policy}).host_config.restart_policy == policy


@pytest.mark.parametrize(
    ("host", "request_", "message"),
    [
        ({}, {"memory": 100 * MIB}, "Memory limit should be smaller than already set memoryswap limit"),
        ({"memory": 50 * MIB, "memory_swap": -1}, {"memory": 60 * MIB}, "Memory limit should be smaller"),
        ({"cpu_quota": 5000}, {"nano_cpus": 10**9}, "Nano CPUs cannot be updated as CPU Quota has already been set"),
        ({"cpu_period": 5000}, {"nano_cpus": 10**9}, "Nano CPUs cannot be updated as CPU Period has already been set"),
        ({"nano_cpus": 10**9}, {"cpu_quota": 5000}, "CPU Quota cannot be updated as NanoCPUs has already been set"),
        ({"nano_cpus": 10**9}, {"cpu_period": 5000}, "CPU Period cannot be updated as NanoCPUs has already been set"),
        ({"auto_remove": True}, {"restart_policy": RestartPolicy(name="always")}, "because AutoRemove is enabled"),
    ],
)
def test_what_contradicts_is_a_conflict(host, request_, message):
    with pytest.raises(Conflict, match=f"^Cannot update container c1: .*{message}"):
        update(host, **request_)


@pytest.mark.parametrize(
    "request_",
    [
        {"memory": -1},
        {"cpuset_cpus": "9"},
        {"restart_policy": RestartPolicy(name="foo")},
        {"restart_policy": RestartPolicy(name="always", maximum_retry_count=3)},
    ],
)
def test_what_can_not_be_is_refused(request_):
    with pytest.raises(InvalidArgument):
        update({}, **request_)


def test_what_the_kernel_lacks_is_dropped_with_a_warning():
    found = update({}, limits=Limits(), blkio_weight=300)
    assert found.warnings[0].startswith("Your kernel does not support Block I/O weight")
    assert (found.resources, found.host_config.blkio_weight) == ({}, 0)
