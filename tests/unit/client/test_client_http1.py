"""The client's half of HTTP/1.1: heads and bodies in every framing, cut anywhere."""

from __future__ import annotations

import pytest
from client_kit import ScriptedStream, answer
from hypothesis import given
from hypothesis import strategies as st

from sampan.client.blocking import run
from sampan.client.http1 import Connection, Duplex, parse_head
from sampan.errors import Upstream

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def cut(data: bytes, sizes) -> list[bytes]:
    pieces, position = [], 0
    for size in sizes:
        pieces.append(data[position : position + size])
        position += size
    return [piece for piece in [*pieces, data[position:]] if piece]


async def exchange(pieces, method="GET"):
    connection = Connection(ScriptedStream(pieces))
    head = await connection.head()
    assert head is not None
    return head, b"".join([piece async for piece in connection.body(head, method)]), connection


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), st.lists(st.integers(1, 7), max_size=60))
def test_a_chunked_body_comes_whole(chunks, sizes):
    body = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    data = CHUNKED + body + b"0\r\nTrailer: x\r\n\r\n" + answer(b"next")
    _, got, connection = run(exchange(cut(data, sizes)))
    assert got == b"".join(chunks)
    assert run(connection.head()) is not None  # What follows is left for the next answer.


@given(st.binary(max_size=50), st.lists(st.integers(1, 7), max_size=60))
def test_a_counted_body_comes_whole(body, sizes):
    _, got, _ = run(exchange(cut(answer(body), sizes)))
    assert got == body


def test_a_body_without_length_ends_with_the_connection():
    head, got, _ = run(exchange([b"HTTP/1.1 200 OK\r\n\r\nab", b"c"]))
    assert got == b"abc"
    assert head.keeps_alive


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_statuses_without_body(status):
    assert run(exchange([f"HTTP/1.1 {status}\r\n\r\n".encode()]))[1] == b""


def test_an_answer_to_head_has_no_body():
    assert run(exchange([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], "HEAD"))[1] == b""


def test_interim_answers_are_passed_over():
    head, got, _ = run(exchange([b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"x", "201 Created")]))
    assert (head.status, head.reason, got) == (201, "Created", b"x")


def test_no_answer_at_all_is_not_an_error_here():
    assert run(Connection(ScriptedStream([])).head()) is None


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nConte"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"],
        [CHUNKED + b"5\r\nabc"],
        [CHUNKED + b"3\r\nabc"],
        [CHUNKED + b"xyz\r\nabc\r\n"],
        [CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n"],
        [b"SSH-2.0-OpenSSH\r\n\r\n"],
        [b"HTTP/1.1 abc OK\r\n\r\n"],
    ],
)
def test_broken_answers_are_refused(pieces):
    with pytest.raises(Upstream):
        run(exchange(pieces))


def test_an_endless_head_is_refused():
    with pytest.raises(Upstream, match="too long"):
        run(Connection(ScriptedStream([b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"y" * 65536] * 20])).head())


@pytest.mark.parametrize(
    ("raw", "alive"),
    [
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive", True),
    ],
)
def test_keep_alive(raw, alive):
    assert parse_head(raw).keeps_alive is alive


def test_bytes_behind_the_head_belong_to_the_duplex():
    async def taken_over():
        connection = Connection(ScriptedStream([b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nearly", b"late"]))
        duplex = Duplex(connection, await connection.head())
        return [await duplex.read(2), await duplex.read(), await duplex.read(), await duplex.read()]

    assert run(taken_over()) == [b"ea", b"rly", b"late", b""]
