from __future__ import annotations

import pytest

from sampan.http import Headers, HttpError, Query
from sampan.http.query import unescape


def test_keys_come_in_order_and_several_times():
    query = Query("a=1&b=2&a=3&&c&d=")
    assert list(query) == [("a", "1"), ("b", "2"), ("a", "3"), ("c", ""), ("d", "")]
    assert query.get("a") == "1"
    assert query.get_all("a") == ["1", "3"]
    assert query.get("c") == ""
    assert query.get("x") == ""
    assert query.get("x", "y") == "y"
    assert "c" in query
    assert "x" not in query
    assert len(query) == 5


def test_escapes_and_pluses():
    assert list(Query("a%20b=c+d%2B%C3%A9&e=%ff")) == [("a b", "c d+é"), ("e", "\ufffd")]
    assert unescape("a+b") == "a+b"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("a=%zz", 'invalid URL escape "%zz"'),
        ("a=%1", 'invalid URL escape "%1"'),
        ("%=1", 'invalid URL escape "%"'),
        ("a;b", "invalid semicolon separator in query"),
    ],
)
def test_malformed_queries_are_refused_in_the_words_of_go(raw: str, message: str):
    with pytest.raises(HttpError) as caught:
        Query(raw)
    assert (caught.value.status, str(caught.value)) == (400, message)


def test_headers_are_found_in_any_case():
    headers = Headers([(b"Connection", b"Upgrade, close"), (b"X-A", b" 1 "), (b"x-a", b"2"), (b"CONNECTION", b"x")])
    assert headers.get("x-A") == "1"
    assert headers.get("y") is None
    assert headers.get("y", "z") == "z"
    assert headers.get_all("X-a") == ["1", "2"]
    assert headers.tokens("connection") == ["upgrade", "close", "x"]
    assert "X-A" in headers
    assert len(headers) == 4
    assert next(iter(headers)) == ("connection", "Upgrade, close")
