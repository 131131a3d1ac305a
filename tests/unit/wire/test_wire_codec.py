"""The codec reads as Go reads and writes as Go writes."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import InvalidArgument
from sampan.wire import codec
from sampan.wire.base import Empty
from sampan.wire.containers import Change, ContainerConfig, ContainerSummary, CreateRequest, HealthConfig, HostConfig
from sampan.wire.images import ImageSummary


def test_keys_match_in_any_case():
    request = codec.decode(b'{"image":"x","HOSTCONFIG":{"memory":5}}', CreateRequest)
    assert request.image == "x"
    assert request.host_config is not None and request.host_config.memory == 5


def test_an_exact_key_wins_over_its_variants_only_by_order():
    assert codec.decode(b'{"Image":"a","image":"b"}', CreateRequest).image == "b"


def test_unknown_keys_are_dropped():
    assert codec.decode(b'{"Image":"x","Nonsense":{"a":[1]}}', CreateRequest) == CreateRequest(image="x")


def test_null_is_the_zero_value_everywhere():
    nothing = dict.fromkeys(json.loads(codec.encode(HostConfig())))
    assert codec.decode(json.dumps({"HostConfig": nothing}).encode(), CreateRequest).host_config == HostConfig()
    assert codec.decode(b"null", CreateRequest) == CreateRequest()


def test_null_inside_maps_and_lists():
    config = codec.decode(b'{"ExposedPorts":{"80/tcp":null},"Env":["a",null],"Labels":{"k":null}}', ContainerConfig)
    assert config.exposed_ports == {"80/tcp": Empty()}
    assert config.env == ["a", ""]
    assert config.labels == {"k": ""}


def test_null_and_empty_stay_apart_where_go_keeps_them_apart():
    assert codec.decode(b'{"Env":null}', ContainerConfig).env is None
    assert codec.decode(b'{"Env":[]}', ContainerConfig).env == []


@pytest.mark.parametrize("key", ["Cmd", "Entrypoint", "Shell"])
def test_a_command_may_be_a_string(key):
    request = codec.decode(json.dumps({key: "echo hi"}).encode(), ContainerConfig)
    assert getattr(request, key.lower()) == ["echo hi"]


def test_other_lists_may_not_be_strings():
    with pytest.raises(InvalidArgument, match=r"array.*Env"):
        codec.decode(b'{"Env":"A=b"}', ContainerConfig)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"Image":5}', r"invalid JSON: .*\$\.Image"),
        (b'{"HostConfig":{"Memory":"5m"}}', r"\$\.HostConfig\.Memory"),
        (b'{"HostConfig":{"Memory":1.5}}', r"\$\.HostConfig\.Memory"),
        (b'{"HostConfig":{"Memory":9223372036854775808}}', r"\$\.HostConfig\.Memory"),
        (b'{"hostconfig":{"memory":9223372036854775808}}', r"\$\.HostConfig\.Memory"),
        (b"[]", "invalid JSON"),
        (b"", "got EOF while reading request body"),
        (b"  ", "got EOF while reading request body"),
        (b'{"Image":"x"', "unexpected EOF"),
        (b'{"Image":"x"} x', "unexpected content after JSON"),
        (b'{"Image":"x"}{}', "unexpected content after JSON"),
        (b'{"image":"x"} x', "unexpected content after JSON"),
        (b'{"Image":nul}', "invalid JSON"),
        (b'{"t": @}', r"invalid character '@' looking for beginning of value"),
        (b"\x00", r"invalid character '\\x00' looking for beginning of value"),
        (b'{"a":"\n"}', r"invalid character '\\n' in string literal"),
        (b'{"a":"\\x"}', "invalid character 'x' in string escape code"),
        (b'{"a":"\\u12g4"}', r"invalid character 'g' in \\u hexadecimal character escape"),
        (b'{"a":1.}', "invalid character '}' in numeric literal"),
        (b"[trve]", r"invalid character 'v' in literal true \(expecting 'u'\)"),
        (b'{"Image":"\xff"}', "not UTF-8"),
        (b"\xff", "invalid JSON"),
    ],
)
def test_what_is_refused(body, message):
    with pytest.raises(InvalidArgument, match=message):
        codec.decode(body, CreateRequest)


@given(st.binary(max_size=60))
def test_garbage_is_refused_by_kind(body):
    try:
        codec.decode(body, CreateRequest)
    except InvalidArgument:
        pass


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Image", "cmd", "HostConfig", "MOUNTS", "Binds", "x"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_request_or_refused(value):
    try:
        codec.decode(json.dumps(value).encode(), CreateRequest)
    except InvalidArgument:
        pass


def test_zero_fields_are_rendered_or_left_out_as_go_does():
    assert json.loads(codec.encode(HealthConfig())) == {}
    assert json.loads(codec.encode(ContainerConfig())) == {
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": None,
        "Cmd": None,
        "Image": "",
        "Volumes": None,
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": None,
    }


def test_documents_do_not_share_defaults():
    first, second = ContainerSummary(), ContainerSummary()
    assert first.ports is not second.ports
    assert HostConfig().console_size is not HostConfig().console_size


def test_a_list_of_documents():
    assert codec.decode(b'[{"id":"a"},{"Id":"b","New":1}]', list[ImageSummary]) == [
        ImageSummary(id="a"),
        ImageSummary(id="b"),
    ]


def test_names_that_are_not_unicode_are_written_with_replacement():
    name = b"/caf\xe9".decode("utf-8", "surrogateescape")
    assert json.loads(codec.encode([Change(path=name, kind=1)])) == [{"Path": "/caf�", "Kind": 1}]


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0001-01-01T00:00:00Z"),
        (None, "0001-01-01T00:00:00Z"),
        (1_577_836_800_000_000_000, "2020-01-01T00:00:00Z"),
        (1_577_836_800_120_000_000, "2020-01-01T00:00:00.12Z"),
        (1_577_836_800_000_000_001, "2020-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_format_time(ns, text):
    assert codec.format_time(ns) == text


@given(st.integers(min_value=-(10**18), max_value=10**19))
def test_times_come_back(ns):
    assert codec.parse_time(codec.format_time(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("1136073600", 1_136_073_600 * 10**9),
        ("1136073600.000000001", 1_136_073_600 * 10**9 + 1),
        ("1136073600.5", 1_136_073_600 * 10**9 + 5 * 10**8),
        ("2006-01-02T15:04:05Z", 1_136_214_245 * 10**9),
        ("2006-01-02T15:04:05.25+01:00", 1_136_210_645 * 10**9 + 25 * 10**7),
        ("2006-01-02T15:04Z", 1_136_214_240 * 10**9),
        ("2006-01-02Z", 1_136_160_000 * 10**9),
        ("2006-01-02-08:00", 1_136_188_800 * 10**9),
    ],
)
def test_parse_time(text, ns):
    assert codec.parse_time(text) == ns


def test_a_time_without_zone_is_local():
    assert codec.parse_time("2006-01-02T15:04:05") == int(time.mktime((2006, 1, 2, 15, 4, 5, 0, 0, -1))) * 10**9


def test_a_duration_counts_back():
    assert codec.parse_time("1h30m", now=10**13) == 10**13 - 5400 * 10**9
    assert codec.parse_time("-10s", now=0) == 10 * 10**9


@pytest.mark.parametrize("text", ["", "yesterday", "2006-13-01", "2006-02-30", "2006-01-02T25:00:00Z", "1..5"])
def test_what_is_no_time(text):
    with pytest.raises(InvalidArgument, match="invalid time"):
        codec.parse_time(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("1h30m", 5400 * 10**9),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("-2m", -120 * 10**9),
        ("250ms", 250_000_000),
        ("3us", 3000),
        ("3µs", 3000),
        ("7ns", 7),
    ],
)
def test_parse_duration(text, ns):
    assert codec.parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "5", "s", "1d", "1h-3m", "+", "."])
def test_what_is_no_duration(text):
    with pytest.raises(InvalidArgument, match="invalid duration"):
        codec.parse_duration(text)
