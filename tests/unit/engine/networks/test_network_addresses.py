from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from sampan.engine.networks.addresses import AddressPool, candidate_subnets, choose_subnet, parse_interface, random_mac
from sampan.errors import Exhausted, InvalidArgument


def test_candidates_are_dockers_pools():
    found = list(candidate_subnets())
    assert [str(network) for network in (found[0], found[14], found[15], found[-1])] == [
        "172.17.0.0/16",
        "172.31.0.0/16",
        "192.168.0.0/20",
        "192.168.240.0/20",
    ]


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        ([], "172.17.0.0/16"),
        (["172.17.5.0/24"], "172.18.0.0/16"),
        (["0.0.0.0/0", "10.0.0.0/8"], "172.17.0.0/16"),
        (["172.16.0.0/12"], "192.168.0.0/20"),
        (["172.16.0.0/12", "192.168.1.0/24"], "192.168.16.0/20"),
    ],
)
def test_the_first_subnet_that_nobody_routes(taken, chosen):
    assert choose_subnet(map(IPv4Network, taken)) == IPv4Network(chosen)


def test_no_subnet_left():
    with pytest.raises(Exhausted, match="--bip"):
        choose_subnet([IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16")])


def test_the_lowest_free_address_is_taken():
    pool = AddressPool(IPv4Network("10.0.0.0/29"), ["10.0.0.1", "10.0.0.3"])
    assert [pool.take() for _ in range(4)] == ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(Exhausted, match=r"no available IPv4 addresses .* 10\.0\.0\.0/29"):
        pool.take()
    for address in ("10.0.0.5", "10.0.0.2", "10.0.0.2"):
        pool.give_back(address)
    assert [pool.take(), pool.take()] == ["10.0.0.2", "10.0.0.5"]


def test_an_address_that_was_asked_for():
    pool = AddressPool(IPv4Network("10.0.0.0/29"), ["10.0.0.1"])
    assert pool.take("10.0.0.2") == "10.0.0.2"
    assert pool.take() == "10.0.0.3"
    with pytest.raises(InvalidArgument, match="Address already in use"):
        pool.take("10.0.0.2")
    with pytest.raises(InvalidArgument, match=r"no configured subnet contains IP address 10\.1\.0\.1"):
        pool.take("10.1.0.1")


def test_a_returned_address_that_was_asked_for_again_is_not_given_twice():
    pool = AddressPool(IPv4Network("10.0.0.0/29"))
    pool.give_back(pool.take())
    assert pool.take("10.0.0.1") == "10.0.0.1"
    assert pool.take() == "10.0.0.2"


@pytest.mark.parametrize("text", ["", "10.0.0.1", "x/8", "10.0.0.0/8", "10.255.255.255/8", "10.0.0.1/31"])
def test_what_no_bridge_can_have(text):
    with pytest.raises(InvalidArgument):
        parse_interface(text)


def test_random_hardware_addresses_are_local_and_unicast():
    for _ in range(50):
        assert int(random_mac()[:2], 16) & 3 == 2
