"""Columns and listings."""

from __future__ import annotations

import pytest

from sampan.cli.render.listing import Listing, ellipsis, short_id
from sampan.cli.render.table import align
from sampan.errors import InvalidArgument

LISTING = Listing(
    {
        "ID": ("THING ID", lambda item: item["id"]),
        "Name": ("NAME", lambda item: item["name"]),
        "Label": ("", lambda item: lambda key: item.get(key, "")),
    },
    "{{.ID}}\t{{.Name}}",
    "*thing",
)
ITEMS = [{"id": "1", "name": "one"}, {"id": "twelve-digits-long", "name": "two", "k": "v"}]


def test_columns_are_as_wide_as_they_must_be():
    assert align(["A\tB\tC", "aaaaaaaaaaaa\tb\tc"]) == "A              B         C\naaaaaaaaaaaa   b         c\n"


def test_a_line_without_a_column_parts_the_runs():
    assert align(["aaaaaaaaaaaaaaa\tb", "x", "a\tb"]) == "aaaaaaaaaaaaaaa   b\nx\na         b\n"


def test_nothing_to_align():
    assert align([]) == ""


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("", "THING ID             NAME\n1                    one\ntwelve-digits-long   two\n"),
        ("table", "THING ID             NAME\n1                    one\ntwelve-digits-long   two\n"),
        ("table {{.Name}}", "NAME\none\ntwo\n"),
        ("table {{.Name}}\\t{{.ID}}", "NAME      THING ID\none       1\ntwo       twelve-digits-long\n"),
        ('table {{upper .Name}} {{.Label "k"}}', "NAME k\nONE \nTWO v\n"),
        ("{{.ID}}-{{.Name}}", "1-one\ntwelve-digits-long-two\n"),
        ("json", '{"ID":"1","Name":"one"}\n{"ID":"twelve-digits-long","Name":"two"}\n'),
    ],
)
def test_formats(form, text):
    assert LISTING.render(ITEMS, form) == text


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("{{.Nope}}", "can't evaluate field Nope in type \\*thing"),
        ("table {{.Nope}}", "Nope"),
        ("{{.ID", "failed to parse"),
    ],
)
def test_bad_formats(form, message):
    with pytest.raises(InvalidArgument, match=message):
        LISTING.render(ITEMS, form)


def test_shortening():
    assert ellipsis("abcdef", 4) == "abc…"
    assert ellipsis("abcd", 4) == "abcd"
    assert short_id("sha256:" + "a" * 64) == "a" * 12
