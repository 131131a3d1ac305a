from __future__ import annotations

import pytest

from sampan.engine.networks.etcfiles import DnsOptions, hosts_file, resolv_conf
from sampan.errors import InvalidArgument


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_hosts_of_a_container_with_an_address():
    found = lines(hosts_file("box", "", "172.17.0.2", ["foo:1.2.3.4", "six:::1", "up:host-gateway"], "172.17.0.1"))
    assert found[0] == "127.0.0.1\tlocalhost"
    assert found[-4:] == ["1.2.3.4\tfoo", "::1\tsix", "172.17.0.1\tup", "172.17.0.2\tbox"]


def test_hosts_with_a_domain_and_without_an_address():
    assert hosts_file("box", "d.example", "172.17.0.2", [], "").endswith("172.17.0.2\tbox.d.example box\n")
    assert "box" not in hosts_file("box", "", "", [], "")


def test_hosts_of_the_host_are_kept():
    assert hosts_file("box", "", "", ["a:1.2.3.4"], "", "127.0.0.1 me") == "127.0.0.1 me\n1.2.3.4\ta\n"


def test_a_gateway_that_is_not_known():
    with pytest.raises(InvalidArgument, match="host-gateway"):
        hosts_file("box", "", "", ["a:host-gateway"], "")


HOST = """# mine
nameserver 127.0.0.53
nameserver 10.0.0.1
domain old.example
search a.example b.example
options ndots:2 edns0
sortlist 1.2.3.4
"""


def test_the_hosts_file_without_its_loopback_servers():
    assert lines(resolv_conf(HOST, DnsOptions())) == [
        "nameserver 10.0.0.1",
        "search a.example b.example",
        "options ndots:2 edns0",
    ]


@pytest.mark.parametrize("host", ["", "nameserver 127.0.0.1\nnameserver ::1\n", "nameserver nonsense\n"])
def test_public_servers_where_none_is_left(host):
    assert lines(resolv_conf(host, DnsOptions())) == ["nameserver 8.8.8.8", "nameserver 8.8.4.4"]


def test_link_local_servers_with_a_zone_are_kept():
    assert lines(resolv_conf("nameserver fe80::1%eth0\n", DnsOptions())) == ["nameserver fe80::1%eth0"]


def test_in_the_hosts_network_its_loopback_can_be_reached():
    assert "nameserver 127.0.0.53" in lines(resolv_conf(HOST, DnsOptions(), shares_host=True))


def test_a_containers_own_wishes():
    wanted = DnsOptions(servers=["1.1.1.1", "::1"], search=["s.example"], options=["ndots:3"])
    assert lines(resolv_conf(HOST, wanted)) == [
        "nameserver 1.1.1.1",
        "nameserver ::1",
        "search s.example",
        "options ndots:3",
    ]


def test_a_dot_means_no_search_list():
    assert not any(line.startswith("search") for line in lines(resolv_conf(HOST, DnsOptions(search=["."]))))


def test_a_server_must_be_an_address():
    with pytest.raises(InvalidArgument, match="bad nameserver address foo"):
        resolv_conf(HOST, DnsOptions(servers=["foo"]))
