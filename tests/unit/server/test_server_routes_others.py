from __future__ import annotations

from unittest.mock import call

import pytest

from sampan.errors import NotFound
from sampan.http import Headers, Request, Response
from sampan.server import ApiServer, Backends, build_routes
from sampan.server.outside import OUTSIDE
from sampan.wire import networks, volumes
from sampan.wire.disk import DiskUsage
from sampan.wire.images import ImageSummary
from sampan.wire.networks import Network, NetworkCreateResponse
from sampan.wire.system import Commit, Info, Version
from sampan.wire.volumes import Volume, VolumeList


async def test_ping(api):
    for version in ("", "1.24", "1.51"):
        reply = await api.send("GET", "/_ping", version=version)
        assert (reply.status, reply.body) == (200, b"OK")
        assert reply.headers["Builder-Version"] == "2"
        assert reply.headers["Swarm"] == "inactive"
        assert reply.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
    assert (await api.send("HEAD", "/_ping", version="")).body == b""


async def test_without_a_builder_clients_use_the_classic_one():
    server = ApiServer(build_routes(Backends()))
    reply = await server.handle(Request("GET", "/_ping", Headers()))
    assert isinstance(reply, Response)
    assert reply.headers["Builder-Version"] == "1"


async def test_version(api):
    api.system.version.return_value = Version(version="0.1", api_version="1.51")
    status, document = await api.ask("GET", "/version")
    assert (status, document["Version"], document["ApiVersion"]) == (200, "0.1", "1.51")


async def test_info_of_all_versions(api):
    api.system.info.side_effect = lambda: Info(
        id="x", runc_commit=Commit(id="1.2"), memory_limit=True, security_options=["name=seccomp,profile=builtin"]
    )

    async def info(version: str) -> dict[str, object]:
        return (await api.ask("GET", "/info", version=version))[1]

    assert "BridgeNfIptables" not in await info("1.50")
    assert (await info("1.49"))["BridgeNfIptables"] is False
    assert (await info("1.49"))["RuncCommit"] == {"ID": "1.2"}
    assert (await info("1.48"))["RuncCommit"] == {"ID": "1.2", "Expected": "1.2"}
    assert (await info("1.48"))["InitCommit"] == {"ID": ""}
    assert (await info("1.46"))["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"] is None
    assert (await info("1.41"))["KernelMemory"] is True
    assert (await info("1.24"))["SecurityOptions"] == ["seccomp"]


async def test_disk_usage(api):
    api.usage.disk_usage.side_effect = lambda kinds: DiskUsage(images=[ImageSummary(size=3)])
    _, document = await api.ask("GET", "/system/df")
    assert "VirtualSize" not in document["Images"][0]
    _, document = await api.ask("GET", "/system/df?type=image", version="1.41")
    assert document["Images"][0]["VirtualSize"] == 3
    await api.ask("GET", "/system/df?type=image&type=volume")
    everything = call(("container", "image", "volume", "build-cache"))
    assert api.usage.disk_usage.mock_calls == [everything, everything, call(["image", "volume"])]
    assert await api.message("GET", "/system/df?type=x") == (400, "unknown object type: x")


async def test_volumes(api):
    api.volumes.list.return_value = VolumeList(volumes=[Volume(name="v")])
    status, document = await api.ask("GET", '/volumes?filters={"name":["v"]}')
    assert (status, document["Volumes"][0]["Name"], document["Warnings"]) == (200, "v", None)
    assert api.volumes.list.mock_calls == [call({"name": ["v"]})]
    api.volumes.inspect.return_value = Volume(name="v")
    assert (await api.ask("GET", "/volumes/v"))[1]["Name"] == "v"
    api.volumes.create.return_value = Volume(name="w")
    status, document = await api.ask("POST", "/volumes/create", {"Name": "w", "Labels": {"a": "b"}})
    assert (status, document["Name"]) == (201, "w")
    assert api.volumes.create.call_args.args[0].labels == {"a": "b"}
    assert (await api.ask("POST", "/volumes/create"))[0] == 201
    assert (await api.send("DELETE", "/volumes/v?force=1")).status == 204
    assert api.volumes.remove.mock_calls == [call("v", True)]
    api.volumes.inspect.side_effect = NotFound("get x: no such volume")
    assert await api.message("GET", "/volumes/x") == (404, "get x: no such volume")


async def test_pruning_of_volumes_took_named_ones_before_1_42(api):
    api.volumes.prune.return_value = volumes.PruneReport()
    assert await api.ask("POST", "/volumes/prune") == (200, {"VolumesDeleted": [], "SpaceReclaimed": 0})
    await api.ask("POST", "/volumes/prune", version="1.41")
    await api.ask("POST", '/volumes/prune?filters={"all":["0"]}', version="1.41")
    assert api.volumes.prune.mock_calls == [call({}), call({"all": ["true"]}), call({"all": ["0"]})]


async def test_networks(api):
    api.networks.list.return_value = [Network(name="n")]
    for target in ("/networks", "/networks/"):
        assert (await api.ask("GET", target))[1][0]["Name"] == "n"
    api.networks.inspect.return_value = Network(name="n")
    assert (await api.ask("GET", "/networks/n?scope=local&verbose=1"))[1]["Name"] == "n"
    assert api.networks.inspect.mock_calls == [call("n", "local", True)]
    api.networks.create.return_value = NetworkCreateResponse(id="i")
    body = {"Name": "n", "IPAM": {"Config": [{"Subnet": "10.0.0.0/8"}]}}
    assert await api.ask("POST", "/networks/create", body) == (201, {"Id": "i", "Warning": ""})
    assert api.networks.create.call_args.args[0].ipam.config[0].subnet == "10.0.0.0/8"
    assert (await api.send("DELETE", "/networks/n")).status == 204
    assert api.networks.remove.mock_calls == [call("n")]


async def test_connecting(api):
    body = {"Container": "c", "EndpointConfig": {"Aliases": ["a"]}}
    assert (await api.send("POST", "/networks/n/connect", body)).status == 200
    ref, request = api.networks.connect.call_args.args
    assert (ref, request.container, request.endpoint_config.aliases) == ("n", "c", ["a"])
    assert (await api.send("POST", "/networks/n/disconnect", {"Container": "c", "Force": True})).status == 200
    assert api.networks.disconnect.call_args.args[1].force


async def test_pruning_of_networks(api):
    api.networks.prune.return_value = networks.PruneReport()
    assert await api.ask("POST", "/networks/prune") == (200, {"NetworksDeleted": None})


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/networks/n?verbose=x", None),
        ("GET", "/networks?filters=x", None),
        ("POST", "/networks/create", None),
        ("POST", "/networks/create", {"Name": " "}),
        ("POST", "/networks/create", []),
        ("POST", "/networks/n/connect", None),
        ("POST", "/networks/n/connect", {"Container": ""}),
        ("POST", "/networks/n/disconnect", {}),
        ("POST", "/networks/prune?filters=x", None),
        ("GET", "/volumes?filters=x", None),
        ("POST", "/volumes/create", {"Name": 3}),
        ("POST", "/volumes/prune?filters=x", None),
    ],
)
async def test_malformed_requests(api, method: str, target: str, body):
    assert (await api.message(method, target, body))[0] == 400


NOT_A_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)


@pytest.mark.parametrize(
    ("method", "target", "status", "message"),
    [
        ("GET", "/swarm", 503, NOT_A_MANAGER),
        ("POST", "/swarm/leave?force=1", 503, "This node is not part of a swarm"),
        ("POST", "/swarm/update", 400, 'invalid swarm version ""'),
        ("POST", "/swarm/update?version=-1", 400, 'invalid swarm version "-1"'),
        ("POST", "/swarm/update?version=1", 503, NOT_A_MANAGER),
        ("GET", "/swarm/unlockkey", 503, NOT_A_MANAGER),
        ("GET", "/nodes", 503, NOT_A_MANAGER),
        ("GET", "/nodes?filters=x", 400, None),
        ("POST", "/nodes/x/update?version=1", 503, NOT_A_MANAGER),
        ("GET", "/services?status=x", 400, None),
        ("GET", "/services?status=1", 503, NOT_A_MANAGER),
        ("GET", "/services/x?insertDefaults=x", 400, None),
        ("GET", "/services/x/logs", 400, "Bad parameters: you must choose at least one stream"),
        ("GET", "/tasks/x/logs?stdout=1", 503, NOT_A_MANAGER),
        ("POST", "/secrets/create", 503, NOT_A_MANAGER),
        ("POST", "/configs/x/update?version=3", 503, NOT_A_MANAGER),
        ("PUT", "/volumes/v", 503, "volume update only valid for cluster volumes, but swarm is unavailable"),
        ("GET", '/plugins?filters={"x":["y"]}', 400, "invalid filter 'x'"),
        ("GET", "/plugins/a/b:c/json", 404, 'plugin "a/b:c" not found'),
        ("POST", "/plugins/x/enable?timeout=x", 400, None),
        ("POST", "/plugins/x/enable?timeout=1", 404, 'plugin "x" not found'),
        ("POST", "/plugins/x/set", 404, 'plugin "x" not found'),
    ],
)
async def test_what_is_left_out_answers_as_outside_a_swarm(api, method: str, target: str, status: int, message):
    found = await api.message(method, target)
    assert found[0] == status
    assert message is None or found[1] == message


async def test_no_plugins_are_an_empty_list(api):
    assert await api.ask("GET", '/plugins?filters={"enabled":["true"]}') == (200, [])


@pytest.mark.parametrize("target", ["/swarm/init", "/swarm/join", "/plugins/pull", "/plugins/create"])
async def test_what_would_begin_a_swarm_or_a_plugin(api, target: str):
    status, message = await api.message("POST", target, {"ListenAddr": "0.0.0.0:2377"})
    assert (status, "out of scope" in message) == (501, True)


@pytest.mark.parametrize("target", ["/swarm/init", "/swarm/join"])
async def test_a_swarm_needs_an_address(api, target: str):
    for body in (None, {}):
        assert await api.message("POST", target, body) == (400, 'invalid ListenAddr "": invalid empty address')


async def test_volumes_of_a_cluster(api):
    assert await api.message("POST", "/volumes/create", {"ClusterVolumeSpec": {}}) == (503, NOT_A_MANAGER)
    assert not api.volumes.create.called


async def test_checkpoints_are_experimental(api):
    assert (await api.message("GET", "/containers/c/checkpoints"))[0] == 501
    assert (await api.message("DELETE", "/containers/c/checkpoints/x"))[0] == 501


def test_everything_left_out_says_why():
    assert all(outside.reason for outside in OUTSIDE)
