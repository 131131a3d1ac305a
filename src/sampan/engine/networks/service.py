"""Networks: how containers join them and leave them, and what they look like.

    mode          the container's network namespace                          hosts, resolv.conf
    bridge        made here: a pair of links into the bridge, an address     with its own address
    none          the runtime's own, with loopback only                      without an address
    host          this daemon's                                              the host's
    container:X   that of X, which must run                                  as X has them

The default bridge is made when the first container needs it, and removed with a daemon that leaves no container.

Worked use:

    attached = await networks.attach(record)
    ... run the process in attached.namespace ...
    attached.close()
    ... when it has ended ...
    await networks.detach(record.id)
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sampan.engine.endpoints import mac_address
from sampan.engine.networks import render
from sampan.engine.networks.addresses import parse_interface
from sampan.engine.networks.etcfiles import DnsOptions, hosts_file, resolv_conf
from sampan.engine.networks.fabric import Fabric, Wish
from sampan.engine.networks.filters import select
from sampan.engine.networks.members import ContainerRecord, Member, Members, Settings
from sampan.engine.networks.records import EndpointRecord, NetworkRecord, load_networks, saving
from sampan.engine.ports import ports_named, wanted_ports
from sampan.errors import Conflict, Denied, InvalidArgument, NotFound, NotImplementedYet
from sampan.kernel import namespaces
from sampan.kernel.network import LinuxNetwork, NetworkKernel
from sampan.store.db import Database
from sampan.wire.containers import NetworkSettings, PortBinding
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

_PREDEFINED = {"none": "null", "host": "host", "bridge": "bridge"}
_JOINED = "container:"


Emit = Callable[[str, str, str, Mapping[str, str]], None]


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
        self,
        database: Database,
        settings: Settings,
        members: Members,
        emit: Emit,
        kernel: NetworkKernel | None = None,
    ) -> None:
        self._settings = settings
        self._members = members
        self._emit = emit
        self._networks = {network.name: network for network in _predefined(database, settings)}
        bridges = [network for network in self._networks.values() if network.driver == "bridge"]
        self._fabric = Fabric(database, kernel or LinuxNetwork(), bridges)

    async def recover(self) -> None:
        """Once, when it is known which containers run: keep their endpoints, drop the others and unused bridges."""
        await self._fabric.recover(self._runs)

    def _runs(self, container_id: str) -> bool:
        member = self._members.get(container_id)
        return member is not None and member.running

    async def close(self, containers_run: bool) -> None:
        """Let go. Bridges stay while containers run, else they go too."""
        await self._fabric.close(keep=containers_run)

    # --- containers join and leave ------------------------------------------------------------------------------------

    async def attach(self, record: ContainerRecord) -> Attached:
        """Give a container that is about to start its network.

        Raises NotFound for an unknown network or container, Conflict for one that doesn't run, Exhausted when a port
        or address is taken, InvalidArgument for settings that can't be, Unavailable when the kernel refuses.
        """
        mode = _mode(record)
        if mode.startswith(_JOINED):
            return self._join(self._running(mode.removeprefix(_JOINED)))
        network = self._networks.get(mode)
        if network is None:
            raise NotFound(f"failed to set up container networking: network {mode} not found")
        if network.driver != "bridge":
            return Attached("", *self._files(record, None))
        return await self._attach(network, record)

    async def _attach(self, network: NetworkRecord, record: ContainerRecord) -> Attached:
        asked = (record.networking.endpoints_config or {}).get(network.name) or EndpointSettings()
        wish = Wish(
            container=record.id,
            name=record.name,
            ports=tuple(wanted_ports(record.config, record.host_config)),
            mac=mac_address(wished) if (wished := asked.mac_address or record.config.mac_address) else "",
        )
        endpoint, netns = await self._fabric.join(network.id, wish)
        try:
            files = self._files(record, endpoint)
        except BaseException:
            os.close(netns)
            await self.detach(record.id)
            raise
        return Attached(namespaces.path_of(netns), *files, close=lambda: os.close(netns))

    def _running(self, ref: str) -> Member:
        try:
            member = self._members.find(ref)
        except NotFound as error:
            raise NotFound(f"joining network namespace of container: {error}") from None
        if not member.running:
            record = member.record
            raise Conflict(
                "cannot join network namespace of a non running container: "
                f"container {record.name} is {record.state.status}"
            )
        return member

    def _join(self, member: Member) -> Attached:
        record = member.record
        return Attached(f"/proc/{record.state.pid}/ns/net", *self._files(record, self._endpoint(record)))

    async def detach(self, container_id: str) -> None:
        """Take back what the container had. One that had nothing is fine."""
        for network in self._networks.values():
            await self._fabric.leave(network.id, container_id)

    def network_of(self, record: ContainerRecord) -> NetworkRecord | None:
        """The network that a container is in itself; None where it is in another container's."""
        return self._networks.get(_mode(record))

    def _endpoint(self, record: ContainerRecord) -> EndpointRecord | None:
        """The container's endpoint in the network of its mode."""
        network = self._networks.get(_mode(record))
        return self._fabric.endpoint(network.id, record.id) if network else None

    def _files(self, record: ContainerRecord, endpoint: EndpointRecord | None) -> tuple[str, str]:
        """The text of hosts and resolv.conf."""
        host = record.host_config
        shares_host = _mode(record) == "host"
        wanted = DnsOptions(
            servers=host.dns or self._settings.dns,
            search=host.dns_search or self._settings.dns_search,
            options=host.dns_options or self._settings.dns_opts,
        )
        hosts = hosts_file(
            record.config.hostname,
            record.config.domainname,
            endpoint.address if endpoint else "",
            host.extra_hosts or (),
            self._host_gateway(),
            _read("/etc/hosts") if shares_host else "",
        )
        return hosts, resolv_conf(_read("/etc/resolv.conf"), wanted, shares_host=shares_host)

    def _host_gateway(self) -> str:
        """The host's address on the default bridge, "" before that was made."""
        default = self._networks.get("bridge")
        return self._fabric.network(default.id).gateway if default else ""

    # --- what containers see of it ------------------------------------------------------------------------------------

    def endpoints(self, container_id: str, network_mode: str) -> dict[str, EndpointSettings]:
        """A container's networks by name, as inspect and list show them."""
        name = "bridge" if network_mode in ("", "default") else network_mode
        if name.startswith(_JOINED):
            return {}
        member = self._members.get(container_id)
        asked = (member.record.networking.endpoints_config or {}).get(name) if member else None
        network = self._networks.get(name)
        endpoint = self._shown_endpoint(network, container_id) if network else None
        shown = render.endpoint_settings(network, endpoint, asked)
        if network is not None and member is not None and member.record.state.started_at:
            shown.network_id = network.id  # of one that has ended, the network is still known
        return {name: shown}

    def _shown_endpoint(self, network: NetworkRecord, container: str) -> EndpointRecord | None:
        """The endpoint; one in a network without addresses is not kept but made up, the same each time."""
        if network.driver == "bridge":
            return self._fabric.endpoint(network.id, container)
        return render.bare_endpoint(network, container) if self._runs(container) else None

    def settings(self, container: Member) -> NetworkSettings:
        """`NetworkSettings` of a container's inspect."""
        record = container.record
        endpoints = self.endpoints(record.id, record.host_config.network_mode)
        if not container.running or _mode(record).startswith(_JOINED):
            return render.network_settings(endpoints, {}, "", "")
        sandbox = hashlib.sha256(f"sandbox {record.id}".encode()).hexdigest()
        return render.network_settings(endpoints, self.ports(container), sandbox, f"/proc/{record.state.pid}/ns/net")

    def ports(self, container: Member) -> dict[str, list[PortBinding] | None]:
        """`Ports` of a container: none while it does not run."""
        record = container.record
        if not container.running or _mode(record).startswith(_JOINED):
            return {}
        endpoint = self._endpoint(record)
        return render.port_bindings([endpoint], ports_named(record.config.exposed_ports)) if endpoint else {}

    def names(self, container: Member) -> list[str]:
        """Names and ids of the container's networks, as filters take them."""
        record = container.record
        found = self.endpoints(record.id, record.host_config.network_mode)
        return [*found, *(network.id for name in found if (network := self._networks.get(name)))]

    # --- GET /networks ------------------------------------------------------------------------------------------------

    def list(self, filters: Mapping[str, Sequence[str]]) -> Sequence[Network]:
        """GET /networks: without the containers. Raises InvalidArgument for a filter that is not there."""
        chosen = select(self._networks.values(), filters, self._is_used)
        return [render.network_document(self._current(network), [], self._name_of) for network in chosen]

    def inspect(self, ref: str, scope: str = "", verbose: bool = False) -> Network:
        """GET /networks/{id}, by name, id or its beginning. Raises NotFound."""
        network = self._find(ref)
        if scope not in ("", "local"):
            raise NotFound(f"network {ref} not found")
        return render.network_document(self._current(network), self._fabric.members(network.id), self._name_of)

    def _current(self, network: NetworkRecord) -> NetworkRecord:
        return self._fabric.network(network.id) if network.driver == "bridge" else network

    def _is_used(self, network: NetworkRecord) -> bool:
        return any(self._fabric.members(network.id))

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
        self._emit("network", "prune", "", {"reclaimed": "0"})
        return PruneReport()


def _mode(record: ContainerRecord) -> str:
    """The name of the container's network, or `container:X`."""
    if record.config.network_disabled:
        return "none"
    mode = record.host_config.network_mode
    return "bridge" if mode in ("", "default") else mode


def _predefined(database: Database, settings: Settings) -> list[NetworkRecord]:
    """The predefined networks, made at the first start of a data root; without the bridge where it is not wanted."""
    found = {network.name: network for network in database.read(load_networks)}
    for name, driver in _PREDEFINED.items():
        if name not in found:
            found[name] = NetworkRecord(id=secrets.token_hex(32), name=name, driver=driver, created=time.time_ns())
            database.write_blocking(saving(found[name]))
    found["bridge"] = _configured(found["bridge"], settings)
    return [found[name] for name in _PREDEFINED if name != "bridge" or settings.bridge != "none"]


def _configured(network: NetworkRecord, settings: Settings) -> NetworkRecord:
    """The default bridge as the settings of now want it; what they leave open stays as it was."""
    foreign = settings.bridge not in ("", "none")
    changes: dict[str, str | bool | int] = {"mtu": settings.mtu, "foreign": foreign, "fixed": bool(settings.bip)}
    if foreign or network.foreign:
        changes |= {"bridge": settings.bridge if foreign else "", "subnet": "", "gateway": ""}
    if settings.bip:
        gateway = parse_interface(settings.bip)
        changes |= {"subnet": str(gateway.network), "gateway": str(gateway.ip)}
    return msgspec.structs.replace(network, **changes)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
