"""Port specifications: -p [ip:][host[-host]:]container[-container][/proto] and --expose port[-port][/proto]."""

from __future__ import annotations

from sampan.errors import InvalidArgument
from sampan.wire.base import Empty
from sampan.wire.containers import PortBinding

PROTOCOLS = ("tcp", "udp", "sctp")


def publish(specs: list[str]) -> tuple[dict[str, Empty], dict[str, list[PortBinding] | None]]:
    """Return exposed ports and their bindings. Raises InvalidArgument."""
    exposed: dict[str, Empty] = {}
    bindings: dict[str, list[PortBinding] | None] = {}
    for spec in specs:
        for key, binding in _one(spec):
            exposed[key] = Empty()
            bindings[key] = [*(bindings.get(key) or ()), binding]
    return exposed, bindings


def expose(specs: list[str]) -> dict[str, Empty]:
    """Return exposed ports. Raises InvalidArgument."""
    exposed: dict[str, Empty] = {}
    for spec in specs:
        if ":" in spec:
            raise InvalidArgument(f"invalid port format for --expose: {spec}")
        ports, slash, protocol = spec.partition("/")
        try:
            first, last = _range(ports)
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid range format for --expose: {spec}, error: {error}") from None
        for port in range(first, last + 1):
            exposed[f"{port}/{protocol.lower() if slash else 'tcp'}"] = Empty()
    return exposed


def _one(spec: str) -> list[tuple[str, PortBinding]]:
    address, host, container = _split(spec)
    container, _, protocol = container.partition("/")
    protocol = protocol.lower() or "tcp"
    if not container:
        raise InvalidArgument(f"No port specified: {spec}<empty>")
    first, last = _checked(container, "containerPort")
    if protocol not in PROTOCOLS:
        raise InvalidArgument(f"Invalid proto: {protocol}")
    if not host:
        return [(f"{port}/{protocol}", _binding(address, "")) for port in range(first, last + 1)]
    low, high = _checked(host, "hostPort")
    if high - low != last - first:
        if first != last:
            raise InvalidArgument(f"Invalid ranges specified for container and host Ports: {container} and {host}")
        return [(f"{first}/{protocol}", _binding(address, f"{low}-{high}"))]
    pairs = zip(range(first, last + 1), range(low, high + 1), strict=True)
    return [(f"{port}/{protocol}", _binding(address, str(published))) for port, published in pairs]


def _split(spec: str) -> tuple[str, str, str]:
    """Return (address, host port, container port), "" for what is missing."""
    rest, _, container = spec.rpartition(":")
    address, _, host = rest.rpartition(":")
    return address, host, container


def _binding(address: str, port: str) -> PortBinding:
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address and not is_address(address):
        raise InvalidArgument(f"Invalid ip address: {address}")
    return PortBinding(host_ip=address, host_port=port)


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address."""
    import _socket

    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, text)
            return True
        except OSError:
            continue
    return False


def _checked(ports: str, what: str) -> tuple[int, int]:
    try:
        return _range(ports)
    except InvalidArgument:
        raise InvalidArgument(f"Invalid {what}: {ports}") from None


def _range(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    first, last = _port(low), _port(high if dash else low)
    if last < first:
        raise InvalidArgument(f"invalid range specified for port: {text}")
    return first, last


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise InvalidArgument(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) > 65535:
        raise InvalidArgument(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)
