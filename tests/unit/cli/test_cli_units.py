"""Sizes and ages in docker's words."""

from __future__ import annotations

import pytest

from sampan.cli.render.units import bytes_size, human_duration, human_size, parse_bytes
from sampan.errors import InvalidArgument


@pytest.mark.parametrize(
    ("size", "precision", "text"),
    [
        (0, 4, "0B"),
        (999, 4, "999B"),
        (1000, 4, "1kB"),
        (1_985_952, 3, "1.99MB"),
        (1_985_952, 4, "1.986MB"),
        (10**9, 3, "1GB"),
        (999_999, 3, "1e+03kB"),
    ],
)
def test_human_size(size, precision, text):
    assert human_size(size, precision) == text


def test_bytes_size():
    assert [bytes_size(size) for size in (0, 652 * 1024, 25_276_514_304)] == ["0B", "652KiB", "23.54GiB"]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("32", 32),
        ("32b", 32),
        ("32k", 32 << 10),
        ("32kb", 32 << 10),
        ("32KiB", 32 << 10),
        ("1.5m", 3 << 19),
        ("2 g", 2 << 30),
        ("1t", 1 << 40),
        ("-1", -1),
    ],
)
def test_parse_bytes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "x", "5x", "-2", "-1m", "5kk", "5mib b", "b5", "1..2m"])
def test_what_is_no_size(text):
    with pytest.raises(InvalidArgument, match="invalid s"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5399, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (731 * 86400, "2 years"),
    ],
)
def test_human_duration(seconds, text):
    assert human_duration(seconds) == text
