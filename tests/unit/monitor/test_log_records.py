"""Any bytes, however they are cut into chunks, come back whole from a log."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.monitor.encode import LONGEST_PIECE, chunk_end, encoder, escape, format_time, short_time
from sampan.monitor.logs.decode import make_decoder, parse_time

NOW = 1_795_614_360_153_321_466
pieces = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from(
        [b"plain line\n", b"a\nb\nc\n", b'\\n","stream":"stdout"', b'{"log":"', b"\\", b'"', b"\xff\xed\xb2\x80"]
    ),
)
chunks = st.lists(st.tuples(st.sampled_from([1, 2]), pieces.filter(bool), st.integers(0, 3)), max_size=12)


def written(driver: str, parts, attrs=None) -> bytes:
    encode = encoder(driver, attrs)
    return b"".join(b"".join(encode(data, stream, NOW + later)) for stream, data, later in parts)


def texts(runs) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for run in runs:
        found[run.stream] = found.get(run.stream, b"") + run.text
    return found


def sent(parts) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for stream, data, _ in parts:
        found[stream] = found.get(stream, b"") + data
    return found


@pytest.mark.parametrize("driver", ["json-file", "local"])
@settings(deadline=None)
@given(parts=chunks, cuts=st.lists(st.integers(1, 200), max_size=20))
def test_any_bytes_come_back_in_any_chunking(driver, parts, cuts):
    log = written(driver, parts)
    decoder = make_decoder(driver)
    runs = []
    for cut in cuts:
        runs += decoder.feed(log[:cut])
        log = log[cut:]
    runs += decoder.feed(log)
    assert texts(runs) == sent(parts)


@settings(deadline=None)
@given(parts=chunks)
def test_each_json_record_is_one_line_of_json_with_at_most_one_line_of_text(parts):
    for line in written("json-file", parts, {"tier": "one"}).splitlines():
        record = json.loads(line)
        assert set(record) == {"log", "stream", "time", "attrs"}
        assert "\n" not in record["log"][:-1]
        assert parse_time(record["time"]) in range(NOW, NOW + 4)


@settings(deadline=None)
@given(parts=chunks)
def test_times_and_streams_keep_their_order(parts):
    runs = list(make_decoder("local").feed(written("local", parts)))
    assert [(run.stream, run.time_ns, run.text) for run in runs] == [(s, NOW + t, d) for s, d, t in parts]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_escape_is_a_json_string_for_the_bytes(data):
    text = json.loads(b'"' + escape(data) + b'"', strict=False)
    assert text.encode("utf-8", "surrogateescape") == data


@settings(deadline=None)
@given(st.text().filter(bool))
def test_text_is_never_cut_within_a_character_or_a_line(text):
    data = text.encode("utf-8", "replace")
    for length in range(1, len(data) + 1):
        end = chunk_end(data[:length])
        assert 0 < end <= length
        if b"\n" in data[:length]:
            assert data[end - 1 : end] == b"\n"
        elif len(data[:length]) > 3:
            data[:end].decode()


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=50))
def test_a_cut_takes_something(data):
    assert 0 < chunk_end(data) <= len(data)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (b'<a href="x">&</a>', rb"\u003ca href=\"x\"\u003e\u0026\u003c/a\u003e"),
        ("\u2028 \u2029 \u2027 \u00e9".encode(), "\\u2028 \\u2029 \u2027 \u00e9".encode()),
        (b"\t\r\b\0\x1b\x7f\\", b"\\u0009\\r\\u0008\\u0000\\u001b\x7f\\\\"),
        (b"\xff\xe2\x80", rb"\udcff\udce2\udc80"),
    ],
)
def test_escapes_are_dockers(text, inside):
    assert escape(text) == inside


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (5, b"1970-01-01T00:00:00.000000005Z"),
        (120_000_000, b"1970-01-01T00:00:00.12Z"),
        (0, b"1970-01-01T00:00:00Z"),
        (10**9, b"1970-01-01T00:00:01Z"),
    ],
)
def test_times_of_records_have_no_zeros_at_their_end(time_ns, text):
    assert short_time(time_ns) == text


def test_attributes_stand_as_go_writes_a_map():
    record = written("json-file", [(1, b"x\n", 0)], {"b": "\u00e9<\t", "a": "1"})
    assert b',"attrs":{"a":"1","b":"\xc3\xa9\\u003c\\t"},"time":' in record


@pytest.mark.parametrize(
    ("data", "lengths"),
    [
        (b"x" * (LONGEST_PIECE - 1) + b"\n", [LONGEST_PIECE]),
        (b"x" * LONGEST_PIECE + b"\n", [LONGEST_PIECE, 1]),
        (b"x" * 40_000 + b"\n" + b"short\n" * 3000, [LONGEST_PIECE, LONGEST_PIECE, 7233] + [6] * 3000),
        (b"a\n" + b"x" * 20_000, [2, LONGEST_PIECE, 3616]),
        ("\u00e9".encode() * 10_000 + b"\n", [LONGEST_PIECE, 3617]),
        (b"x" + "\u00e9".encode() * 10_000, [LONGEST_PIECE - 1, 3618]),
    ],
)
def test_long_lines_go_in_pieces(data, lengths):
    records = written("json-file", [(1, data, 0)])
    assert [len(json.loads(line)["log"].encode()) for line in records.splitlines()] == lengths
    assert texts(make_decoder("json-file").feed(records)) == {1: data}


def test_format_time_is_fixed_width_and_parses_back():
    assert format_time(5) == b"1970-01-01T00:00:00.000000005Z"
    assert parse_time("1970-01-01T00:00:00.000000005Z") == 5
    assert parse_time("1970-01-01T01:00:00+01:00") == 0
    assert parse_time("2026-11-25T13:30:50Z") == 1795613450 * 10**9
    assert parse_time("2026-11-25T14:30:50.5+01:00") == 1795613450 * 10**9 + 500_000_000


def test_a_torn_or_foreign_line_is_skipped():
    log = (
        written("json-file", [(1, b"one\n", 0)])
        + b'{"log":"to\n'
        + b"rubbish\n"
        + written("json-file", [(1, b"two\n", 0)])
    )
    assert texts(make_decoder("json-file").feed(log)) == {1: b"one\ntwo\n"}


def test_a_foreign_line_amid_a_run_costs_no_more_than_itself():
    one = written("json-file", [(1, b"a\n" * 20000, 0)])
    foreign = written("json-file", [(2, b"b\n", 0)])
    runs = list(make_decoder("json-file").feed(one + foreign + b"rubbish\n" + one))
    assert texts(runs) == {1: b"a\n" * 40000, 2: b"b\n"}
