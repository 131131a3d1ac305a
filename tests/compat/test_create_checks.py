"""What a create request may say: our checks beside those of a genuine dockerd, case by case.

Both must agree whether a request can be, and on the words; a refusal has the client's fault as its kind here even where
dockerd answers 500. What we refuse earlier than dockerd (which fails at the start) is listed as such.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rig import image
from rig.engines import Engine
from rig.http import EngineClient
from sampan.engine.containers.spec import validate
from sampan.errors import InvalidArgument
from sampan.kernel.facts import gather
from sampan.wire import codec
from sampan.wire.containers import CreateRequest

pytestmark = pytest.mark.root

MIB = 1 << 20

HOST_CASES: list[dict[str, Any]] = [
    {},
    {"Memory": -1},
    {"Memory": 5 * MIB},
    {"Memory": 1 << 40},
    {"Memory": 10 * MIB, "MemorySwap": 5 * MIB},
    {"MemorySwap": 10 * MIB},
    {"Memory": 10 * MIB, "MemorySwap": -1},
    {"MemorySwappiness": 101},
    {"MemorySwappiness": -1},
    {"MemorySwappiness": -2},
    {"Memory": 10 * MIB, "MemoryReservation": 20 * MIB},
    {"MemoryReservation": MIB},
    {"KernelMemory": 10 * MIB},
    {"KernelMemoryTCP": 10 * MIB},
    {"OomKillDisable": True},
    {"OomScoreAdj": -1001},
    {"OomScoreAdj": 1001},
    {"OomScoreAdj": -5},
    {"NanoCpus": -1},
    {"NanoCpus": 10**12},
    {"NanoCpus": 10**9, "CpuQuota": 5000},
    {"NanoCpus": 10**9, "CpuPeriod": 5000},
    {"CpuPeriod": 100},
    {"CpuPeriod": 2_000_000},
    {"CpuQuota": 100},
    {"CpuQuota": -1},
    {"CpuShares": 1},
    {"CpuShares": -1},
    {"CpusetCpus": "999"},
    {"CpusetCpus": "a"},
    {"CpusetCpus": "0"},
    {"CpusetMems": "999"},
    {"CpusetMems": "x-"},
    {"CpuRealtimePeriod": 1000, "CpuRealtimeRuntime": 2000},
    {"CpuPercent": 10},
    {"CpuCount": 1},
    {"IOMaximumIOps": 1},
    {"IOMaximumBandwidth": 1},
    {"PidsLimit": -5},
    {"PidsLimit": 0},
    {"PidsLimit": 5},
    {"BlkioWeight": 500},
    {"BlkioWeightDevice": [{"Path": "/dev/null", "Weight": 500}]},
    {"BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 5}]},
    {"Ulimits": [{"Name": "nofile", "Soft": -1, "Hard": -1}]},
    {"Devices": [{"PathOnHost": "/dev/nosuch"}]},
    {"DeviceCgroupRules": ["a *:* rwm"]},
    {"DeviceRequests": [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]},
    {"CapAdd": ["foo"]},
    {"CapDrop": ["foo"]},
    {"CapAdd": ["ALL", "x"]},
    {"CapAdd": ["net_admin", "CAP_CHOWN"]},
    {"CapAdd": [""]},
    {"SecurityOpt": ["foo"]},
    {"SecurityOpt": ["foo=bar"]},
    {"SecurityOpt": ["no-new-privileges=x"]},
    {"SecurityOpt": ["seccomp=builtin"]},
    {"SecurityOpt": ["seccomp:unconfined"]},
    {"SecurityOpt": ["systempaths=unconfined"]},
    {"SecurityOpt": ["writable-cgroups=true"]},
    {"SecurityOpt": ["writable-cgroups=x"]},
    {"SecurityOpt": ["label=foo", "label:disable", "apparmor=foo"]},
    {"IpcMode": "foo"},
    {"PidMode": "foo"},
    {"PidMode": "container:"},
    {"UTSMode": "foo"},
    {"UTSMode": "private"},
    {"UsernsMode": "foo"},
    {"CgroupnsMode": "foo"},
    {"CgroupnsMode": "private", "Privileged": True},
    {"NetworkMode": "container:"},
    {"NetworkMode": "container:nosuch"},
    {"Isolation": "foo"},
    {"Isolation": "default"},
    {"ShmSize": -1},
    {"Sysctls": {"foo": "1"}},
    {"StorageOpt": {"size": "1g"}},
    {"StorageOpt": {"foo": "1g"}},
    {"RestartPolicy": {"Name": "foo"}},
    {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}},
    {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -3}},
    {"RestartPolicy": {"Name": "", "MaximumRetryCount": 3}},
    {"RestartPolicy": {"Name": "", "MaximumRetryCount": -1}},
    {"RestartPolicy": {"Name": "always", "MaximumRetryCount": -1}},
    {"RestartPolicy": {"Name": "no", "MaximumRetryCount": 1}},
    {"RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": -1}},
    {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 0}},
    {"RestartPolicy": {"Name": "ON-FAILURE"}},
    {"RestartPolicy": {"Name": "always"}, "AutoRemove": True},
    {"RestartPolicy": {"Name": "no"}, "AutoRemove": True},
    {"ExtraHosts": ["foo"]},
    {"ExtraHosts": ["foo:bar"]},
    {"ExtraHosts": ["foo:host-gateway", "six:::1"]},
    {"ExtraHosts": ["foo=1.2.3.4"]},
    {"ExtraHosts": ["foo:1.2.3.4"], "NetworkMode": "container:x"},
    {"Dns": ["foo"]},
    {"NetworkMode": "host", "PortBindings": {"80/tcp": [{}]}},
    {"NetworkMode": "container:abc", "PublishAllPorts": True},
    {"NetworkMode": "container:abc", "PortBindings": {"80/tcp": [{}]}},
    {"NetworkMode": "container:abc", "Dns": ["1.1.1.1"]},
    {"NetworkMode": "host", "Links": None},
    {"Annotations": {"": "x"}},
    {"MaskedPaths": ["x"]},
    {"Cgroup": "x"},
    {"Privileged": True, "UsernsMode": "host"},
    {"PortBindings": {"a/tcp": [{}]}},
    {"PortBindings": {"80/tcp": [{"HostPort": "a"}]}},
    {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}},
    {"PortBindings": {"80/tcp": None, "90/udp": [{"HostPort": "80-90"}]}},
]
CONFIG_CASES: list[dict[str, Any]] = [
    {"WorkingDir": "x"},
    {"Env": ["=x"]},
    {"Env": [""]},
    {"Env": ["A", "B="]},
    {"StopTimeout": -5},
    {"Hostname": "a_b"},
    {"Healthcheck": {"Test": ["CMD", "x"], "Interval": 5}},
    {"Healthcheck": {"Test": ["CMD"], "Retries": -1}},
    {"Healthcheck": {"Interval": -5}},
    {"Healthcheck": {"Timeout": 5}},
    {"Healthcheck": {"StartPeriod": 5}},
    {"Healthcheck": {"StartInterval": 5}},
    {"Hostname": "h", "HostConfig": {"NetworkMode": "container:abc"}},
    {"Domainname": "d", "HostConfig": {"NetworkMode": "container:abc"}},
    {"ExposedPorts": {"80/tcp": {}}, "HostConfig": {"NetworkMode": "container:abc"}},
    {"MacAddress": "02:42:ac:11:00:05", "HostConfig": {"NetworkMode": "container:abc"}},
    {"Hostname": "h", "HostConfig": {"UTSMode": "host"}},
    {"Hostname": "h", "HostConfig": {"NetworkMode": "host"}},
]
CASES = [*({"HostConfig": host} for host in HOST_CASES), *CONFIG_CASES]
# dockerd takes these and fails at the start.
EARLIER: list[dict[str, Any]] = [
    {"DeviceCgroupRules": ["foo"]},
    {"Ulimits": [{"Name": "foo", "Soft": 1, "Hard": 1}]},
    {"Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 1}]},
    {"Tmpfs": {"/x": "foo"}},
    {"SecurityOpt": ["seccomp={"]},
]


@pytest.fixture(scope="module")
def reference(genuine: Engine) -> Iterator[EngineClient]:
    with genuine.client() as client:
        archive = image.busybox_archive()
        loaded = client.request("POST", "/images/load?quiet=1", archive, {"Content-Type": "application/x-tar"})
        assert loaded.status == 200, loaded.message
        yield client


def theirs(client: EngineClient, request: dict[str, Any]) -> str | list[str]:
    """The words of dockerd's refusal, or its warnings."""
    answer = client.post("/containers/create", {"Image": image.NAME, "Cmd": ["true"]} | request)
    if answer.status != 201:
        return answer.message
    document = answer.json()
    client.delete(f"/containers/{document['Id']}?force=1&v=1")
    warnings: list[str] = document["Warnings"]
    return warnings


def ours(request: dict[str, Any]) -> str | list[str]:
    try:
        return validate(codec.decode(json.dumps(request).encode(), CreateRequest), gather())
    except InvalidArgument as error:
        return str(error)


def label(request: dict[str, Any]) -> str:
    return json.dumps(request)[:80]


@pytest.mark.parametrize("request_", CASES, ids=label)
def test_both_say_the_same(reference, request_):
    assert ours(request_) == theirs(reference, request_)


@pytest.mark.parametrize("host", EARLIER, ids=label)
def test_what_can_not_work_is_refused_before_the_start(reference, host):
    assert isinstance(ours({"HostConfig": host}), str)
    assert theirs(reference, {"HostConfig": host}) == []
