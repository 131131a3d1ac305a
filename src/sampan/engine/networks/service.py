"""Networks: how containers join them and leave them, and what they look like.

    mode          the container's network namespace                          hosts, resolv.conf
    bridge        made here: a pair of links into the bridge, an address     with its own address
    none          the runtime's own, with loopback only                      without an address
    host          this daemon's                                              the host's
    container:X   that of X, which must run                                  as X has them

The default bridge is made when the first container needs it and removed with a daemon that leaves no container. An
endpoint lives while its container runs: its row is written beside the links, and since links end with the namespace,
whatever a killed daemon leaves half done is either gone by itself or a row that `recover` drops.

Worked use:

    attached = await networks.attach(record)
    ... run the process in attached.namespace ...
    attached.close()
    ... when it has ended ...
    await networks.detach(record.id)
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from sampan.engine.networks import render
from sampan.engine.networks.addresses import AddressPool, parse_interface
from sampan.engine.networks.bridge import Bridges
from sampan.engine.networks.etcfiles import DnsOptions, hosts_file, resolv_conf
from sampan.engine.networks.filters import select
from sampan.engine.networks.ports import PortKeeper
from sampan.engine.networks.records import (
    EndpointRecord,
    NetworkRecord,
    decode_endpoint,
    decode_network,
    encode,
)
from sampan.engine.ports import wanted_ports
from sampan.errors import (
    Conflict,
    Denied,
    Exhausted,
    InvalidArgument,
    NotFound,
    NotImplementedYet,
    SampanError,
    Unavailable,
)
from sampan.kernel import namespaces
from sampan.kernel.network import LinuxNetwork, NetworkKernel
from sampan.kernel.nft import NftError
from sampan.store.db import Database
from sampan.wire.containers import ContainerConfig, HostConfig, NetworkingConfig, NetworkSettings
from sampan.wire.networks import (
    EndpointSettings,
    Network,
    NetworkConnectRequest,
    NetworkCreateRequest,
    NetworkCreateResponse,
    NetworkDisconnectRequest,
    PruneReport,
)

__all__ = ["Attached", "Networks"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_PREDEFINED = {"none": "null", "host": "host", "bridge": "bridge"}
_BRIDGE_PREFIX = "sampan"
_JOINED = "container:"


class Settings(Protocol):
    """What the daemon was told about networks."""

    @property
    def bridge(self) -> str: ...

    @property
    def bip(self) -> str: ...

    @property
    def mtu(self) -> int: ...

    @property
    def dns(self) -> Sequence[str]: ...

    @property
    def dns_opts(self) -> Sequence[str]: ...

    @property
    def dns_search(self) -> Sequence[str]: ...


class ContainerState(Protocol):
    @property
    def pid(self) -> int: ...


class ContainerRecord(Protocol):
    """A container as networks need it."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def config(self) -> ContainerConfig: ...

    @property
    def host_config(self) -> HostConfig: ...

    @property
    def networking(self) -> NetworkingConfig: ...

    @property
    def state(self) -> ContainerState: ...


class Member(Protocol):
    """A container of the table."""

    @property
    def record(self) -> ContainerRecord: ...

    @property
    def running(self) -> bool: ...


class Members(Protocol):
    """The table of containers."""

    def get(self, container_id: str) -> Member | None: ...

    def find(self, ref: str) -> Member:
        """By name, id or its beginning. Raises NotFound."""


@dataclass(frozen=True)
class Attached:
    """A container's place: the path of the namespace to join ("" for a new one), and the text of its files.

    `close` lets go of the namespace once the container's process is in it.
    """

    namespace: str
    hosts: str
    resolv_conf: str
    close: Callable[[], None] | None = None


class Networks:
    """One per daemon, made in the event loop's thread, whose network namespace is the one that counts."""

    def __init__(
        self, database: Database, settings: Settings, members: Members, kernel: NetworkKernel | None = None
    ) -> None:
        self._database = database
        self._settings = settings
        self._members = members
        self._bridges = Bridges(kernel or LinuxNetwork())
        self._ports = PortKeeper()
        self._worker = ThreadPoolExecutor(1, "network")
        self._ensuring = asyncio.Lock()
        self._ensured = False
        self._networks = {network.name: network for network in self._load_networks()}
        self._endpoints = {endpoint.container: endpoint for endpoint in database.read(_load_endpoints)}
        self._inherited = set(self._endpoints)
        self._pool: AddressPool | None = None

    def _load_networks(self) -> list[NetworkRecord]:
        """The predefined networks, made at the first start of a data root; settings of now win."""
        found = {network.name: network for network in self._database.read(_load_networks)}
        for name, driver in _PREDEFINED.items():
            if name not in found:
                found[name] = NetworkRecord(id=secrets.token_hex(32), name=name, driver=driver, created=time.time_ns())
                self._database.write_blocking(_saving(found[name]))
        bridge = found["bridge"] = self._configured(found["bridge"])
        names = [name for name in _PREDEFINED if name != "bridge" or self._settings.bridge != "none"]
        return [found[name] if name != "bridge" else bridge for name in names]

    def _configured(self, network: NetworkRecord) -> NetworkRecord:
        own, wanted = self._settings.bridge, self._settings.bip
        foreign = own not in ("", "none")
        changes: dict[str, str | bool | int] = {"mtu": self._settings.mtu, "foreign": foreign}
        if foreign or network.foreign:
            changes |= {"bridge": own if foreign else "", "subnet": "", "gateway": ""}
        if wanted:
            gateway = parse_interface(wanted)
            changes |= {"subnet": str(gateway.network), "gateway": str(gateway.ip)}
        return msgspec.structs.replace(network, **changes)

    # --- containers join and leave ------------------------------------------------------------------------------------

    async def attach(self, record: ContainerRecord) -> Attached:
        """Give a container that is about to start its network.

        Raises NotFound for an unknown network or container, Conflict for one that doesn't run, Exhausted when a port
        or address is taken, InvalidArgument for settings that can't be, Unavailable when the kernel refuses.
        """
        mode = "none" if record.config.network_disabled else record.host_config.network_mode
        if mode.startswith(_JOINED):
            return self._join(self._running(mode.removeprefix(_JOINED)))
        if mode not in ("none", "host", "bridge", "default", "") or (
            mode in ("bridge", "") and not self._bridge_there()
        ):
            raise NotFound(f"failed to set up container networking: network {mode} not found")
        if mode in ("none", "host"):
            return Attached("", *self._files(record, mode, None))
        return await self._attach_bridge(record)

    def _bridge_there(self) -> bool:
        return "bridge" in self._networks

    def _running(self, ref: str) -> Member:
        try:
            member = self._members.find(ref)
        except NotFound as error:
            raise NotFound(f"joining network namespace of container: {error}") from None
        if not member.running:
            raise Conflict(f"cannot join network namespace of a non running container: {member.record.id}")
        return member

    def _join(self, member: Member) -> Attached:
        record = member.record
        mode = record.host_config.network_mode
        files = self._files(record, mode, self._endpoints.get(record.id))
        return Attached(f"/proc/{record.state.pid}/ns/net", *files)

    async def _attach_bridge(self, record: ContainerRecord) -> Attached:
        await self.detach(record.id)
        network = await self._ensure()
        endpoint = await self._new_endpoint(network, record)
        self._endpoints[record.id] = endpoint
        try:
            files = self._files(record, "bridge", endpoint)
            await self._database.write(_saving(endpoint))
            netns = await self._plug(network, endpoint)
        except (OSError, NftError) as error:
            await self.detach(record.id)
            raise Unavailable(f"failed to set up container networking: {error}") from error
        except BaseException:
            await self.detach(record.id)
            raise
        return Attached(namespaces.path_of(netns), *files, close=lambda: os.close(netns))

    async def _plug(self, network: NetworkRecord, endpoint: EndpointRecord) -> int:
        """Connect the endpoint; a bridge that somebody removed is made again, once."""
        try:
            return await self._plug_once(network, endpoint)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
        self._ensured = False
        return await self._plug_once(await self._ensure(), endpoint)

    async def _plug_once(self, network: NetworkRecord, endpoint: EndpointRecord) -> int:
        """The namespace's descriptor; closed where nobody waits for it any more."""
        plugging = self._worker.submit(self._bridges.plug, network, endpoint)
        try:
            return await asyncio.wrap_future(plugging)
        except asyncio.CancelledError:
            if not plugging.cancelled():
                plugging.add_done_callback(_close_descriptor)
            raise

    async def _new_endpoint(self, network: NetworkRecord, record: ContainerRecord) -> EndpointRecord:
        """Take an address and host ports; nothing is taken when it fails."""
        wishes = wanted_ports(record.config, record.host_config)
        identity = secrets.token_hex(32)
        try:
            ports = await self._work(lambda: self._ports.keep(record.id, wishes)) if wishes else ()
        except SampanError as error:
            raise type(error)(
                "failed to set up container networking: driver failed programming external connectivity on endpoint "
                f"{record.name} ({identity}): {error}"
            ) from None
        try:
            address = self._addresses(network).take()
        except Exhausted:
            self._ports.release(record.id)
            raise
        return EndpointRecord(
            id=identity,
            network=network.id,
            container=record.id,
            address=address,
            prefix_length=IPv4Network(network.subnet).prefixlen,
            gateway=network.gateway,
            mac=_asked_mac(record) or _mac_of(address),
            link=f"veth{identity[:7]}",
            ports=ports,
        )

    def _addresses(self, network: NetworkRecord) -> AddressPool:
        if self._pool is None:
            taken = [network.gateway, *(endpoint.address for endpoint in self._endpoints.values())]
            self._pool = AddressPool(IPv4Network(network.subnet), taken)
        return self._pool

    async def detach(self, container_id: str) -> None:
        """Take back what the container had. One that had nothing is fine."""
        self._inherited.discard(container_id)
        endpoint = self._endpoints.pop(container_id, None)
        if endpoint is None:
            return
        network = self._networks.get("bridge")
        self._ports.release(container_id)
        if self._pool is not None:
            self._pool.give_back(endpoint.address)
        await self._database.write(_dropping(endpoint))
        if network is not None and endpoint.ports:
            try:
                await self._work(lambda: self._bridges.unplug(network, endpoint))
            except NftError as error:
                log.warning("the ports of container %s were not published: %s", container_id[:12], error)

    # --- the default bridge -------------------------------------------------------------------------------------------

    async def _ensure(self) -> NetworkRecord:
        """The default bridge, made where it is missing."""
        async with self._ensuring:
            network = self._networks["bridge"]
            if self._ensured:
                return network
            try:
                return await self._make(network)
            except (OSError, NftError) as error:
                raise Unavailable(f"failed to set up the default bridge: {error}") from error

    async def _make(self, network: NetworkRecord) -> NetworkRecord:
        planned = await self._work(lambda: self._bridges.plan(network, _BRIDGE_PREFIX))
        if planned != network:
            await self._database.write(_saving(planned))
        if planned.subnet != network.subnet:
            self._pool = None
        self._networks["bridge"] = planned
        endpoints = list(self._endpoints.values())
        await self._work(lambda: self._bridges.ensure(planned, endpoints))
        self._ensured = True
        return planned

    async def recover(self) -> None:
        """Once, when it is known which containers run: drop endpoints of those that do not, keep those that do."""
        for container_id in list(self._inherited):
            member = self._members.get(container_id)
            if member is None or not member.running:
                await self.detach(container_id)
            elif endpoint := self._endpoints.get(container_id):
                await self._keep_ports(endpoint)
        self._inherited.clear()
        if self._endpoints:
            await self._ensure()
        else:
            await self._remove_bridge()

    async def _keep_ports(self, endpoint: EndpointRecord) -> None:
        await self._work(lambda: self._ports.keep_again(endpoint.container, endpoint.ports))

    async def close(self, containers_run: bool) -> None:
        """Let go. The bridge stays while containers run, else it goes too."""
        if not containers_run:
            await self._remove_bridge()
        self._ports.close()
        self._worker.shutdown()

    async def _remove_bridge(self) -> None:
        network = self._networks.get("bridge")
        if network is None or not network.bridge:
            return
        try:
            await self._work(lambda: self._bridges.remove(network))
        except (OSError, NftError, Unavailable) as error:
            log.warning("the bridge %s could not be removed: %s", network.bridge, error)
        self._ensured = False

    async def _work(self, call: Callable[[], T]) -> T:
        """Kernel calls in one thread: the kernel serves them one by one, and may keep them waiting."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)

    # --- files of /etc ------------------------------------------------------------------------------------------------

    def _files(self, record: ContainerRecord, mode: str, endpoint: EndpointRecord | None) -> tuple[str, str]:
        """The text of hosts and resolv.conf."""
        host = record.host_config
        wanted = DnsOptions(
            servers=host.dns or self._settings.dns,
            search=host.dns_search or self._settings.dns_search,
            options=host.dns_options or self._settings.dns_opts,
        )
        shares_host = mode == "host"
        hosts = hosts_file(
            record.config.hostname,
            record.config.domainname,
            endpoint.address if endpoint else "",
            host.extra_hosts or (),
            self._networks["bridge"].gateway if self._bridge_there() else "",
            _read("/etc/hosts") if shares_host else "",
        )
        return hosts, resolv_conf(_read("/etc/resolv.conf"), wanted, shares_host=shares_host)

    # --- what they look like ------------------------------------------------------------------------------------------

    def endpoints(self, container_id: str, network_mode: str) -> dict[str, EndpointSettings]:
        """A container's networks by name, as inspect and list show them."""
        name = "bridge" if network_mode in ("", "default") else network_mode
        if name.startswith(_JOINED):
            return {}
        member = self._members.get(container_id)
        asked = (member.record.networking.endpoints_config or {}).get(name) if member else None
        network = self._networks.get(name)
        if network is None:
            return {name: render.endpoint_settings(None, None, asked)}
        endpoint = self._endpoints.get(container_id) if name == "bridge" else self._bare_endpoint(network, member)
        return {name: render.endpoint_settings(network, endpoint, asked)}

    def _bare_endpoint(self, network: NetworkRecord, member: Member | None) -> EndpointRecord | None:
        """The endpoint of a running container in a network without addresses, which nobody needs to keep."""
        if member is None or not member.running:
            return None
        container = member.record.id
        identity = hashlib.sha256(f"{network.id} {container}".encode()).hexdigest()
        return EndpointRecord(
            id=identity,
            network=network.id,
            container=container,
            address="",
            prefix_length=0,
            gateway="",
            mac="",
            link="",
        )

    def settings(self, container: Member) -> NetworkSettings:
        """`NetworkSettings` of a container's inspect."""
        record = container.record
        mode = record.host_config.network_mode
        endpoints = self.endpoints(record.id, mode)
        if not container.running or mode.startswith(_JOINED):
            return render.network_settings(endpoints, {}, "", "")
        endpoint = self._endpoints.get(record.id)
        ports = render.port_bindings([endpoint], sorted(record.config.exposed_ports)) if endpoint else {}
        identity = hashlib.sha256(f"sandbox {record.id}".encode()).hexdigest()
        return render.network_settings(endpoints, ports, identity, f"/proc/{record.state.pid}/ns/net")

    def names(self, container: Member) -> list[str]:
        """Names and ids of the container's networks, as filters take them."""
        record = container.record
        found = self.endpoints(record.id, record.host_config.network_mode)
        return [*found, *(network.id for name in found if (network := self._networks.get(name)))]

    def list(self, filters: Mapping[str, Sequence[str]]) -> Sequence[Network]:
        """GET /networks: without the containers. Raises InvalidArgument for a filter that is not there."""
        chosen = select(self._networks.values(), filters, self._is_used)
        return [render.network_document(network, [], self._name_of) for network in chosen]

    def _is_used(self, network: NetworkRecord) -> bool:
        return bool(self._members_of(network))

    def inspect(self, ref: str, scope: str = "", verbose: bool = False) -> Network:
        """GET /networks/{id}, by name, id or its beginning. Raises NotFound."""
        network = self._find(ref)
        if scope not in ("", "local"):
            raise NotFound(f"network {ref} not found")
        return render.network_document(network, self._members_of(network), self._name_of)

    def _members_of(self, network: NetworkRecord) -> Iterable[EndpointRecord]:
        return [endpoint for endpoint in self._endpoints.values() if endpoint.network == network.id]

    def _name_of(self, container_id: str) -> str:
        member = self._members.get(container_id)
        return member.record.name if member else ""

    def _find(self, ref: str) -> NetworkRecord:
        for network in self._networks.values():
            if ref in (network.name, network.id):
                return network
        found = [network for network in self._networks.values() if ref and network.id.startswith(ref)]
        if len(found) > 1:
            raise InvalidArgument(f"network {ref} is ambiguous ({len(found)} matches found based on ID prefix)")
        if not found:
            raise NotFound(f"network {ref} not found")
        return found[0]

    # --- networks of the user -----------------------------------------------------------------------------------------

    async def create(self, request: NetworkCreateRequest) -> NetworkCreateResponse:
        """POST /networks/create. Raises Denied for a predefined name, NotImplementedYet for others."""
        if request.name in _PREDEFINED:
            raise Denied(f"operation is not permitted on predefined {request.name} network")
        raise NotImplementedYet("networks of one's own are not implemented yet")

    async def remove(self, ref: str) -> None:
        """DELETE /networks/{id}. Raises NotFound, Denied for a predefined one."""
        raise Denied(f"{self._find(ref).name} is a pre-defined network and cannot be removed")

    async def connect(self, ref: str, request: NetworkConnectRequest) -> None:
        """POST /networks/{id}/connect. Raises NotFound, NotImplementedYet."""
        self._find(ref)
        self._members.find(request.container)
        raise NotImplementedYet("connecting a container to a further network is not implemented yet")

    async def disconnect(self, ref: str, request: NetworkDisconnectRequest) -> None:
        """POST /networks/{id}/disconnect. Raises NotFound, NotImplementedYet."""
        self._find(ref)
        self._members.find(request.container)
        raise NotImplementedYet("disconnecting a container from its network is not implemented yet")

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> PruneReport:
        """POST /networks/prune: predefined networks are never pruned."""
        select([], filters, self._is_used)
        return PruneReport()


def _load_networks(rows: sqlite3.Connection) -> list[NetworkRecord]:
    return [decode_network(document) for (document,) in rows.execute("SELECT document FROM networks")]


def _load_endpoints(rows: sqlite3.Connection) -> list[EndpointRecord]:
    return [decode_endpoint(document) for (document,) in rows.execute("SELECT document FROM endpoints")]


def _saving(record: NetworkRecord | EndpointRecord) -> Callable[[sqlite3.Connection], None]:
    table = "networks" if isinstance(record, NetworkRecord) else "endpoints"
    keys = (record.id, record.name) if isinstance(record, NetworkRecord) else (record.network, record.container)

    def save(rows: sqlite3.Connection) -> None:
        rows.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", (*keys, encode(record)))

    return save


def _dropping(endpoint: EndpointRecord) -> Callable[[sqlite3.Connection], None]:
    def drop(rows: sqlite3.Connection) -> None:
        rows.execute(
            "DELETE FROM endpoints WHERE network = ? AND container = ?", (endpoint.network, endpoint.container)
        )

    return drop


def _close_descriptor(made: Future[int]) -> None:
    if not made.cancelled() and made.exception() is None:
        os.close(made.result())


def _asked_mac(record: ContainerRecord) -> str:
    asked = (record.networking.endpoints_config or {}).get("bridge")
    return (asked.mac_address if asked else "") or record.config.mac_address


def _mac_of(address: str) -> str:
    """Made from the address, so that neighbours who remember an earlier owner of it are right again."""
    return "02:42:" + IPv4Address(address).packed.hex(":")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
