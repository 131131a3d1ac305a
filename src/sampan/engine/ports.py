"""Ports as a container exposes and publishes them: parsed once, for checks of requests and for the networks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from sampan.errors import InvalidArgument, NotImplementedYet
from sampan.wire.containers import ContainerConfig, HostConfig, PortBinding
from sampan.wire.numbers import whole

__all__ = ["EVERY_ADDRESS", "PortWish", "ports_named", "wanted_ports"]

EVERY_ADDRESS = "0.0.0.0"
_PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True)
class PortWish:
    """A container port to publish at one of the host ports `first` to `last` (0: any free one)."""

    protocol: str
    container_port: int
    host_ip: str = EVERY_ADDRESS
    first: int = 0
    last: int = 0


def wanted_ports(config: ContainerConfig, host: HostConfig) -> list[PortWish]:
    """All ports to publish, sorted. Raises InvalidArgument for what is no port, NotImplementedYet for IPv6."""
    bindings = dict(_normal(host.port_bindings or {}))
    if host.publish_all_ports:
        for protocol, port in ports_named(config.exposed_ports):
            bindings.setdefault((protocol, port), [PortBinding()])
    return [
        _wish(port, protocol, binding) for (protocol, port), wanted in sorted(bindings.items()) for binding in wanted
    ]


def ports_named(names: Iterable[str]) -> list[tuple[str, int]]:
    """Protocol and number of each, sorted; what is no port, which dockerd exposes too, is none."""
    found = set()
    for name in names:
        with suppress(InvalidArgument):
            found.add(_parse(name))
    return sorted(found)


def _normal(
    bindings: Mapping[str, list[PortBinding] | None],
) -> Iterator[tuple[tuple[str, int], list[PortBinding]]]:
    for name, wanted in bindings.items():
        yield _parse(name), wanted or [PortBinding()]


def _parse(name: str) -> tuple[str, int]:
    number, _, protocol = name.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in _PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {protocol}")
    return protocol, _number(number)


def _number(text: str) -> int:
    number = whole(text)
    if number is None or not 0 <= number <= 65535 or not text[0].isdigit():
        raise InvalidArgument(f'invalid port specification: "{text}"')
    return number


def _wish(port: int, protocol: str, binding: PortBinding) -> PortWish:
    first, dash, last = binding.host_port.partition("-")
    low = _number(first) if first else 0
    high = _number(last) if dash else low
    if high < low:
        raise InvalidArgument(f'invalid port specification: "{binding.host_port}"')
    return PortWish(protocol, port, _host_ip(binding.host_ip), low, high)


def _host_ip(text: str) -> str:
    if text == "":
        return EVERY_ADDRESS
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        if ":" in text:
            raise NotImplementedYet(f"publishing at the IPv6 address {text} is not implemented yet") from None
        raise InvalidArgument(f"invalid IP address in port binding: {text}") from None
