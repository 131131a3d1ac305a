from __future__ import annotations

import pytest

from sampan.errors import InvalidArgument
from sampan.server.filters import parse_filters


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("", {}),
        ("{}", {}),
        ("null", {}),
        ('{"label":{"a=b":true,"c":true}}', {"label": ["a=b", "c"]}),
        ('{"label":{"a":false}}', {"label": ["a"]}),
        ('{"label":["a=b","c"],"x":[]}', {"label": ["a=b", "c"], "x": []}),
        ('{"label":null}', {"label": []}),
        (' {"a" : ["b"]} ', {"a": ["b"]}),
        ('{"a":["\\u00e9"]}', {"a": ["é"]}),
    ],
)
def test_both_forms(text: str, filters: dict[str, list[str]]):
    assert parse_filters(text) == filters


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        "1",
        '"a"',
        "{}x",
        '{"a":"b"}',
        '{"a":{"b":1}}',
        '{"a":["b"],"c":{"d":true}}',
        '{"a":[1]}',
        '{"a"',
        "[" * 100_000,
        '{"a":' * 100_000,
        "\udcff",
    ],
)
def test_neither_form(text: str):
    with pytest.raises(InvalidArgument, match="invalid filter"):
        parse_filters(text)
