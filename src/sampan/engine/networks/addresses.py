"""Subnets and addresses: which are free. Pure."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from sampan.errors import Exhausted, InvalidArgument

__all__ = ["AddressPool", "candidate_subnets", "choose_subnet", "parse_interface", "random_mac"]


def candidate_subnets() -> Iterator[IPv4Network]:
    """Docker's default pools, in its order: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in sixteenths."""
    yield from (IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32))
    yield from IPv4Network("192.168.0.0/16").subnets(new_prefix=20)


def choose_subnet(taken: Iterable[IPv4Network]) -> IPv4Network:
    """The first candidate that overlaps none of `taken`. Raises Exhausted."""
    used = [network for network in taken if network.prefixlen > 0]
    for candidate in candidate_subnets():
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    raise Exhausted("all predefined address pools have been fully subnetted: give a subnet with --bip")


def parse_interface(text: str) -> IPv4Interface:
    """A gateway with its network, such as 172.20.0.1/16. Raises InvalidArgument."""
    try:
        found = IPv4Interface(text)
    except ValueError:
        raise InvalidArgument(f"invalid CIDR address: {text}") from None
    if found.network.prefixlen > 30 or found.ip in (found.network.network_address, found.network.broadcast_address):
        raise InvalidArgument(f"{text} is not an address that a bridge with containers can have")
    return found


class AddressPool:
    """The free addresses of a subnet, the lowest first. Taking and giving back cost the same at any size."""

    def __init__(self, subnet: IPv4Network, taken: Iterable[str] = ()) -> None:
        self._subnet = subnet
        self._used = {int(IPv4Address(address)) for address in taken}
        self._next = int(subnet.network_address) + 1
        self._returned: list[int] = []

    def take(self, wanted: str = "") -> str:
        """An address that is now used: `wanted`, or the lowest free one.

        Raises Exhausted when none is left, InvalidArgument when `wanted` is used or not of the subnet.
        """
        number = self._wanted(wanted) if wanted else self._lowest()
        self._used.add(number)
        return str(IPv4Address(number))

    def _wanted(self, text: str) -> int:
        address = IPv4Address(text)
        if address not in self._subnet:
            raise InvalidArgument(f"no configured subnet contains IP address {text}")
        if int(address) in self._used:
            raise InvalidArgument("Address already in use")
        return int(address)

    def _lowest(self) -> int:
        while self._returned:
            number = heapq.heappop(self._returned)
            if number not in self._used:
                return number
        last = int(self._subnet.broadcast_address)
        while self._next < last:
            number, self._next = self._next, self._next + 1
            if number not in self._used:
                return number
        raise Exhausted(f"no available IPv4 addresses on this network's address pools: {self._subnet}")

    def give_back(self, address: str) -> None:
        """Make an address free; one that was free is fine."""
        number = int(IPv4Address(address))
        if number in self._used:
            self._used.remove(number)
            heapq.heappush(self._returned, number)


def random_mac() -> str:
    """A locally administered unicast hardware address."""
    first, *rest = os.urandom(6)
    return ":".join(f"{byte:02x}" for byte in (first & 0xFC | 0x02, *rest))
