from __future__ import annotations

import pytest

from sampan.http import HttpError
from sampan.http.head import HEAD_LIMIT, Head, HeadParser


def parse(*pieces: bytes) -> tuple[Head, bytes]:
    """The head, and what of the last piece came after it."""
    parser = HeadParser()
    for number, piece in enumerate(pieces):
        end = parser.feed(piece)
        if end is not None:
            assert number == len(pieces) - 1
            return parser.head(), piece[end:]
    raise AssertionError("the head did not end")


FULL = b"POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-Y: z\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


@pytest.mark.parametrize("at", range(1, len(FULL)))
def test_a_head_cut_anywhere(at: int):
    head, rest = parse(FULL[:at], FULL[at:] + b"after")
    assert (head.method, head.target, head.version) == ("POST", "/a%20b?c=d", "1.1")
    assert (head.length, head.chunked, head.expect_continue, head.keep_alive) == (5, False, True, True)
    assert head.headers.get("x-y") == "z"
    assert rest == b"after"


def test_a_head_byte_by_byte():
    head, rest = parse(*[FULL[index : index + 1] for index in range(len(FULL))])
    assert (head.target, head.length, rest) == ("/a%20b?c=d", 5, b"")


def test_what_follows_is_not_touched():
    assert parse(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2")[1] == b"GET /2"
    assert parse(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\nConnection: upgrade\r\n\r\n\r\nraw")[1] == b"\r\nraw"


def test_bare_line_feeds_and_leading_empty_lines_are_taken():
    assert parse(b"GET /a HTTP/1.1\nHost: x\n\nrest")[1] == b"rest"
    assert parse(b"GET /a HTTP/1.1\r", b"\nHost: x", b"\nA: b\n", b"\nrest\n\n")[1] == b"rest\n\n"
    assert parse(b"\r\n", b"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\nrest")[1] == b"rest"


@pytest.mark.parametrize(
    ("target", "origin"),
    [(b"/x?y", "/x?y"), (b"http://h:1/x?y", "/x?y"), (b"http://h", "/"), (b"*", "*"), (b"//x", "//x")],
)
def test_targets(target: bytes, origin: str):
    assert parse(b"OPTIONS %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)[0].target == origin


def test_keep_alive():
    def kept(version: bytes, extra: bytes) -> bool:
        return parse(b"GET / HTTP/%b\r\nHost: x\r\n%b\r\n" % (version, extra))[0].keep_alive

    assert kept(b"1.1", b"")
    assert not kept(b"1.1", b"Connection: close\r\n")
    assert not kept(b"1.0", b"")
    assert kept(b"1.0", b"Connection: keep-alive\r\n")


@pytest.mark.parametrize(
    ("status", "message", "wire"),
    [
        (400, "", b"GARBAGE\r\n\r\n"),
        (400, "", b"GET\r\n\r\n"),
        (400, "", b"GET /\r\n\r\n"),
        (400, "", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (400, "", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"),
        (400, "", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n"),
        (400, "", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n"),
        (400, "", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        (400, "", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        (400, "", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"),
        (400, "", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (400, "missing required Host header", b"GET / HTTP/1.1\r\n\r\n"),
        (400, "too many Host headers", b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        (417, "", b"GET / HTTP/1.1\r\nHost: x\r\nExpect: other\r\n\r\n"),
        (431, "", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * HEAD_LIMIT),
        (501, "Unsupported transfer encoding", b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"),
        (
            501,
            "Unsupported transfer encoding",
            b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        ),
        (505, "unsupported protocol version", b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
        (400, "", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ],
)
def test_heads_that_are_refused(status: int, message: str, wire: bytes):
    with pytest.raises(HttpError) as caught:
        parse(wire)
    assert (caught.value.status, str(caught.value)) == (status, message)
