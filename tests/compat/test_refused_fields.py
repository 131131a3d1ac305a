"""Fields of requests that are not done: each is refused, and the refusal says what it is about."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.root

IMAGE_MOUNT = {"Type": "image", "Source": "busybox", "Target": "/i", "ImageOptions": {"Subpath": "bin"}}
CLUSTER_MOUNT = {"Type": "cluster", "Source": "x", "Target": "/c", "ClusterOptions": {}}
OPTIONS = {"Name": "local", "Options": {"type": "tmpfs"}}
VOLUME_MOUNT = {"Type": "volume", "Source": "refused", "Target": "/v", "VolumeOptions": {"DriverConfig": OPTIONS}}
IFNAME = "com.docker.network.endpoint.ifname"
SYSCTLS = "com.docker.network.endpoint.sysctls"


def in_bridge(**endpoint):
    return {"NetworkingConfig": {"EndpointsConfig": {"bridge": endpoint}}}


def host(**options):
    return {"HostConfig": options}


# Field -> (body of the create request, status, what the refusal names)
CREATE = {
    "Mount.ImageOptions": (host(Mounts=[IMAGE_MOUNT]), 501, "HostConfig.Mounts of type image"),
    "Mount.ClusterOptions": (host(Mounts=[CLUSTER_MOUNT]), 400, 'invalid mount config for type "cluster"'),
    "VolumeOptions.DriverConfig.Options": (host(Mounts=[VOLUME_MOUNT]), 501, "options of the local volume driver"),
    "VolumeOptions.DriverConfig.Name": (host(VolumeDriver="nonesuch", Binds=["refused:/v"]), 404, "nonesuch"),
    "EndpointSettings.DriverOpts.ifname": (in_bridge(DriverOpts={IFNAME: "x"}), 501, IFNAME),
    "EndpointSettings.DriverOpts.sysctls": (in_bridge(DriverOpts={SYSCTLS: "x"}), 501, SYSCTLS),
    "EndpointIPAMConfig.IPv4Address": (
        in_bridge(IPAMConfig={"IPv4Address": "172.17.0.77"}),
        400,
        "user specified IP address is supported on user defined networks only",
    ),
    "EndpointIPAMConfig.LinkLocalIPs": (
        in_bridge(IPAMConfig={"LinkLocalIPs": ["garbage"]}),
        400,
        "invalid link-local IP address: garbage",
    ),
    "EndpointSettings.Aliases": (in_bridge(Aliases=["x"]), 400, "network-scoped alias is supported only"),
    "EndpointSettings.MacAddress": (in_bridge(MacAddress="garbage"), 400, "invalid MAC address garbage"),
    "Config.MacAddress": ({"MacAddress": "garbage"}, 400, "invalid MAC address garbage"),
    "HostConfig.IOMaximumIOps": (host(IOMaximumIOps=1), 400, "QoS maximum IOPs"),
    "HostConfig.IOMaximumBandwidth": (host(IOMaximumBandwidth=1), 400, "QoS maximum bandwidth"),
    "HostConfig.Isolation": (host(Isolation="hyperv"), 400, "invalid isolation (hyperv)"),
    "HostConfig.StorageOpt": (host(StorageOpt={"size": "1g"}), 400, "--storage-opt"),
    "HostConfig.LogConfig": (host(LogConfig={"Type": "syslog"}), 400, "no log driver named 'syslog'"),
}


@pytest.mark.parametrize("field", CREATE)
def test_a_container_is_not_made(api, field):
    body, status, words = CREATE[field]
    answer = api.post("/containers/create?name=refused", {"Image": "busybox", "Cmd": ["true"], **body})
    assert (answer.status, words in answer.message) == (status, True), answer.message
    assert api.get("/containers/refused/json").status == 404


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"DriverOpts": {"type": "tmpfs"}}, 501, "options of the local volume driver"),
        ({"ClusterVolumeSpec": {"Group": "x"}}, 503, "This node is not a swarm manager."),
    ],
    ids=["DriverOpts", "ClusterVolumeSpec"],
)
def test_a_volume_is_not_made(api, body, status, words):
    answer = api.post("/volumes/create", {"Name": "refused", **body})
    assert (answer.status, words in answer.message) == (status, True), answer.message
    assert api.get("/volumes/refused").status == 404
