from __future__ import annotations

import asyncio
import logging
import os

import pytest

from sampan.http import BodyTooLarge, ClientGone, HttpError, Request, Response

GET = b"GET /x?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"


async def echo(request: Request) -> Response:
    """Answers what it was sent."""
    return Response(200, {"Method": request.method, "Path": request.path}, await request.body.read_all(1 << 20))


def post(body: bytes, extra: bytes = b"") -> bytes:
    return b"POST /p HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, len(body), body)


async def test_a_plain_reply(serve):
    async def hello(request: Request) -> Response:
        return Response(201, {"X-A": "b"}, b"hello " + request.query.get("a").encode())

    reply = await (await serve(hello)).ask(GET)
    assert (reply.status, reply.reason, reply.headers["x-a"], reply.body) == (201, "Created", "b", b"hello 1")
    assert reply.headers["content-length"] == "7"
    assert reply.headers["date"].endswith("GMT")
    assert "connection" not in reply.headers


async def test_kept_alive_and_pipelined(serve):
    client = await (await serve(echo)).connect()
    await client.send(GET + post(b"one") + GET + post(b"two"))
    assert [(await client.reply()).body for _ in range(4)] == [b"", b"one", b"", b"two"]
    assert (await client.ask(post(b"three"))).body == b"three"


async def test_replies_keep_the_order_of_requests(serve):
    async def slow_first(request: Request) -> Response:
        if request.path == "/slow":
            await asyncio.sleep(0.05)
        return Response(body=request.path.encode())

    client = await (await serve(slow_first)).connect()
    await client.send(GET.replace(b"/x", b"/slow") + GET.replace(b"/x", b"/fast"))
    assert [(await client.reply()).body for _ in range(2)] == [b"/slow", b"/fast"]


async def test_a_flood_of_pipelined_requests_is_answered_whole(serve):
    client = await (await serve(echo)).connect()
    count = 8000
    sender = asyncio.create_task(client.send(GET * count))
    for _ in range(count):
        assert (await client.reply()).status == 200
    await sender


@pytest.mark.parametrize(
    "wire",
    [
        b"4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n",
        b"1\r\na\r\n" * 1000 + b"0\r\n\r\n",
    ],
)
async def test_a_chunked_request(serve, wire: bytes):
    client = await (await serve(echo)).connect()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply = await client.ask(head + wire)
    assert reply.body == wire.replace(b"0\r\n\r\n", b"").translate(None, b"0123456789\r\n")
    assert (await client.ask(GET)).status == 200


async def test_a_body_is_asked_for_only_when_it_is_read(serve):
    client = await (await serve(echo)).connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert (await client.head()).status == 100
    assert (await client.ask(b"abc")).body == b"abc"


async def test_a_body_nobody_asked_for_ends_the_connection(serve):
    async def refuse(request: Request) -> Response:
        return Response(403)

    client = await (await serve(refuse)).connect()
    reply = await client.ask(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert (reply.status, reply.headers["connection"]) == (403, "close")
    assert await client.at_end()


async def ignore(request: Request) -> Response:
    """Answers without reading the body."""
    return Response(200, {}, b"ignored")


async def test_a_small_unread_body_keeps_the_connection(serve):
    client = await (await serve(ignore)).connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
    assert (await client.reply()).body == b"ignored"
    await client.send(b"cde" + GET)
    assert (await client.reply()).body == b"ignored"


async def test_an_unread_chunked_body_keeps_the_connection(serve):
    client = await (await serve(ignore)).connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n")
    assert (await client.reply()).body == b"ignored"
    await client.send(b"ab\r\n0\r\n\r\n" + GET)
    assert (await client.reply()).body == b"ignored"


async def test_a_large_unread_body_ends_the_connection_but_not_the_reply(serve):
    client = await (await serve(ignore)).connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000)
    reply = await client.reply()
    assert (reply.body, reply.headers["connection"]) == (b"ignored", "close")
    assert await client.at_end()


async def test_a_body_larger_than_its_reader_takes(serve):
    async def small(request: Request) -> Response:
        with pytest.raises(BodyTooLarge, match="larger than 10 bytes"):
            await request.body.read_all(10)
        raise BodyTooLarge(10)

    served = await serve(small)
    assert (await served.ask(post(b"x" * 11))).status == 413
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n"
    assert (await served.ask(chunked)).status == 413


async def test_a_malformed_chunk_reaches_the_reader_and_ends_the_connection(serve):
    client = await (await serve(echo)).connect()
    reply = await client.ask(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert (reply.status, reply.headers["connection"]) == (400, "close")
    assert reply.body == b"malformed chunked encoding: invalid chunk size"
    assert await client.at_end()


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"])
async def test_a_body_that_ends_early_is_the_clients_mistake(serve, framing: bytes):
    client = await (await serve(echo)).connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing)
    client.writer.write_eof()
    reply = await client.reply()
    assert (reply.status, reply.body[:14]) == (400, b"unexpected EOF")
    assert await client.at_end()


async def test_a_body_whose_client_is_gone(serve):
    outcome: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def reading(request: Request) -> Response:
        assert await request.body.read() == b"ab"
        reading_on.set()
        try:
            return Response(body=await request.body.read_all(100))
        except (HttpError, ClientGone) as error:
            outcome.set_result(error)
            raise

    reading_on = asyncio.Event()
    served = await serve(reading)
    client = await served.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
    await reading_on.wait()
    (connection,) = served.server.connections
    connection._transport.abort()
    assert isinstance(await outcome, ClientGone)
    await served.deserted()


async def test_a_big_body_is_read_with_back_pressure(serve):
    sizes: list[int] = []
    go = asyncio.Event()

    async def counting(request: Request) -> Response:
        await go.wait()
        async for piece in request.body:
            sizes.append(len(piece))
        return Response(body=b"%d" % sum(sizes))

    served = await serve(counting)
    client = await served.connect()
    sender = asyncio.create_task(client.send(post(b"x" * 20_000_000)))
    await asyncio.sleep(0.05)
    (connection,) = served.server.connections
    assert not sender.done()
    assert connection._body is not None and connection._body.size < 1_000_000
    go.set()
    assert (await client.reply()).body == b"20000000"
    await sender


async def test_head_has_no_body_but_its_length(serve):
    async def hello(request: Request) -> Response:
        return Response(body=b"hello")

    client = await (await serve(hello)).connect()
    await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
    assert (await client.reply(to_head=True)).headers["content-length"] == "5"
    assert (await client.reply()).body == b"hello"


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body(serve, status: int):
    async def empty(request: Request) -> Response:
        return Response(status)

    client = await (await serve(empty)).connect()
    for _ in range(2):
        reply = await client.ask(GET)
        assert (reply.status, "content-length" in reply.headers) == (status, False)


async def test_http_1_0(serve):
    client = await (await serve(echo)).connect()
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert (await client.reader.read()).startswith(b"HTTP/1.0 200 OK\r\n")
    client = await (await serve(echo)).connect()
    for _ in range(2):
        reply = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert reply.headers["connection"] == "keep-alive"


async def test_connection_close_is_honoured(serve):
    client = await (await serve(echo)).connect()
    reply = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert reply.headers["connection"] == "close"
    assert await client.at_end()


@pytest.mark.parametrize(
    ("wire", "first_line", "body"),
    [
        (b"GARBAGE\r\n\r\n", "400 Bad Request", b"400 Bad Request"),
        (
            b"GET / HTTP/1.1\r\n\r\n",
            "400 Bad Request: missing required Host header",
            b"400 Bad Request: missing required Host header",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
            "501 Not Implemented",
            b"Unsupported transfer encoding",
        ),
        (
            b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
            '400 Bad Request: invalid URL escape "%zz"',
            b'400 Bad Request: invalid URL escape "%zz"',
        ),
    ],
)
async def test_malformed_heads_never_reach_the_handler(serve, wire: bytes, first_line: str, body: bytes):
    async def never(request: Request) -> Response:
        raise AssertionError("reached")

    client = await (await serve(never)).connect()
    reply = await client.ask(wire)
    assert (f"{reply.status} {reply.reason}", reply.body) == (first_line, body)
    assert reply.headers["connection"] == "close"


async def test_a_malformed_pipelined_request_comes_after_the_reply_before_it(serve):
    client = await (await serve(echo)).connect()
    await client.send(GET + b"GARBAGE\r\n\r\n")
    assert (await client.reply()).status == 200
    assert (await client.reply()).status == 400
    assert await client.at_end()


async def test_the_handlers_http_errors_are_answered(serve):
    async def refuse(request: Request) -> Response:
        raise HttpError(409, "no")

    reply = await (await serve(refuse)).ask(GET)
    assert (reply.status, reply.body) == (409, b"no")


@pytest.mark.parametrize("error", [ValueError("secret"), asyncio.CancelledError("secret")])
async def test_a_failing_handler_is_logged_and_not_shown(serve, caplog, error: BaseException):
    async def broken(request: Request) -> Response:
        raise error

    client = await (await serve(broken)).connect()
    with caplog.at_level(logging.ERROR):
        reply = await client.ask(GET)
    assert (reply.status, reply.body) == (500, b"internal error\n")
    assert "secret" in caplog.text
    assert (await client.ask(GET)).status == 500


async def test_a_header_with_a_line_break_is_never_sent(serve, caplog):
    async def splitting(request: Request) -> Response:
        return Response(200, {"A": "b\r\nC: d"}, b"x")

    client = await (await serve(splitting)).connect()
    await client.send(GET)
    assert await client.at_end()
    assert "line break" in caplog.text


async def test_a_handler_runs_to_its_end_without_its_client(serve):
    entered, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def verb(request: Request) -> Response:
        entered.set()
        await go.wait()
        done.set()
        return Response(204)

    served = await serve(verb)
    client = await served.connect()
    await client.send(GET)
    await entered.wait()
    await client.close()
    await served.deserted()
    go.set()
    await done.wait()


async def test_a_half_closed_client_gets_its_reply(serve):
    async def later(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return Response(body=b"late")

    client = await (await serve(later)).connect()
    await client.send(GET)
    client.writer.write_eof()
    assert (await client.reply()).body == b"late"
    assert await client.at_end()


async def test_pipelined_requests_of_a_half_closed_client_are_all_answered(serve):
    async def later(request: Request) -> Response:
        await asyncio.sleep(0.02)
        return Response(body=request.path.encode())

    client = await (await serve(later)).connect()
    await client.send(GET + GET.replace(b"/x", b"/y") + b"GET /unfinished")
    client.writer.write_eof()
    assert [(await client.reply()).body for _ in range(2)] == [b"/x", b"/y"]
    assert await client.at_end()


async def test_a_client_that_never_ends_its_head_is_let_go(serve):
    client = await (await serve(echo, head_timeout=0.05)).connect()
    await client.send(GET[:-2])
    assert await client.at_end()


async def test_an_idle_client_is_kept(serve):
    client = await (await serve(echo, head_timeout=0.05)).connect()
    await client.ask(GET)
    await asyncio.sleep(0.1)
    assert (await client.ask(GET)).status == 200


async def test_the_peer_is_known_by_the_kernel(serve):
    async def who(request: Request) -> Response:
        peer = request.peer
        assert peer is not None
        return Response(body=f"{peer.pid} {peer.uid} {peer.gid} {request.scheme}".encode())

    reply = await (await serve(who)).ask(GET)
    assert reply.body.decode() == f"{os.getpid()} {os.getuid()} {os.getgid()} http"
