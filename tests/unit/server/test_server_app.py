from __future__ import annotations

import asyncio
import logging

import pytest

from sampan import errors
from sampan.http import BodyTooLarge, ClientGone, Headers, HttpError, Request, Response
from sampan.server import ApiServer, Backends, build_routes
from sampan.server.app import clean_path
from sampan.server.versions import format_version, parse_version
from sampan.wire.containers import ContainerInspect
from sampan.wire.system import Version


async def test_every_reply_of_an_operation_names_the_server(api):
    api.system.version.return_value = Version(version="1")
    reply = await api.send("GET", "/version", version="1.24")
    assert reply.headers == {
        "Api-Version": "1.51",
        "Content-Type": "application/json",
        "Docker-Experimental": "false",
        "Ostype": "linux",
        "Server": "Test/1 (linux)",
    }
    failed = await api.send("GET", "/containers/x/logs")
    assert failed.headers["Api-Version"] == "1.51"


async def test_without_a_version_the_newest_is_meant(api):
    api.system.version.return_value = Version(version="1")
    assert (await api.ask("GET", "/version", version=""))[1]["Version"] == "1"


async def test_too_old_a_version_is_plain_text(api):
    reply = await api.send("GET", "/version", version="1.23")
    assert (reply.status, reply.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert reply.body == (
        b"client version 1.23 is too old. Minimum supported API version is 1.24, "
        b"please upgrade your client to a newer version\n"
    )
    assert "Docker-Experimental" not in reply.headers


async def test_too_new_a_version_is_json(api):
    status, message = await api.message("GET", "/version", version="1.52")
    assert (status, message) == (400, "client version 1.52 is too new. Maximum supported API version is 1.51")


@pytest.mark.parametrize("target", ["/nothing", "/v1.51/nothing", "/v1.99/nothing", "/", "/v1.51/", "/vx/version"])
async def test_no_such_page(api, target: str):
    reply = await api.send("GET", target, version="")
    assert (reply.status, reply.body) == (404, b'{"message":"page not found"}\n')
    assert "Api-Version" not in reply.headers


async def test_a_method_that_a_path_does_not_have(api):
    assert (await api.message("PUT", "/containers/json"))[0] == 404
    assert (await api.message("HEAD", "/containers/x/json"))[0] == 404


async def test_options_of_anything(api):
    reply = await api.send("OPTIONS", "/info")
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/v1.41//containers/json?a=b%20c", "/v1.41/containers/json?a=b%20c"),
        ("/v1.41/containers/../info", "/v1.41/info"),
        ("/v1.41/containers/%2e%2e/json/", "/v1.41/json/"),
        ("//", "/"),
        ("//h/a%20b%0d%0ax", "/h/a%20b%0D%0Ax"),
    ],
)
async def test_paths_are_cleaned_by_a_redirect(api, target: str, location: str):
    reply = await api.send("GET", target, version="")
    assert (reply.status, reply.headers) == (301, {"Location": location})


def test_clean_paths_stay():
    for path in ("/", "/a", "/a/", "/a/.b", "/v1.51/x..y"):
        assert clean_path(path) == path


KINDS = {
    errors.InvalidArgument: 400,
    errors.Unauthenticated: 401,
    errors.Denied: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Exhausted: 500,
    errors.Upstream: 500,
    errors.DataLoss: 500,
    errors.Internal: 500,
    errors.NotImplementedYet: 501,
    errors.Unavailable: 503,
}


@pytest.mark.parametrize(("kind", "status"), KINDS.items())
async def test_kinds_of_error_become_statuses(api, kind: type[errors.SampanError], status: int):
    api.containers.inspect.side_effect = kind("what was wrong")
    assert await api.message("GET", "/containers/x/json") == (status, "what was wrong")


def test_every_kind_of_error_has_a_status():
    kinds = {getattr(errors, name) for name in errors.__all__} - {errors.SampanError, errors.NotModified}
    assert kinds == set(KINDS)


async def test_not_modified_has_no_body(api):
    api.containers.start.side_effect = errors.NotModified("it runs")
    reply = await api.send("POST", "/containers/x/start")
    assert (reply.status, reply.body, "Content-Type" in reply.headers) == (304, b"", False)


async def test_a_subclass_has_its_kinds_status(api):
    class Gone(errors.NotFound):
        pass

    api.containers.inspect.side_effect = Gone("away")
    assert (await api.message("GET", "/containers/x/json"))[0] == 404


@pytest.mark.parametrize("error", [ValueError("secret"), KeyError("secret"), asyncio.CancelledError("secret")])
async def test_a_bug_is_logged_and_not_shown(api, caplog, error: BaseException):
    api.containers.inspect.side_effect = error
    with caplog.at_level(logging.ERROR):
        status, message = await api.message("GET", "/containers/x/json")
    assert (status, message) == (500, "internal error: the daemon's log says more")
    assert "GET /v1.51/containers/x/json failed" in caplog.text


async def test_a_cancelled_call_stays_cancelled(api):
    async def forever(*args: object) -> ContainerInspect:
        await asyncio.Event().wait()
        raise AssertionError

    api.containers.inspect.side_effect = forever
    task = asyncio.create_task(api.send("GET", "/containers/x/json"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_errors_of_the_engine_below_are_answered_as_json(api):
    api.containers.inspect.side_effect = HttpError(418, "teapot")
    assert await api.message("GET", "/containers/x/json") == (418, "teapot")
    api.containers.inspect.side_effect = BodyTooLarge(5)
    assert (await api.message("GET", "/containers/x/json"))[0] == 413


async def test_a_client_that_is_gone_is_not_answered(api):
    api.containers.inspect.side_effect = ClientGone("bye")
    with pytest.raises(ClientGone):
        await api.send("GET", "/containers/x/json")


@pytest.mark.parametrize("target", ["/containers/a%00b/json", "/containers/json?filters=%00", "/containers/json?%00"])
async def test_nul_characters_are_refused(api, target: str):
    assert (await api.message("GET", target))[0] == 400


@pytest.mark.parametrize(
    ("query", "message"),
    [("all=%zz", 'invalid URL escape "%zz"'), ("a;b", "invalid semicolon separator in query")],
)
async def test_malformed_queries(api, query: str, message: str):
    assert await api.message("GET", f"/containers/json?{query}") == (400, message)


async def test_a_service_that_is_not_there_answers_501():
    server = ApiServer(build_routes(Backends()))
    reply = await server.handle(Request("GET", "/volumes", Headers()))
    assert isinstance(reply, Response)
    assert (reply.status, reply.body) == (501, b'{"message":"VolumeList is not there yet in this version of Sampan"}\n')


def test_versions():
    assert parse_version("1.9") < parse_version("1.10") < parse_version("1.24.1") < parse_version("2")
    assert parse_version("1.51") == parse_version("1.51.0") == parse_version("1.051")
    assert parse_version("1..5") == (1, 0, 5)
    assert parse_version("") == parse_version("0") == parse_version("...") == (0,)
    assert format_version((1, 51)) == "1.51"


async def test_on_a_socket(api, tmp_path):
    api.system.version.return_value = Version(version="7")
    await api.server.listen_unix(tmp_path / "s")
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    writer.write(b"GET /v1.51/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b'"Version":"7"' in await reader.read()
    writer.close()
    await api.server.close(grace=0)
    assert not (tmp_path / "s").exists()
