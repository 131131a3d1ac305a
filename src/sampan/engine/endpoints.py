"""What a container may wish of its place in a network: addresses, names and driver options. Pure.

The messages are those of Docker's engine 28.5.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from sampan.errors import InvalidArgument, NotImplementedYet
from sampan.wire.networks import EndpointSettings

__all__ = ["check_endpoint", "mac_address"]

PREDEFINED = ("", "default", "bridge", "host", "none")
_MAC = re.compile(r"([0-9a-f]{2}([:-])([0-9a-f]{2}\2){4}[0-9a-f]{2})|([0-9a-f]{4}\.){2}[0-9a-f]{4}", re.IGNORECASE)
_NOT_YET = ("com.docker.network.endpoint.ifname", "com.docker.network.endpoint.sysctls")


def mac_address(text: str) -> str:
    """A hardware address in its usual form. Raises InvalidArgument."""
    if not _MAC.fullmatch(text):
        raise InvalidArgument(f"invalid MAC address {text}")
    digits = re.sub("[:.-]", "", text.lower())
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))


def check_endpoint(network: str, asked: EndpointSettings) -> None:
    """Raise InvalidArgument for settings that the network can't give, NotImplementedYet for driver options."""
    problems = list(_problems(network, asked))
    if len(problems) > 1:
        problems = [f"* {problem}" for problem in problems]
    if problems:
        words = "\n".join(["invalid endpoint settings:", *problems])
        raise InvalidArgument(f"invalid config for network {network}: {words}")
    if asked.mac_address:
        try:
            mac_address(asked.mac_address)
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid config for network {network}: {error}") from None
    for option in _NOT_YET:
        if option in (asked.driver_opts or {}):
            raise NotImplementedYet(f"EndpointSettings.DriverOpts {option} is not implemented yet")


def _problems(network: str, asked: EndpointSettings) -> Iterator[str]:
    wanted = asked.ipam_config
    own = bool(wanted and (wanted.ipv4_address or wanted.ipv6_address))
    if own and network in PREDEFINED:
        yield "user specified IP address is supported on user defined networks only"
    if asked.aliases and network in PREDEFINED:
        yield "network-scoped alias is supported only for containers in user defined networks"
    if wanted is not None:
        if wanted.ipv4_address and not _is_address(wanted.ipv4_address, 4):
            yield f"invalid IPv4 address: {wanted.ipv4_address}"
        if wanted.ipv6_address and not _is_address(wanted.ipv6_address, 6):
            yield f"invalid IPv6 address: {wanted.ipv6_address}"
        for address in wanted.link_local_ips:
            if not (_is_address(address, 4) or _is_address(address, 6)):
                yield f"invalid link-local IP address: {address}"
    if own and network in PREDEFINED:
        yield "user specified IP address is supported only when connecting to networks with user configured subnets"


def _is_address(text: str, version: int) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.version == version and not address.is_unspecified
