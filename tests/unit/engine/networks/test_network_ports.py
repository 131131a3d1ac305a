from __future__ import annotations

import socket

import pytest

from sampan.engine.networks.ports import PortKeeper
from sampan.engine.ports import PortWish, wanted_ports
from sampan.errors import Exhausted, InvalidArgument, NotImplementedYet
from sampan.wire.base import Empty
from sampan.wire.containers import ContainerConfig, HostConfig, PortBinding


def wishes(bindings=None, exposed=(), publish_all=False):
    config = ContainerConfig(exposed_ports={name: Empty() for name in exposed})
    return wanted_ports(config, HostConfig(port_bindings=bindings, publish_all_ports=publish_all))


def test_wishes_in_all_forms():
    found = wishes(
        {
            "80/tcp": [PortBinding(host_port="8080"), PortBinding(host_ip="127.0.0.1", host_port="9000-9002")],
            "53/UDP": [PortBinding()],
            "70": None,
        }
    )
    assert found == [
        PortWish("tcp", 70),
        PortWish("tcp", 80, "0.0.0.0", 8080, 8080),
        PortWish("tcp", 80, "127.0.0.1", 9000, 9002),
        PortWish("udp", 53),
    ]


def test_publishing_all_exposed_ports():
    found = wishes({"80/tcp": [PortBinding(host_port="8080")]}, ["80/tcp", "90/udp"], publish_all=True)
    assert found == [PortWish("tcp", 80, "0.0.0.0", 8080, 8080), PortWish("udp", 90)]
    assert wishes(None, ["80/tcp"]) == []


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        ({"a/tcp": [PortBinding()]}, 'invalid port specification: "a"'),
        ({"70000/tcp": [PortBinding()]}, 'invalid port specification: "70000"'),
        ({"80/foo": [PortBinding()]}, "invalid proto: foo"),
        ({"80/tcp": [PortBinding(host_port="x")]}, 'invalid port specification: "x"'),
        ({"80/tcp": [PortBinding(host_port="9-8")]}, 'invalid port specification: "9-8"'),
        ({"80/tcp": [PortBinding(host_ip="x")]}, "invalid IP address in port binding: x"),
    ],
)
def test_what_is_no_port(bindings, message):
    with pytest.raises(InvalidArgument, match=message):
        wishes(bindings)


def test_ipv6_is_refused_by_name():
    with pytest.raises(NotImplementedYet, match="::1"):
        wishes({"80/tcp": [PortBinding(host_ip="::1")]})


@pytest.fixture
def keeper():
    found = PortKeeper()
    yield found
    found.close()


def local(protocol: str = "tcp", first: int = 0, last: int = 0) -> PortWish:
    return PortWish(protocol, 80, "127.0.0.1", first, last or first)


def test_a_kept_port_can_not_be_taken_until_it_is_released(keeper):
    (port,) = keeper.keep("c1", [local()])
    with socket.socket() as other:
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port.host_port))
        keeper.release("c1")
        other.bind(("127.0.0.1", port.host_port))


def test_a_range_gives_its_first_free_port(keeper):
    (first,) = keeper.keep("c1", [local()])
    number = first.host_port
    (second,) = keeper.keep("c2", [local("tcp", number, min(number + 20, 65535))])
    assert number < second.host_port <= number + 20


def test_a_taken_port_takes_the_others_of_the_container_back(keeper):
    (taken,) = keeper.keep("c1", [local()])
    (free,) = keeper.keep("c2", [local("udp")])
    keeper.release("c2")
    with pytest.raises(Exhausted, match=f"Bind for 127.0.0.1:{taken.host_port} failed: port is already allocated"):
        keeper.keep("c2", [local("udp", free.host_port), local("tcp", taken.host_port)])
    keeper.keep("c3", [local("udp", free.host_port)])


def test_protocols_have_ports_of_their_own(keeper):
    (port,) = keeper.keep("c1", [local()])
    assert keeper.keep("c2", [local("udp", port.host_port)])[0].protocol == "udp"


def test_an_address_that_is_not_the_hosts(keeper):
    with pytest.raises(InvalidArgument, match=r"failed to bind host port 203\.0\.113\.9:80/tcp: cannot assign"):
        keeper.keep("c1", [PortWish("tcp", 80, "203.0.113.9", 80, 80)])


def test_after_a_restart_ports_are_kept_again_where_they_are_free(keeper):
    kept = keeper.keep("c1", [local(), local("udp")])
    keeper.release("c1")
    with socket.socket() as other:
        other.bind(("127.0.0.1", kept[0].host_port))
        keeper.keep_again("c1", kept)
    with pytest.raises(Exhausted):
        keeper.keep("c2", [local("udp", kept[1].host_port)])
