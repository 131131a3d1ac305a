from __future__ import annotations

import pytest

from sampan.errors import InvalidArgument
from sampan.http import BodyTooLarge, Headers, Request
from sampan.http.body import NO_BODY, BodyReader
from sampan.http.buffer import ByteBuffer
from sampan.server.call import BODY_LIMIT, Call, whole_number
from sampan.wire.exec import ExecStartRequest


def call(query: str = "", body: BodyReader = NO_BODY, content_type: str | None = None) -> Call:
    fields = [] if content_type is None else [(b"Content-Type", content_type.encode())]
    return Call(Request("POST", f"/x?{query}", Headers(fields), body=body))


def body(data: bytes, length: int | None = -1) -> BodyReader:
    buffer = ByteBuffer(lambda: None, lambda: None)
    buffer.feed(data)
    buffer.end()
    return BodyReader(buffer, len(data) if length == -1 else length, None)


@pytest.mark.parametrize("value", ["1", "true", "True", "yes", "x", " t "])
def test_true_flags(value: str):
    assert call(f"a={value}").flag("a") is True
    assert call(f"a={value}").flag("a", default=False) is True


@pytest.mark.parametrize("value", ["", "0", "no", "false", "False", "NONE", " 0 "])
def test_false_flags(value: str):
    assert call(f"a={value}").flag("a", default=True) is False


def test_absent_flags_have_their_default():
    assert (call().flag("a"), call().flag("a", default=True)) == (False, True)


def test_strict_flags():
    assert [call(f"a={word}").strict_flag("a") for word in ("1", "t", "TRUE", "0", "f", "False", "")] == [True] * 3 + [
        False
    ] * 4
    with pytest.raises(InvalidArgument, match='invalid value for a: "yes"'):
        call("a=yes").strict_flag("a")


def test_numbers():
    assert call("a=12&b=-1&c=%2B3").number("a") == 12
    assert call("a=12&b=-1&c=%2B3").number("b") == -1
    assert call("a=12&b=-1&c=%2B3").number("c") == 3
    assert call("a=").number("a") is None
    assert call().number("a") is None


@pytest.mark.parametrize("value", ["x", "1.5", "1e3", "0x1", "--1", "-", "1 ", "١", "1_0"])
def test_what_is_no_number(value: str):
    with pytest.raises(InvalidArgument, match="is not a whole number"):
        whole_number("a", value)


@pytest.mark.parametrize("value", ["9223372036854775808", "-9223372036854775809", "9" * 100_000])
def test_numbers_out_of_range(value: str):
    with pytest.raises(InvalidArgument, match="is out of range"):
        whole_number("a", value)


async def test_json_bodies():
    wanted = ExecStartRequest(detach=True)
    assert await call(body=body(b'{"Detach":true}'), content_type="application/json").json(ExecStartRequest) == wanted
    typed = "Application/JSON; charset=utf-8"
    assert await call(body=body(b'{"detach":true}', None), content_type=typed).json(ExecStartRequest) == wanted


async def test_no_body_at_all():
    default = ExecStartRequest()
    assert await call().json(ExecStartRequest, default) is default
    with pytest.raises(InvalidArgument, match="EOF"):
        await call().json(ExecStartRequest)
    with pytest.raises(InvalidArgument, match="EOF"):
        await call(body=body(b"", None), content_type="application/json").json(ExecStartRequest, default)


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        ("text/plain", r"unsupported Content-Type header \(text/plain\): must be 'application/json'"),
        ("application/x-www-form-urlencoded", "unsupported Content-Type header"),
        ("", "malformed Content-Type header"),
        ("json", "malformed Content-Type header"),
        ("application/json;;", "malformed Content-Type header"),
    ],
)
async def test_other_content_types(content_type: str, message: str):
    with pytest.raises(InvalidArgument, match=message):
        await call(body=body(b"{}"), content_type=content_type or None).json(ExecStartRequest)


@pytest.mark.parametrize(
    "data", [b"{", b"{}{}", b"[]", b'{"Detach":3}', b"[" * 200_000, b'{"a":' * 200_000, b"\xff", b'{"a":"\xff"}']
)
async def test_malformed_json(data: bytes):
    with pytest.raises(InvalidArgument, match="JSON"):
        await call(body=body(data), content_type="application/json").json(ExecStartRequest)


async def test_a_body_has_a_limit():
    with pytest.raises(BodyTooLarge):
        await call(body=body(b"", BODY_LIMIT + 1), content_type="application/json").json(ExecStartRequest)
