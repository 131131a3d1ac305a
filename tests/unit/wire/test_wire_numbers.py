"""Numbers as people write them."""

import pytest

from sampan.wire.numbers import whole


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("+9", 9), ("-9", -9), ("9" * 19, 10**19 - 1), ("0" * 5000 + "1", 1), ("-" + "0" * 40, 0)],
)
def test_what_is_a_number(text, number):
    assert whole(text) == number


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1.0", "1e3", "0x1", "1_0", "\u0661", "\u00b2", "--1", "+", "1" * 20, "9" * 5000, "1\n"]
)
def test_what_is_none(text):
    assert whole(text) is None
