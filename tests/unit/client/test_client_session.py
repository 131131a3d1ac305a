"""Versions, errors, connections used again, queries."""

from __future__ import annotations

import pytest
from client_kit import ScriptedTransport, answer

from sampan import errors
from sampan.client.blocking import run
from sampan.client.errors import Answered
from sampan.client.session import Session, encode_query, quote

PING = answer(Api_Version="1.51")


def session(*scripts, version="1.51"):
    transport = ScriptedTransport(*scripts)
    return Session(transport, version), transport


@pytest.mark.parametrize(
    ("theirs", "agreed"), [("1.51", "1.51"), ("1.99", "1.51"), ("1.43", "1.43"), ("1.9", "1.9"), (None, "1.24")]
)
def test_the_lower_version_is_used(theirs, agreed):
    ping = answer(Api_Version=theirs) if theirs else answer()
    client, transport = session([ping, answer(b"{}")], version=None)
    run(client.request("GET", "/info"))
    assert transport.requests == ["HEAD /_ping", f"GET /v{agreed}/info"]


def test_versions_are_agreed_once():
    client, transport = session([PING, answer(b"a"), answer(b"b")], version=None)
    run(run(client.request("GET", "/a")).read())
    run(run(client.request("GET", "/b")).read())
    assert transport.requests == ["HEAD /_ping", "GET /v1.51/a", "GET /v1.51/b"]
    assert len(transport.streams) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (304, errors.NotModified),
        (400, errors.InvalidArgument),
        (401, errors.Unauthenticated),
        (403, errors.Denied),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (418, errors.InvalidArgument),
        (500, errors.Internal),
        (501, errors.NotImplementedYet),
        (502, errors.Internal),
        (503, errors.Unavailable),
    ],
)
def test_statuses_become_kinds(status, kind):
    client, _ = session([answer(b'{"message":"what was wrong"}', f"{status} X")])
    with pytest.raises(kind) as raised:
        run(client.request("GET", "/x"))
    assert isinstance(raised.value, Answered)
    if status != 304:
        assert str(raised.value) == "what was wrong"


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"plain words\n", "plain words"), (b"", "status 500"), (b"[1]", r"\[1\]"), (b'{"error":1}', "error")],
)
def test_messages_that_are_not_json(body, message):
    client, _ = session([answer(body, "500 X")])
    with pytest.raises(errors.Internal, match=message):
        run(client.request("GET", "/x"))


def test_a_connection_with_an_unread_body_is_not_used_again():
    client, transport = session([answer(b"long")], [answer(b"x")])
    run(client.request("GET", "/a"))
    run(client.request("GET", "/b"))
    assert len(transport.streams) == 2


def test_a_closing_answer_closes():
    client, transport = session([answer(b"x", Connection="close")], [answer(b"y")])
    run(run(client.request("GET", "/a")).read())
    run(client.request("GET", "/b"))
    assert transport.streams[0].closed
    assert len(transport.streams) == 2


def test_an_idle_connection_that_ended_is_replaced():
    client, transport = session([answer(b"x")], [answer(b"y")])
    run(run(client.request("GET", "/a")).read())
    assert run(run(client.request("GET", "/b")).read()) == b"y"
    assert len(transport.streams) == 2


def test_a_new_connection_that_ends_is_an_error():
    client, _ = session([])
    with pytest.raises(errors.Unavailable, match="without an answer"):
        run(client.request("GET", "/a"))


def test_a_body_of_unknown_length_is_chunked():
    async def pieces():
        yield b"abc"
        yield b""
        yield b"defgh"

    client, transport = session([answer()])
    run(client.request("POST", "/images/load", None, pieces()))
    head, _, body = transport.streams[0].written.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert body == b"3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n"


def test_head_and_body_go_in_one_write():
    client, transport = session([answer()])
    run(client.call("POST", "/x", None, {"a": 1}))
    assert b"Content-Type: application/json" in transport.streams[0].written
    assert transport.streams[0].written.endswith(b'\r\n\r\n{"a":1}')


def test_a_refused_upgrade_raises():
    client, _ = session([answer(b'{"message":"no"}', "409 Conflict")])
    with pytest.raises(errors.Conflict, match="no"):
        run(client.upgrade("/containers/x/attach"))


def test_an_upgrade_gives_a_duplex():
    client, transport = session([b"HTTP/1.1 101 UPGRADED\r\nContent-Type: a/b\r\n\r\nhello"])
    duplex = run(client.upgrade("/exec/x/start", None, b"{}"))
    run(duplex.write(b"input"))
    run(duplex.write_eof())
    assert (run(duplex.read()), duplex.content_type) == (b"hello", "a/b")
    assert b"Upgrade: tcp\r\n" in transport.streams[0].written
    assert transport.streams[0].written.endswith(b"{}input")
    assert transport.streams[0].ended


def test_lines_are_found_across_pieces():
    async def collect():
        response = await client.request("GET", "/events")
        return [line async for line in response.lines()]

    client, _ = session([b"HTTP/1.1 200 OK\r\n\r\n{1", b"}\n\r\n{2}\n{3", b"}"])
    assert run(collect()) == [b"{1}", b"{2}", b"{3}"]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (None, ""),
        ({"a": None, "b": False, "c": "", "d": {}}, ""),
        ({"all": True, "limit": 5, "zero": 0}, "?all=1&limit=5&zero=0"),
        ({"names": ["a:1", "b/c"]}, "?names=a%3A1&names=b%2Fc"),
        ({"x": "ü &"}, "?x=%C3%BC%20%26"),
        ({"filters": {"label": ["a=b", "c"]}}, "?filters=" + quote('{"label":{"a=b":true,"c":true}}')),
    ],
)
def test_queries(query, text):
    assert encode_query(query) == text


def test_quote_keeps_what_it_is_told_to():
    assert quote("a/b:c@d e", "/:@") == "a/b:c@d%20e"
