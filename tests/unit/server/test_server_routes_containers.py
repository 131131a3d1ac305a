from __future__ import annotations

import asyncio
import json
from unittest.mock import call

import pytest

from sampan.errors import InvalidArgument, NotFound
from sampan.http import Response
from sampan.wire.containers import (
    ContainerInspect,
    ContainerSummary,
    CreateResponse,
    HostConfig,
    PruneReport,
    RestartPolicy,
    UpdateResponse,
    WaitError,
    WaitResponse,
)


async def test_list(api):
    api.containers.list.return_value = [ContainerSummary(id="a")]
    status, document = await api.ask("GET", '/containers/json?all=1&limit=3&filters={"name":{"x":true}}')
    assert (status, [row["Id"] for row in document]) == (200, ["a"])
    assert api.containers.list.mock_calls == [call(True, 3, {"name": ["x"]})]


async def test_list_is_never_null(api):
    api.containers.list.return_value = []
    assert await api.ask("GET", "/containers/json?limit=-1&trunc_cmd=0") == (200, [])
    assert api.containers.list.mock_calls == [call(False, -1, {})]


async def test_list_with_sizes(api):
    api.containers.list_with_sizes.return_value = [ContainerSummary(id="a", size_rw=5)]
    _, document = await api.ask("GET", "/containers/json?size=True")
    assert document[0]["SizeRw"] == 5
    assert not api.containers.list.called


async def test_create(api):
    api.containers.create.return_value = CreateResponse(id="abc", warnings=["careful"])
    body = {"Image": "busybox", "Cmd": "true", "HostConfig": {"Privileged": True}, "NetworkingConfig": None}
    reply = await api.ask("POST", "/containers/create?name=n&platform=linux/arm64", body)
    assert reply == (201, {"Id": "abc", "Warnings": ["careful"]})
    request, *options = api.containers.create.call_args.args
    assert (request.image, request.cmd, request.host_config.privileged) == ("busybox", ["true"], True)
    assert options == ["n", "linux/arm64", False]


async def test_create_has_no_platform_before_1_41(api):
    api.containers.create.return_value = CreateResponse()
    await api.ask("POST", "/containers/create?platform=x", {"Image": "b"}, version="1.40")
    assert api.containers.create.call_args.args[1:] == (None, None, True)


@pytest.mark.parametrize("body", [{}, None, {"HostConfig": {}}, {"NetworkingConfig": {}}])
async def test_create_of_nothing(api, body):
    status, message = await api.message("POST", "/containers/create", json.dumps(body).encode(), headers=JSON)
    assert (status, message) == (400, "config cannot be empty in order to create a container")


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (None, {}, "invalid JSON: got EOF while reading request body"),
        (b"", {}, "invalid JSON: got EOF while reading request body"),
        (b"{", JSON, "invalid JSON: unexpected EOF"),
        (b"{}{}", JSON, "unexpected content after JSON"),
        (b'{"Image":"b"}', {"Content-Type": "text/plain"}, "unsupported Content-Type header (text/plain): "),
        (b'{"Image":"b"}', {}, "malformed Content-Type header (): "),
        (b'{"Image":3}', JSON, "invalid JSON: "),
        (b'{"Image":"b","HostConfig":{"Memory":"x"}}', JSON, "invalid JSON: "),
        (b'{"Image":"b","HostConfig":{"BlkioWeight":70000}}', JSON, "invalid JSON: "),
    ],
)
async def test_create_of_malformed_bodies(api, body, headers, message: str):
    status, found = await api.message("POST", "/containers/create", body, headers=headers)
    assert status == 400
    assert found.startswith(message)
    assert not api.containers.create.called


async def test_inspect(api):
    api.containers.inspect.return_value = ContainerInspect(id="abc")
    status, document = await api.ask("GET", "/containers/a/b/json?size=1")
    assert (status, document["Id"]) == (200, "abc")
    assert api.containers.inspect.mock_calls == [call("a/b", True)]


VERBS = [
    ("POST", "/containers/c/start?detachKeys=ctrl-p", "start", call("c", "ctrl-p"), 204),
    ("POST", "/containers/c/stop", "stop", call("c", None, None), 204),
    ("POST", "/containers/c/stop?t=5&signal=USR1", "stop", call("c", 5, "USR1"), 204),
    ("POST", "/containers/c/stop?t=-1", "stop", call("c", -1, None), 204),
    ("POST", "/containers/c/restart?t=0", "restart", call("c", 0, None), 204),
    ("POST", "/containers/c/kill", "kill", call("c", ""), 204),
    ("POST", "/containers/c/kill?signal=9", "kill", call("c", "9"), 204),
    ("POST", "/containers/c/rename?name=new", "rename", call("c", "new"), 204),
    ("POST", "/containers/c/resize?h=24&w=80", "resize", call("c", 24, 80), 200),
    ("DELETE", "/containers/c", "remove", call("c", False, False, False), 204),
    ("DELETE", "/containers/c?force=1&v=true&link=True", "remove", call("c", True, True, True), 204),
]


@pytest.mark.parametrize(("method", "target", "verb", "expected", "status"), VERBS)
async def test_verbs(api, method: str, target: str, verb: str, expected, status: int):
    reply = await api.send(method, target)
    assert (reply.status, reply.body) == (status, b"")
    assert getattr(api.containers, verb).mock_calls == [expected]


async def test_signals_to_stop_with_came_in_1_42(api):
    await api.send("POST", "/containers/c/stop?signal=USR1", version="1.41")
    assert api.containers.stop.mock_calls == [call("c", None, None)]


@pytest.mark.parametrize("body", [None, b"{}", b"null", b"{}\r\n"])
async def test_start_with_next_to_nothing(api, body: bytes | None):
    assert (await api.send("POST", "/containers/c/start", body)).status == 204


@pytest.mark.parametrize(("body", "chunked"), [(b'{"Binds":[]}', False), (b"", True)])
async def test_start_with_a_host_config(api, body: bytes, chunked: bool):
    status, message = await api.message("POST", "/containers/c/start", body, chunked=chunked)
    assert (status, "removed in v1.24" in message) == (400, True)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/containers/c/stop?t=x", 'invalid value for t: "x" is not a whole number'),
        ("/containers/c/restart?t=99999999999999999999", 'invalid value for t: "99999999999999999999" is out of range'),
        ("/containers/c/resize", 'invalid resize height ""'),
        ("/containers/c/resize?h=x&w=1", 'invalid resize height "x"'),
        ("/containers/c/resize?h=1&w=-1", 'invalid resize width "-1"'),
        ("/containers/c/resize?h=1&w=99999999999", 'invalid resize width "99999999999"'),
        ("/containers/c/wait?condition=bogus", 'invalid condition: "bogus"'),
        ("/containers/c/start?checkpoint=x", "checkpoint is only supported in experimental mode"),
        ("/containers/prune?filters=x", "invalid filter"),
    ],
)
async def test_malformed_queries(api, target: str, message: str):
    status, found = await api.message("POST", target)
    assert status == 400
    assert found.startswith(message)


@pytest.mark.parametrize("query", ["limit=x", "filters=x", "filters=[]"])
async def test_malformed_lists(api, query: str):
    assert (await api.message("GET", f"/containers/json?{query}"))[0] == 400


async def test_update(api):
    api.control.update.return_value = UpdateResponse()
    body = {"Memory": 5, "RestartPolicy": {"Name": "always"}}
    assert await api.ask("POST", "/containers/c/update", body) == (200, {"Warnings": None})
    ref, request = api.control.update.call_args.args
    assert (ref, request.memory, request.restart_policy) == ("c", 5, RestartPolicy(name="always"))
    assert (await api.ask("POST", "/containers/c/update"))[0] == 200


@pytest.mark.parametrize("verb", ["pause", "unpause"])
async def test_pausing(api, verb: str):
    assert (await api.send("POST", f"/containers/c/{verb}")).status == 204
    assert getattr(api.control, verb).mock_calls == [call("c")]


async def test_prune(api):
    api.containers.prune.return_value = PruneReport(containers_deleted=["a"], space_reclaimed=3)
    document = {"ContainersDeleted": ["a"], "SpaceReclaimed": 3}
    assert await api.ask("POST", '/containers/prune?filters={"until":["1h"]}') == (200, document)
    assert api.containers.prune.mock_calls == [call({"until": ["1h"]})]


async def test_wait_answers_its_head_before_the_exit(api):
    exit: asyncio.Future[WaitResponse] = asyncio.get_running_loop().create_future()
    api.containers.wait.return_value = exit
    reply = await api.send("POST", "/containers/c/wait?condition=removed")
    assert isinstance(reply, Response)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert api.containers.wait.mock_calls == [call("c", "removed")]
    exit.set_result(WaitResponse(status_code=3, error=WaitError(message="why")))
    body = b"".join([item async for item in reply.body])
    assert json.loads(body) == {"StatusCode": 3, "Error": {"Message": "why"}}


async def test_a_wait_that_nobody_reads_is_given_up(api):
    exit: asyncio.Future[WaitResponse] = asyncio.get_running_loop().create_future()
    api.containers.wait.return_value = exit
    reply = await api.send("POST", "/containers/c/wait")
    assert isinstance(reply, Response)
    await reply.body.aclose()
    assert exit.cancelled()


@pytest.mark.parametrize(
    ("query", "version", "condition"),
    [
        ("", "1.51", "not-running"),
        ("?condition=next-exit", "1.51", "next-exit"),
        ("?condition=x", "1.29", "not-running"),
    ],
)
async def test_conditions_to_wait_for(api, query: str, version: str, condition: str):
    api.containers.wait.side_effect = NotFound("No such container: c")
    assert await api.message("POST", f"/containers/c/wait{query}", version=version) == (404, "No such container: c")
    assert api.containers.wait.mock_calls == [call("c", condition)]


async def test_a_create_request_means_what_it_meant_in_its_version(api):
    api.containers.create.return_value = CreateResponse()
    mount = {"Type": "bind", "Target": "/x", "ReadOnly": True, "BindOptions": {"CreateMountpoint": True}}
    volume = {"Type": "volume", "Target": "/v", "VolumeOptions": {}, "TmpfsOptions": {}}
    tmpfs = {"Type": "tmpfs", "Target": "/t", "VolumeOptions": {}, "TmpfsOptions": {}}
    body = {
        "Image": "b",
        "Healthcheck": {"StartInterval": 9},
        "HostConfig": {
            "Annotations": {"a": "b"},
            "ConsoleSize": [1, 2],
            "KernelMemory": 5,
            "KernelMemoryTCP": 6,
            "Mounts": [mount, volume, tmpfs],
        },
    }

    async def host(version: str) -> HostConfig:
        assert (await api.ask("POST", "/containers/create", body, version=version))[0] == 201
        found = api.containers.create.call_args.args[0]
        assert found.healthcheck.start_interval == (9 if version >= "1.44" else 0)
        return found.host_config

    newest = await host("1.51")
    assert (newest.annotations, newest.console_size, newest.kernel_memory) == ({"a": "b"}, [1, 2], 0)
    assert newest.mounts[0].bind_options.create_mountpoint
    assert None not in (newest.mounts[1].tmpfs_options, newest.mounts[2].volume_options)
    old = await host("1.41")
    assert (old.annotations, old.console_size, old.kernel_memory, old.kernel_memory_tcp) == ({}, [0, 0], 5, 6)
    assert not old.mounts[0].bind_options.create_mountpoint
    assert old.mounts[0].bind_options.read_only_non_recursive
    assert (old.mounts[1].tmpfs_options, old.mounts[2].volume_options) == (None, None)
    assert None not in (old.mounts[1].volume_options, old.mounts[2].tmpfs_options)
    assert old.ipc_mode == ""
    oldest = await host("1.39")
    assert (oldest.ipc_mode, oldest.kernel_memory_tcp) == ("shareable", 0)


@pytest.mark.parametrize(
    ("version", "body"),
    [
        ("1.43", {"Image": "b", "NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}}}),
        ("1.44", {"Image": "b", "HostConfig": {"Mounts": [{"VolumeOptions": {"Subpath": "x"}}]}}),
        ("1.47", {"Image": "b", "HostConfig": {"Mounts": [{"Type": "image"}]}}),
    ],
)
async def test_what_an_old_version_could_not_ask(api, version: str, body):
    api.containers.create.return_value = CreateResponse()
    assert (await api.ask("POST", "/containers/create", body))[0] == 201
    assert (await api.message("POST", "/containers/create", body, version=version))[0] == 400


async def test_inspect_of_old_versions_has_the_short_id_among_the_aliases(api):
    def inspect(ref: str, size: bool) -> ContainerInspect:
        document = ContainerInspect(id="0123456789abcdef")
        from sampan.wire.networks import EndpointSettings

        document.network_settings.networks = {"n": EndpointSettings(), "m": EndpointSettings(aliases=["x"])}
        return document

    api.containers.inspect.side_effect = inspect

    async def aliases(version: str) -> list[list[str] | None]:
        _, document = await api.ask("GET", "/containers/c/json", version=version)
        return [endpoint["Aliases"] for endpoint in document["NetworkSettings"]["Networks"].values()]

    assert await aliases("1.45") == [None, ["x"]]
    assert await aliases("1.44") == [["0123456789ab"], ["x", "0123456789ab"]]


async def test_errors_of_the_service_are_the_reply(api):
    api.containers.kill.side_effect = InvalidArgument("invalid signal: BOGUS")
    assert await api.message("POST", "/containers/c/kill?signal=BOGUS") == (400, "invalid signal: BOGUS")
