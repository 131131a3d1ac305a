from __future__ import annotations

import re
from typing import Any

import pytest

from sampan.engine.containers.spec import adjust, check_start, validate
from sampan.engine.containers.spec.limits import numbers
from sampan.errors import InvalidArgument, NotImplementedYet
from sampan.kernel.cgroups import CgroupLayout, Limits
from sampan.kernel.facts import CAPABILITIES, HostFacts
from sampan.wire.containers import (
    CreateRequest,
    DeviceRequest,
    HealthConfig,
    HostConfig,
    Mount,
    PortBinding,
    RestartPolicy,
    Ulimit,
    WeightDevice,
)

EVERY_LIMIT = Limits(**dict.fromkeys(Limits.__dataclass_fields__, True) | {"cpus": "0-1", "mems": "0"})


def facts(**changes: Any) -> HostFacts:
    base: dict[str, Any] = {
        "kernel_release": "6.1.0",
        "kernel": (6, 1),
        "machine": "x86_64",
        "architecture": "amd64",
        "hostname": "host",
        "cpus": 2,
        "memory": 2**30,
        "cgroups": CgroupLayout(1),
        "limits": EVERY_LIMIT,
        "capabilities": tuple(name for name in CAPABILITIES if name != "CAP_SYS_RESOURCE"),
        "hard_limits": {"nofile": 1000, "core": -1},
    }
    return HostFacts(**(base | changes))


def check(host: dict[str, Any] | None = None, config: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    return validate(CreateRequest(**(config or {}), host_config=HostConfig(**(host or {}))), facts(**changes))


def test_an_empty_request_is_fine():
    assert validate(CreateRequest(), facts()) == []
    assert check() == []


REFUSED_HOST: list[tuple[dict[str, Any], str]] = [
    ({"memory": -1}, "Minimum memory limit allowed is 6MB"),
    ({"memory": 5 << 20}, "Minimum memory limit allowed is 6MB"),
    (
        {"memory": 10 << 20, "memory_swap": 5 << 20},
        "Minimum memoryswap limit should be larger than memory limit, see usage",
    ),
    ({"memory_swap": 1}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
    ({"memory_swappiness": 101}, "Invalid value: 101, valid memory swappiness range is 0-100"),
    ({"memory_swappiness": -2}, "Invalid value: -2, valid memory swappiness range is 0-100"),
    (
        {"memory": 10 << 20, "memory_reservation": 20 << 20},
        "Minimum memory limit can not be less than memory reservation limit, see usage",
    ),
    ({"memory_reservation": 1}, "Minimum memory reservation allowed is 6MB"),
    ({"oom_score_adj": -1001}, "Invalid value -1001, range for oom score adj is [-1000, 1000]"),
    ({"oom_score_adj": 1001}, "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
    ({"nano_cpus": -1}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
    ({"nano_cpus": 3 * 10**9}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
    ({"nano_cpus": 1, "cpu_quota": 5000}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
    ({"nano_cpus": 1, "cpu_period": 5000}, "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
    (
        {"cpu_period": 999},
        "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    ),
    ({"cpu_quota": 100}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
    ({"cpu_shares": -1}, "invalid CPU shares (-1): value must be a positive integer"),
    ({"cpuset_cpus": "9"}, "Requested CPUs are not available - requested 9, available: 0-1"),
    ({"cpuset_cpus": "a"}, "Invalid value a for cpuset cpus: invalid format: a"),
    ({"cpuset_mems": "9"}, "Requested memory nodes are not available - requested 9, available: 0"),
    ({"cpuset_mems": "1-"}, "Invalid value 1- for cpuset mems: invalid format: 1-"),
    (
        {"cpu_realtime_period": 1000, "cpu_realtime_runtime": 2000},
        "cpu real-time runtime cannot be higher than cpu real-time period",
    ),
    ({"io_maximum_iops": 1}, "invalid option: QoS maximum IOPs configuration is not supported on linux"),
    ({"io_maximum_bandwidth": 1}, "invalid option: QoS maximum bandwidth configuration is not supported on linux"),
    ({"cap_add": ["foo"]}, 'invalid CapAdd: unknown capability: "CAP_FOO"'),
    ({"cap_drop": [""]}, 'invalid CapDrop: unknown capability: "CAP_"'),
    (
        {"cap_add": ["SYS_RESOURCE"]},
        "invalid CapAdd: capability not supported by your kernel or not available in the current environment: "
        '"CAP_SYS_RESOURCE"',
    ),
    ({"security_opt": ["foo"]}, 'invalid --security-opt 1: "foo"'),
    ({"security_opt": ["foo=bar"]}, 'invalid --security-opt 2: "foo=bar"'),
    ({"security_opt": ["no-new-privileges=x"]}, 'invalid --security-opt 2: "no-new-privileges=x"'),
    ({"device_cgroup_rules": ["foo"]}, "invalid device cgroup rule format: 'foo'"),
    ({"device_cgroup_rules": ["c 1:3 x"]}, "invalid device cgroup rule format: 'c 1:3 x'"),
    ({"ipc_mode": "foo"}, "invalid IPC mode: foo"),
    ({"pid_mode": "private"}, "invalid PID mode: private"),
    ({"pid_mode": "container:"}, "invalid PID mode: container:"),
    ({"uts_mode": "private"}, "invalid UTS mode: private"),
    ({"cgroupns_mode": "foo"}, "invalid cgroup namespace mode: foo"),
    ({"network_mode": "container:"}, "invalid network mode: invalid container format container:<name|id>"),
    ({"isolation": "hyperv"}, "invalid isolation (hyperv): linux only supports 'default'"),
    ({"shm_size": -1}, "SHM size can not be less than 0"),
    ({"annotations": {"": "x"}}, "invalid Annotations: the empty string is not permitted as an annotation key"),
    ({"tmpfs": {"/x": "foo"}}, 'invalid tmpfs option "foo"'),
    (
        {"storage_opt": {"size": "1g"}},
        "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
    ),
    ({"storage_opt": {"foo": "1g"}}, "Unknown option foo"),
    ({"extra_hosts": ["foo"]}, 'bad format for add-host: "foo"'),
    ({"extra_hosts": ["foo:bar"]}, 'invalid IP address in add-host: "bar"'),
    (
        {"extra_hosts": ["a:1.2.3.4"], "network_mode": "container:x"},
        "conflicting options: custom host-to-IP mapping and the network mode",
    ),
    (
        {"publish_all_ports": True, "network_mode": "container:x"},
        "conflicting options: port publishing and the container type network mode",
    ),
    (
        {"restart_policy": RestartPolicy(name="foo")},
        "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
    ),
    (
        {"restart_policy": RestartPolicy(name="always", maximum_retry_count=3)},
        "invalid restart policy: maximum retry count can only be used with 'on-failure'",
    ),
    (
        {"restart_policy": RestartPolicy(name="on-failure", maximum_retry_count=-3)},
        "invalid restart policy: maximum retry count cannot be negative",
    ),
    (
        {"restart_policy": RestartPolicy(name="always"), "auto_remove": True},
        "can't create 'AutoRemove' container with restart policy",
    ),
    ({"ulimits": [Ulimit(name="foo", soft=1, hard=1)]}, "invalid ulimit type: foo"),
]


@pytest.mark.parametrize(("host", "message"), REFUSED_HOST)
def test_a_bad_host_config_is_refused(host, message):
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}$"):
        check(host)


def test_a_bad_profile_is_refused_at_once():
    with pytest.raises(InvalidArgument, match="decoding seccomp profile failed"):
        check({"security_opt": ["seccomp={"]})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"working_dir": "x"}, "the working directory 'x' is invalid, it needs to be an absolute path"),
        ({"env": ["=x"]}, "invalid environment variable: =x"),
        ({"env": [""]}, "invalid environment variable: "),
        ({"healthcheck": HealthConfig(interval=5)}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"healthcheck": HealthConfig(start_interval=-5)}, "StartInterval in Healthcheck cannot be less than 1ms"),
        ({"healthcheck": HealthConfig(retries=-1)}, "Retries in Healthcheck cannot be negative"),
    ],
)
def test_a_bad_config_is_refused(config, message):
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}$"):
        check(config=config)


@pytest.mark.parametrize(
    "host",
    [
        {"memory": 10 << 20, "memory_swap": -1},
        {"memory_swappiness": -1},
        {"cpu_quota": -1},
        {"pids_limit": -5},
        {"cap_add": ["ALL", "net_admin", "CAP_CHOWN"]},
        {"security_opt": ["label=disable", "apparmor:x", "seccomp=unconfined", "no-new-privileges:true"]},
        {"device_cgroup_rules": ["a *:* rwm", "c 42:* r"]},
        {"ipc_mode": "container:x", "pid_mode": "container:x", "uts_mode": "host"},
        {"extra_hosts": ["a:host-gateway", "b:::1"]},
        {"restart_policy": RestartPolicy(name="on-failure", maximum_retry_count=3)},
        {"ulimits": [Ulimit(name="nofile", soft=-1, hard=-1)]},
    ],
)
def test_what_docker_takes_is_taken(host):
    assert check(host) == []


@pytest.mark.parametrize(
    ("host", "warning"),
    [
        ({"blkio_weight": 5}, "Block I/O weight"),
        ({"blkio_weight_device": [WeightDevice(path="/dev/a", weight=5)]}, "Block I/O weight_device"),
        ({"pids_limit": 5}, "PIDs limit"),
        ({"memory": 10 << 20}, "memory limit"),
        ({"cpu_shares": 5}, "CPU shares"),
    ],
)
def test_a_limit_that_the_kernel_lacks_is_dropped_with_a_warning(host, warning):
    (found,) = check(host, limits=Limits())
    assert found.startswith(f"Your kernel does not support {warning}")
    (name,) = host
    assert getattr(adjust(HostConfig(**host), facts(limits=Limits())), name) == getattr(HostConfig(), name)
    assert getattr(adjust(HostConfig(**host), facts()), name) == host[name]


def test_other_warnings():
    assert check({"cpu_percent": 5}) == ["linux does not support CPU percent. Percent discarded."]
    assert check({"oom_kill_disable": True})[0].startswith("OOM killer is disabled for the container")
    ports = {"80/tcp": [PortBinding(host_port="1")]}
    assert check({"network_mode": "host", "port_bindings": ports}) == [
        "Published ports are discarded when using host network mode"
    ]


def test_values_that_mean_no_limit_are_not_kept():
    adjusted = adjust(HostConfig(pids_limit=-1, memory_swappiness=-1, kernel_memory=5, cpu_percent=3), facts())
    assert (adjusted.pids_limit, adjusted.memory_swappiness) == (None, None)
    assert (adjusted.kernel_memory, adjusted.cpu_percent) == (0, 0)


@pytest.mark.parametrize("host", [{"privileged": True}, {"pid_mode": "host"}, {"ipc_mode": "host"}])
def test_labels_are_off_where_the_host_is_shared(host):
    assert adjust(HostConfig(**host), facts()).security_opt == ["label=disable"]
    assert adjust(HostConfig(**host, security_opt=["label=disable"]), facts()).security_opt == ["label=disable"]


@pytest.mark.parametrize(
    ("host", "field"),
    [({"mounts": [Mount(type="image")]}, "HostConfig.Mounts of type image")],
)
def test_what_is_not_there_yet_is_named(host, field):
    with pytest.raises(NotImplementedYet, match=f"^{re.escape(field)}"):
        check(host)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"ulimits": [Ulimit(name="nofile", soft=1, hard=1001)]}, "ulimit nofile: the hard limit 1001 is above"),
        ({"ulimits": [Ulimit(name="nofile", soft=1, hard=-1)]}, "ulimit nofile: the hard limit -1 is above"),
        ({"oom_score_adj": -5}, "oom score adj -5 is lower than the daemon's own"),
        (
            {"device_requests": [DeviceRequest(count=-1, capabilities=[["gpu"]])]},
            'could not select device driver "" with capabilities: [[gpu]]',
        ),
    ],
)
def test_a_start_that_asks_for_more_than_there_is(host, message):
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        check_start(HostConfig(**host), facts())


def test_a_start_with_the_right_to_raise():
    host = HostConfig(ulimits=[Ulimit(name="nofile", soft=1, hard=1001)], oom_score_adj=-5)
    check_start(host, facts(capabilities=CAPABILITIES))
    check_start(HostConfig(ulimits=[Ulimit(name="nofile", soft=1, hard=1000), Ulimit(name="core", hard=-1)]), facts())


def test_lists_of_numbers():
    assert numbers("0-2,5") == {0, 1, 2, 5}
    assert numbers("") == set()
    with pytest.raises(ValueError, match="x"):
        numbers("1,x")
