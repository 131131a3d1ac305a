"""What is kept of networks and endpoints: rows of the tables `networks` and `endpoints`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

__all__ = [
    "EndpointRecord",
    "NetworkRecord",
    "PublishedPort",
    "dropping",
    "load_endpoints",
    "load_networks",
    "saving",
]


class NetworkRecord(msgspec.Struct, kw_only=True):
    """One network. `bridge` is its link's name, `subnet` and `gateway` are "" until it is first needed.

    `foreign`: the bridge is the user's own (--bridge) and is neither made nor removed. `fixed`: the subnet is the
    user's choice (--bip) and is not exchanged for another.
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
    fixed: bool = False


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


def load_networks(rows: sqlite3.Connection) -> list[NetworkRecord]:
    """All rows of `networks`."""
    return [_networks.decode(document) for (document,) in rows.execute("SELECT document FROM networks")]


def load_endpoints(rows: sqlite3.Connection) -> list[EndpointRecord]:
    """All rows of `endpoints`."""
    return [_endpoints.decode(document) for (document,) in rows.execute("SELECT document FROM endpoints")]


def saving(record: NetworkRecord | EndpointRecord) -> Callable[[sqlite3.Connection], None]:
    """The change that writes a row, new or known."""
    table = "networks" if isinstance(record, NetworkRecord) else "endpoints"
    keys = (record.id, record.name) if isinstance(record, NetworkRecord) else (record.network, record.container)

    def save(rows: sqlite3.Connection) -> None:
        rows.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", (*keys, _encoder.encode(record)))

    return save


def dropping(endpoint: EndpointRecord) -> Callable[[sqlite3.Connection], None]:
    """The change that removes an endpoint's row."""
    keys = (endpoint.network, endpoint.container)

    def drop(rows: sqlite3.Connection) -> None:
        rows.execute("DELETE FROM endpoints WHERE network = ? AND container = ?", keys)

    return drop
