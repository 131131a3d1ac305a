"""What is kept of networks and endpoints: rows of the tables `networks` and `endpoints`."""

from __future__ import annotations

import msgspec

__all__ = ["EndpointRecord", "NetworkRecord", "PublishedPort", "decode_endpoint", "decode_network", "encode"]


class NetworkRecord(msgspec.Struct, kw_only=True):
    """One network. `bridge` is its link's name, `subnet` and `gateway` are "" until it is first needed.

    `foreign`: the bridge is the user's own (--bridge) and is neither made nor removed.
    """

    id: str
    name: str
    driver: str
    created: int
    bridge: str = ""
    subnet: str = ""
    gateway: str = ""
    mtu: int = 0
    foreign: bool = False


class PublishedPort(msgspec.Struct, frozen=True, kw_only=True):
    """A container's port that the host forwards: `host_ip` 0.0.0.0 is every address of the host's."""

    protocol: str
    container_port: int
    host_ip: str
    host_port: int


class EndpointRecord(msgspec.Struct, kw_only=True):
    """A running container's place in a network. `link` is the host's end of its pair."""

    id: str
    network: str
    container: str
    address: str
    prefix_length: int
    gateway: str
    mac: str
    link: str
    ports: tuple[PublishedPort, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_networks = msgspec.msgpack.Decoder(NetworkRecord)
_endpoints = msgspec.msgpack.Decoder(EndpointRecord)


def encode(record: NetworkRecord | EndpointRecord) -> bytes:
    """The column `document` of a row."""
    return _encoder.encode(record)


def decode_network(document: bytes) -> NetworkRecord:
    """The record of a row's `document`; raises msgspec.ValidationError when it is not one."""
    return _networks.decode(document)


def decode_endpoint(document: bytes) -> EndpointRecord:
    """The record of a row's `document`; raises msgspec.ValidationError when it is not one."""
    return _endpoints.decode(document)
