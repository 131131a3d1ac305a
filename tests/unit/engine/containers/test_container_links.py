"""Links: what is asked, and what a linked container finds."""

import pytest

from sampan.engine.containers.links import Link, Port, environment, host_lines, parse_link, with_hosts
from sampan.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("db", ("db", "db")),
        ("db:alias", ("db", "alias")),
        ("/db:/web/alias", ("db", "alias")),
    ],
)
def test_what_is_asked(text, found):
    assert parse_link(text) == found


@pytest.mark.parametrize("text", ["", "a:b:c"])
def test_what_is_no_link(text):
    with pytest.raises(InvalidArgument):
        parse_link(text)


def link(*ports, alias="the-db", env=()):
    return Link("web", alias, "db", "0123456789ab", "172.17.0.2", [Port(*port) for port in ports], env)


def test_variables_of_ports_and_environment():
    found = environment([link((80, "tcp"), (53, "udp"), env=["A=1", "PATH=/x", "HOME=/", "BARE"])])
    assert found == [
        "THE_DB_PORT=tcp://172.17.0.2:80",
        "THE_DB_PORT_80_TCP=tcp://172.17.0.2:80",
        "THE_DB_PORT_80_TCP_ADDR=172.17.0.2",
        "THE_DB_PORT_80_TCP_PORT=80",
        "THE_DB_PORT_80_TCP_PROTO=tcp",
        "THE_DB_PORT_53_UDP=udp://172.17.0.2:53",
        "THE_DB_PORT_53_UDP_ADDR=172.17.0.2",
        "THE_DB_PORT_53_UDP_PORT=53",
        "THE_DB_PORT_53_UDP_PROTO=udp",
        "THE_DB_NAME=/web/the-db",
        "THE_DB_ENV_A=1",
    ]


def test_ports_in_a_row_are_told_as_ranges():
    found = environment([link((80, "tcp"), (81, "tcp"), (82, "tcp"), (90, "tcp"), (91, "tcp"), (91, "udp"))])
    ranges = [entry for entry in found if "_START" in entry or "_END" in entry]
    assert ranges == [
        "THE_DB_PORT_80_TCP_START=tcp://172.17.0.2:80",
        "THE_DB_PORT_80_TCP_PORT_START=80",
        "THE_DB_PORT_80_TCP_END=tcp://172.17.0.2:82",
        "THE_DB_PORT_80_TCP_PORT_END=82",
        "THE_DB_PORT_90_TCP_START=tcp://172.17.0.2:90",
        "THE_DB_PORT_90_TCP_PORT_START=90",
        "THE_DB_PORT_90_TCP_END=tcp://172.17.0.2:91",
        "THE_DB_PORT_90_TCP_PORT_END=91",
    ]


def test_without_ports():
    assert environment([link()]) == ["THE_DB_NAME=/web/the-db"]


def test_names_in_the_hosts_file():
    assert host_lines([link(), link(alias="db")]) == (
        "172.17.0.2\tthe-db 0123456789ab db\n172.17.0.2\tdb 0123456789ab\n"
    )
    text = with_hosts("127.0.0.1\tlocalhost\n172.17.0.3\tweb\n", [link(alias="db")])
    assert text == "127.0.0.1\tlocalhost\n172.17.0.2\tdb 0123456789ab\n172.17.0.3\tweb\n"
