"""Links, namespaces and firewall on the real kernel; the `ip` command is the oracle."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from rig.netns import Netns
from sampan.kernel import namespaces, netlink
from sampan.kernel.netlink import Netlink
from sampan.kernel.nft import Nftables, NftError

pytestmark = pytest.mark.root


@pytest.fixture
def host() -> Iterator[Netns]:
    found = Netns()
    yield found
    found.close()


@pytest.fixture
def inner() -> Iterator[Netns]:
    found = Netns()
    yield found
    found.close()


def shown(netns: Netns, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(netns.run("ip", "-json", *words) or "[]")
    return found


def test_a_bridge_with_a_pair_into_another_namespace(host, inner):
    with Netlink(host.descriptor) as outside, Netlink(inner.descriptor) as inside:
        outside.run(netlink.add_bridge("br0", mac="02:11:22:33:44:55", mtu=1400))
        bridge = outside.link("br0")
        assert bridge is not None
        outside.run(netlink.add_address(bridge.index, "10.5.0.1/24"))
        outside.run(
            netlink.add_veth("veth0", "eth0", inner.descriptor, master=bridge.index, peer_mac="02:00:00:00:00:09"),
            netlink.set_hairpin("veth0"),
        )
        eth0 = inside.link("eth0")
        assert eth0 is not None and eth0.mac == "02:00:00:00:00:09"
        inside.run(
            netlink.set_up("eth0"),
            netlink.add_address(eth0.index, "10.5.0.2/24"),
            netlink.add_route(eth0.index, gateway="10.5.0.1"),
            netlink.add_route(eth0.index, destination="10.6.0.0/16", gateway="10.5.0.1"),
        )
        routes = {(str(route.network), route.gateway) for route in inside.routes() if route.network.version == 4}
    assert routes == {("0.0.0.0/0", "10.5.0.1"), ("10.5.0.0/24", ""), ("10.6.0.0/16", "10.5.0.1")}
    (link,) = [link for link in shown(host, "-details", "link") if link["ifname"] == "veth0"]
    assert link["master"] == "br0" and "UP" in link["flags"]
    assert link["linkinfo"]["info_slave_data"]["hairpin"] is True
    assert {route["dst"] for route in shown(inner, "route")} == {"default", "10.5.0.0/24", "10.6.0.0/16"}
    assert [entry["broadcast"] for entry in shown(inner, "-4", "addr", "show", "eth0")[0]["addr_info"]] == [
        "10.5.0.255"
    ]


def test_what_is_shown_equals_what_ip_shows(host):
    host.run("ip", "link", "add", "a0", "type", "veth", "peer", "name", "a1")
    host.run("ip", "address", "add", "10.1.2.3/24", "dev", "a0")
    host.run("ip", "address", "add", "fd00::3/64", "dev", "a0")
    with Netlink(host.descriptor) as connection:
        links = {(link.index, link.name, link.mac, link.mtu, link.kind) for link in connection.links()}
        addresses = {(address.index, str(address.interface)) for address in connection.addresses()}
    expected = shown(host, "-details", "link")
    assert links == {
        (e["ifindex"], e["ifname"], e["address"], e["mtu"], e.get("linkinfo", {}).get("info_kind", ""))
        for e in expected
    }
    assert addresses == {
        (entry["ifindex"], f"{info['local']}/{info['prefixlen']}")
        for entry in shown(host, "addr")
        for info in entry["addr_info"]
    }


def test_links_move_change_and_go(host, inner):
    with Netlink(host.descriptor) as connection:
        connection.run(netlink.add_bridge("br0"))
        connection.run(netlink.change_link("br0", up=False))
        link = connection.link("br0")
        assert link is not None and not link.up
        connection.run(netlink.change_link(link.index, name="br1", mtu=1300))
        renamed = connection.link("br1")
        assert renamed is not None and renamed.mtu == 1300
        host.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
        connection.run(netlink.change_link("v1", netns=inner.descriptor))
        assert connection.link("v1") is None
        assert "v1" in inner.links()
        connection.run(netlink.delete_link("v0"), netlink.delete_link(link.index))
        assert [found.name for found in connection.links()] == ["lo"]


def test_the_first_failure_of_a_batch_is_raised_and_the_rest_is_done(host):
    with Netlink(host.descriptor) as connection:
        with pytest.raises(OSError) as error:
            connection.run(netlink.delete_link("absent"), netlink.add_bridge("br0"), netlink.add_bridge("br0"))
        assert error.value.errno == errno.ENODEV
        assert connection.link("br0") is not None
        with pytest.raises(OSError, match="Nexthop has invalid gateway") as error:
            connection.run(netlink.add_route(1, gateway="9.9.9.9"))
        assert error.value.errno == errno.ENETUNREACH


def test_many_links_come_whole(host):
    with Netlink(host.descriptor) as connection:
        for first in range(0, 120, 20):
            connection.run(*(netlink.add_bridge(f"br{number}") for number in range(first, first + 20)))
        assert len(connection.links()) == 121


def test_a_namespace_lives_as_long_as_its_descriptor():
    own = os.stat("/proc/thread-self/ns/net").st_ino
    descriptor = namespaces.new_network()
    try:
        inode = os.fstat(descriptor).st_ino
        assert inode != own
        assert os.stat(namespaces.path_of(descriptor)).st_ino == inode
        with namespaces.inside(descriptor):
            assert os.stat("/proc/thread-self/ns/net").st_ino == inode
        assert os.stat("/proc/thread-self/ns/net").st_ino == own
        with pytest.raises(RuntimeError), namespaces.inside(descriptor):
            raise RuntimeError
        assert os.stat("/proc/thread-self/ns/net").st_ino == own
    finally:
        os.close(descriptor)


def test_sockets_and_sysctls_of_a_namespace(host):
    with namespaces.socket_in(host.descriptor, socket.AF_INET, socket.SOCK_DGRAM) as inside:
        inside.bind(("127.0.0.1", 0))
        port = inside.getsockname()[1]
        assert f"127.0.0.1:{port}" in host.run("ss", "-Hulnp")
    namespaces.write_sysctl("net/ipv4/ip_default_ttl", "77", host.descriptor)
    assert host.run("cat", "/proc/sys/net/ipv4/ip_default_ttl") == "77\n"


def test_a_firewall_batch_is_all_or_nothing(host):
    with namespaces.inside(host.descriptor):
        nft = Nftables()
    try:
        nft.run("add table ip t; add chain ip t c; add rule ip t c counter accept")
        (rule,) = [entry["rule"] for entry in nft.query("list chain ip t c") if "rule" in entry]
        assert rule["expr"][-1] == {"accept": None}
        with pytest.raises(NftError, match="No such file or directory"):
            nft.run("add table ip other\nadd rule ip t absent accept\n")
        assert "other" not in host.firewall()
        with pytest.raises(NftError, match="syntax error"):
            nft.run("add nonsense")
        assert "table ip t" in nft.run("list ruleset")
    finally:
        nft.close()
