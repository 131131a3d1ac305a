"""The keys that detach."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.cli.terminal import DetachKeys, parse_keys
from sampan.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-P", b"\x10"),
        ("a", b"a"),
        ("a,b", b"ab"),
        ("ctrl-@", b"\0"),
        ("ctrl-[", b"\x1b"),
        ("ctrl-_", b"\x1f"),
    ],
)
def test_sequences(text, keys):
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-1", "ab", "ctrl-ab", "a,", "é"])
def test_what_is_no_sequence(text):
    with pytest.raises(InvalidArgument, match="detach keys"):
        parse_keys(text)


def test_the_sequence_is_not_sent():
    keys = DetachKeys(b"\x10\x11")
    assert keys.filter(b"ab\x10\x11cd") == b"ab"
    assert keys.pressed


def test_a_beginning_is_held_until_the_next_key():
    keys = DetachKeys(b"\x10\x11")
    assert keys.filter(b"a\x10") == b"a"
    assert keys.filter(b"b") == b"\x10b"
    assert keys.filter(b"\x10") == b""
    assert keys.filter(b"\x10") == b"\x10"
    assert keys.filter(b"\x11") == b""
    assert keys.pressed


@given(st.lists(st.binary(max_size=4)))
def test_other_input_passes_whole(pieces):
    keys = DetachKeys(b"\xf0\xf1\xf2")
    pieces = [piece.replace(b"\xf0", b"") for piece in pieces]
    assert b"".join(map(keys.filter, pieces)) == b"".join(pieces)
    assert not keys.pressed


def test_without_keys_nothing_detaches():
    assert DetachKeys(b"").filter(b"\x10\x11") == b"\x10\x11"
