from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from unittest.mock import call

import pytest

from sampan.errors import Conflict, InvalidArgument, NotFound
from sampan.http import Duplex, Upgrade
from sampan.oci.platform import Platform
from sampan.wire.disk import BuildPruneReport
from sampan.wire.distribution import AuthConfig, AuthResponse, DistributionInspect
from sampan.wire.images import DeleteItem, HistoryItem, ImageConfig, ImageInspect, ImageSummary, PruneReport, SearchItem
from sampan.wire.progress import ProgressMessage

ARM = Platform("linux", "arm64")
QUERY = 'platform={"os":"linux","architecture":"arm64","variant":"v8"}'


async def of(*items: bytes) -> AsyncIterator[bytes]:
    for item in items:
        yield item


async def test_list(api):
    api.images.list.return_value = [ImageSummary(id="i", size=5)]
    status, document = await api.ask(
        "GET", '/images/json?all=1&filters={"dangling":["true"]}&shared-size=1&manifests=1'
    )
    assert (status, document[0]["Id"]) == (200, "i")
    assert api.images.list.mock_calls == [call(True, {"dangling": ["true"]}, True, True)]


async def test_list_of_old_versions(api):
    def rows(*arguments: object) -> list[ImageSummary]:
        return [ImageSummary(id="i", size=5, containers=2, shared_size=3), ImageSummary(id="j", repo_tags=["a:b"])]

    api.images.list.side_effect = rows

    async def listed(version: str) -> list[dict[str, object]]:
        return (await api.ask("GET", "/images/json?shared-size=1&manifests=1", version=version))[1]

    assert (await listed("1.51"))[0]["Containers"] == 2
    assert (await listed("1.50"))[0]["Containers"] == -1
    assert "VirtualSize" not in (await listed("1.44"))[0]
    first, second = await listed("1.42")
    assert (first["VirtualSize"], first["RepoTags"], first["RepoDigests"]) == (5, ["<none>:<none>"], ["<none>@<none>"])
    assert (second["RepoTags"], second["RepoDigests"], first["SharedSize"]) == (["a:b"], None, 3)
    assert (await listed("1.41"))[0]["SharedSize"] == -1
    assert api.images.list.mock_calls[-1] == call(False, {}, False, False)


async def test_inspect(api):
    api.images.inspect.return_value = ImageInspect(id="i", size=5, config=ImageConfig(cmd=["x"]))
    _, document = await api.ask("GET", f"/images/a/b:c/json?manifests=1&{QUERY}")
    assert (document["Id"], "ContainerConfig" in document, "Image" in document["Config"]) == ("i", False, False)
    _, older = await api.ask("GET", f"/images/a/b:c/json?manifests=1&{QUERY}", version="1.43")
    assert (older["VirtualSize"], older["Config"]["Image"], older["Config"]["Cmd"]) == (5, "", ["x"])
    assert older["ContainerConfig"]["Cmd"] is None
    assert api.images.inspect.mock_calls == [call("a/b:c", ARM, True), call("a/b:c", None, False)]


async def test_history(api):
    api.images.history.return_value = [HistoryItem(id="h")]
    assert (await api.ask("GET", f"/images/i/history?{QUERY}"))[1][0]["Id"] == "h"
    assert api.images.history.mock_calls == [call("i", ARM)]


@pytest.mark.parametrize("text", ["linux", "{", "[]", '{"os":"linux"}', "null", '{"os":3}', "[" * 50_000])
@pytest.mark.parametrize("target", ["GET /images/i/json", "GET /images/i/history", "GET /images/i/get"])
async def test_malformed_platforms(api, text: str, target: str):
    method, path = target.split()
    assert (await api.message(method, f"{path}?platform={text}"))[0] == 400


async def test_tag(api):
    assert (await api.send("POST", "/images/a/b/tag?repo=r&tag=t&force=0")).status == 201
    assert api.images.tag.mock_calls == [call("a/b", "r", "t")]


async def test_remove(api):
    api.images.remove.return_value = [DeleteItem(untagged="a:b"), DeleteItem(deleted="sha256:1")]
    status, document = await api.ask("DELETE", "/images/a:b?force=1&noprune=1")
    assert (status, document) == (200, [{"Untagged": "a:b"}, {"Deleted": "sha256:1"}])
    assert api.images.remove.mock_calls == [call("a:b", True, True, [])]
    await api.ask("DELETE", "/images/a?" + QUERY.replace("platform", "platforms"))
    assert api.images.remove.call_args == call("a", False, False, [ARM])
    api.images.remove.side_effect = Conflict("in use")
    assert await api.message("DELETE", "/images/a") == (409, "in use")


async def test_save(api, read):
    api.images.save.side_effect = lambda refs, platforms: of(b"tar")
    reply = await api.send("GET", "/images/get?names=a&names=b")
    assert (await read(reply), reply.headers["Content-Type"]) == (b"tar", "application/x-tar")
    await api.send("GET", f"/images/a/b/get?{QUERY}")
    assert api.images.save.mock_calls == [call(["a", "b"], []), call(["a/b"], [ARM])]
    api.images.save.side_effect = NotFound("No such image: a")
    assert (await api.message("GET", "/images/a/get"))[0] == 404


def loading(*steps: bytes | ProgressMessage | Exception):
    async def load(body: AsyncIterator[bytes], quiet: bool, platforms: list[Platform]):
        assert b"".join([piece async for piece in body]) == b"tar"
        for step in steps:
            if isinstance(step, Exception):
                raise step
            yield step

    return load


async def test_load(api, read):
    api.images.load.side_effect = loading(ProgressMessage(stream="Loaded"), b"raw\r\n")
    reply = await api.send("POST", "/images/load?quiet=0", b"tar")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert await read(reply) == b'{"stream":"Loaded"}\r\nraw\r\n'
    assert api.images.load.call_args.args[1:] == (False, [])
    await api.send("POST", f"/images/load?{QUERY}", b"tar")
    assert api.images.load.call_args.args[1:] == (True, [ARM])


async def test_a_load_that_fails_at_once_has_a_status(api):
    api.images.load.side_effect = loading(InvalidArgument("not a tar"))
    assert await api.message("POST", "/images/load", b"tar") == (400, "not a tar")


async def test_a_load_that_fails_later_says_so_in_its_last_line(api, read, caplog):
    api.images.load.side_effect = loading(b"{}\r\n", InvalidArgument("disk is full"))
    lines = (await read(await api.send("POST", "/images/load", b"tar"))).splitlines()
    assert json.loads(lines[-1]) == {"error": "disk is full", "errorDetail": {"message": "disk is full"}}
    api.images.load.side_effect = loading(b"{}\r\n", ValueError("secret"))
    lines = (await read(await api.send("POST", "/images/load", b"tar"))).splitlines()
    assert json.loads(lines[-1])["error"] == "internal error"
    assert "secret" in caplog.text


async def test_progress_of_nothing(api, read):
    api.images.load.side_effect = loading()
    assert await read(await api.send("POST", "/images/load", b"tar")) == b""


async def test_prune(api):
    api.images.prune.return_value = PruneReport(images_deleted=[DeleteItem(deleted="x")], space_reclaimed=5)
    document = {"ImagesDeleted": [{"Deleted": "x"}], "SpaceReclaimed": 5}
    assert await api.ask("POST", '/images/prune?filters={"dangling":{"false":true}}') == (200, document)
    assert api.images.prune.mock_calls == [call({"dangling": ["false"]})]


def auth(document: object) -> dict[str, str]:
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(document).encode()).decode()}


async def test_pull(api, read):
    api.sources.pull.side_effect = lambda *args: of(b"line\r\n")
    reply = await api.send("POST", "/images/create?fromImage=a/b&tag=t&platform=linux/arm64", headers=auth({}))
    assert await read(reply) == b"line\r\n"
    await api.send("POST", "/images/create?fromImage=a", headers=auth({"username": "u"}))
    assert api.sources.pull.mock_calls == [
        call("a/b", "t", "linux/arm64", None),
        call("a", "", None, AuthConfig(username="u")),
    ]


async def test_import(api, read):
    bodies: list[bytes] = []

    async def import_(source, **options):
        if not isinstance(source, str):
            bodies.append(b"".join([piece async for piece in source]))
        yield b"done\r\n"

    api.sources.import_.side_effect = import_
    query = "fromSrc=-&repo=r&tag=t&message=m&changes=CMD+x&changes=USER+y&platform=linux"
    assert await read(await api.send("POST", f"/images/create?{query}", b"tar")) == b"done\r\n"
    assert bodies == [b"tar"]
    assert api.sources.import_.call_args.kwargs == {
        "repo": "r",
        "tag": "t",
        "message": "m",
        "changes": ["CMD x", "USER y"],
        "platform": "linux",
    }
    await api.send("POST", "/images/create?fromSrc=http://x/y.tar")
    assert api.sources.import_.call_args.args == ("http://x/y.tar",)


async def test_create_from_nothing(api):
    assert (await api.message("POST", "/images/create"))[0] == 400


async def test_push(api, read):
    api.registry.push.side_effect = lambda *args: of(b"line\r\n")
    reply = await api.send("POST", f"/images/127.0.0.1:5000/b/push?tag=t&{QUERY}", headers=auth({"username": "u"}))
    assert await read(reply) == b"line\r\n"
    assert api.registry.push.mock_calls == [call("127.0.0.1:5000/b", "t", ARM, AuthConfig(username="u"))]


async def test_search(api):
    api.registry.search.return_value = [SearchItem(name="n")]
    assert (await api.ask("GET", "/images/search?term=x&limit=5"))[1][0]["name"] == "n"
    await api.ask("GET", "/images/search?term=x")
    assert [entry.args[:2] for entry in api.registry.search.mock_calls] == [("x", 5), ("x", 25)]


@pytest.mark.parametrize("limit", ["x", "200", "-1"])
async def test_malformed_searches(api, limit: str):
    assert (await api.message("GET", f"/images/search?term=x&limit={limit}"))[0] == 400


async def test_distribution_and_auth(api):
    api.registry.distribution.return_value = DistributionInspect()
    assert (await api.ask("GET", "/distribution/a/b/json"))[0] == 200
    assert api.registry.distribution.mock_calls == [call("a/b", None)]
    api.registry.authenticate.return_value = AuthResponse(status="Login Succeeded")
    body = {"username": "u", "password": "p", "serveraddress": "r"}
    status, document = await api.ask("POST", "/auth", body)
    assert (status, document["Status"]) == (200, "Login Succeeded")
    assert (await api.message("POST", "/auth"))[0] == 400


async def test_build(api, read):
    async def build(options, context, credentials, buildkit):
        assert [piece async for piece in context] == [b"tar"]
        assert options == {"t": ["a", "b"], "nocache": ["1"], "version": ["1"]}
        assert (credentials, buildkit) == ({"r": AuthConfig(username="u")}, False)
        yield b'{"stream":"Step 1"}\r\n'

    api.build.build.side_effect = build
    config = base64.urlsafe_b64encode(b'{"r":{"username":"u"}}').decode()
    reply = await api.send("POST", "/build?t=a&t=b&nocache=1&version=1", b"tar", headers={"X-Registry-Config": config})
    assert await read(reply) == b'{"stream":"Step 1"}\r\n'
    assert (await api.message("POST", "/build?version=3"))[0] == 400


async def test_build_prune(api):
    api.build.prune_cache.return_value = BuildPruneReport()
    document = {"CachesDeleted": None, "SpaceReclaimed": 0}
    assert await api.ask("POST", "/build/prune?all=1&keep-storage=5&filters={}") == (200, document)
    assert api.build.prune_cache.mock_calls == [call({}, True, 5)]
    assert (await api.message("POST", "/build/prune?keep-storage=x"))[0] == 400


@pytest.mark.parametrize(("target", "verb"), [("/session", "session"), ("/grpc", "grpc")])
async def test_connections_for_buildkit(api, target: str, verb: str):
    headers = {"Connection": "Upgrade", "Upgrade": "h2c"}
    reply = await api.send("POST", target, headers=headers, version="")
    assert isinstance(reply, Upgrade)
    assert (reply.status, reply.headers) == (101, headers)
    duplex = object.__new__(Duplex)
    await reply.run(duplex)
    assert getattr(api.build, verb).call_args.args[1] is duplex
    assert (await api.message("POST", target, version=""))[0] == 400
    assert (await api.message("POST", target, headers={"Upgrade": "tcp"}, version=""))[0] == 400
