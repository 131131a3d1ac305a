"""Bridge networks and their endpoints: memory, rows and kernel kept in step.

    join    bridge made where missing ─ host ports, address ─ row ─ links, firewall        any failure takes all back
    leave   memory ─ row ─ firewall                                  links end with the container's namespace

An endpoint lives while its container runs. Its row is written before its links: whatever a killed daemon leaves half
done is either gone by itself (links end with their namespace) or a row that `recover` drops.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from sampan.engine.networks.addresses import AddressPool
from sampan.engine.networks.bridge import Bridges
from sampan.engine.networks.ports import PortKeeper
from sampan.engine.networks.records import EndpointRecord, NetworkRecord, dropping, load_endpoints, saving
from sampan.engine.ports import PortWish
from sampan.errors import SampanError, Unavailable
from sampan.kernel.network import NetworkKernel
from sampan.kernel.nft import NftError
from sampan.store.db import Database

__all__ = ["Fabric", "Wish"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_BRIDGE_PREFIX = "sampan"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a container asks of a network; `name` is the container's, for messages."""

    container: str
    name: str
    ports: tuple[PortWish, ...] = ()
    mac: str = ""
    address: str = ""


class Fabric:
    """The bridge networks of one daemon, by id. Made in the event loop's thread, whose namespace is the one served."""

    def __init__(self, database: Database, kernel: NetworkKernel, networks: Iterable[NetworkRecord]) -> None:
        self._database = database
        self._bridges = Bridges(kernel)
        self._ports = PortKeeper()
        self._worker = ThreadPoolExecutor(1, "network")
        self._changing = asyncio.Lock()
        self._networks = {network.id: network for network in networks}
        self._made: set[str] = set()
        self._pools: dict[str, AddressPool] = {}
        self._endpoints = {(found.network, found.container): found for found in database.read(load_endpoints)}
        self._inherited = set(self._endpoints)

    def network(self, network_id: str) -> NetworkRecord:
        """The network as it is now: with its bridge and subnet once it was made."""
        return self._networks[network_id]

    def members(self, network_id: str) -> Iterator[EndpointRecord]:
        """The endpoints in a network."""
        return (endpoint for (network, _), endpoint in self._endpoints.items() if network == network_id)

    def endpoint(self, network_id: str, container: str) -> EndpointRecord | None:
        """A container's endpoint in a network."""
        return self._endpoints.get((network_id, container))

    # --- joining and leaving ------------------------------------------------------------------------------------------

    async def join(self, network_id: str, wish: Wish) -> tuple[EndpointRecord, int]:
        """Connect a container: its endpoint, and the descriptor of its namespace, which the caller closes.

        Raises Exhausted when a port or all addresses are taken, InvalidArgument for a bridge or address that can't be,
        Unavailable when the kernel refuses. A failure leaves nothing.
        """
        await self.leave(network_id, wish.container)
        network = await self._made_network(network_id)
        endpoint = await self._reserve(network, wish)
        self._endpoints[network_id, wish.container] = endpoint
        try:
            await self._database.write(saving(endpoint), growing=True)
            return endpoint, await self._plug(network, endpoint)
        except (OSError, NftError) as error:
            await self.leave(network_id, wish.container)
            raise Unavailable(f"failed to set up container networking: {error}") from error
        except BaseException:
            await self.leave(network_id, wish.container)
            raise

    async def _reserve(self, network: NetworkRecord, wish: Wish) -> EndpointRecord:
        """Take host ports and an address; nothing is taken when it fails."""
        identity = secrets.token_hex(32)
        keep = list(wish.ports)
        try:
            ports = await self._work(lambda: self._ports.keep(wish.container, keep)) if keep else ()
        except SampanError as error:
            raise type(error)(
                "failed to set up container networking: driver failed programming external connectivity on endpoint "
                f"{wish.name} ({identity}): {error}"
            ) from None
        try:
            address = self._pool(network).take(wish.address)
        except SampanError:
            self._ports.release(wish.container)
            raise
        return EndpointRecord(
            id=identity,
            network=network.id,
            container=wish.container,
            address=address,
            prefix_length=IPv4Network(network.subnet).prefixlen,
            gateway=network.gateway,
            mac=wish.mac or _mac_of(address),
            link=f"veth{identity[:7]}",
            ports=ports,
        )

    def _pool(self, network: NetworkRecord) -> AddressPool:
        if network.id not in self._pools:
            taken = [network.gateway, *(endpoint.address for endpoint in self.members(network.id))]
            self._pools[network.id] = AddressPool(IPv4Network(network.subnet), taken)
        return self._pools[network.id]

    async def _plug(self, network: NetworkRecord, endpoint: EndpointRecord) -> int:
        """Connect the endpoint; a bridge that somebody removed is made again, once."""
        try:
            return await self._plug_once(network, endpoint)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
        self._made.discard(network.id)
        return await self._plug_once(await self._made_network(network.id), endpoint)

    async def _plug_once(self, network: NetworkRecord, endpoint: EndpointRecord) -> int:
        """The namespace's descriptor; closed where nobody waits for it any more."""
        plugging = self._worker.submit(self._bridges.plug, network, endpoint)
        try:
            return await asyncio.wrap_future(plugging)
        except asyncio.CancelledError:
            if not plugging.cancelled():
                plugging.add_done_callback(_close_descriptor)
            raise

    async def leave(self, network_id: str, container: str) -> None:
        """Take back what the container had in a network. One that had nothing is fine."""
        self._inherited.discard((network_id, container))
        endpoint = self._endpoints.pop((network_id, container), None)
        if endpoint is None:
            return
        self._ports.release(container)
        if pool := self._pools.get(network_id):
            pool.give_back(endpoint.address)
        await self._database.write(dropping(endpoint))
        if endpoint.ports and network_id in self._networks:
            await self._unplug(self._networks[network_id], endpoint)

    async def _unplug(self, network: NetworkRecord, endpoint: EndpointRecord) -> None:
        try:
            await self._work(lambda: self._bridges.unplug(network, endpoint))
        except NftError as error:
            log.warning("ports of container %s were not published: %s", endpoint.container[:12], error)

    # --- the networks themselves --------------------------------------------------------------------------------------

    async def _made_network(self, network_id: str) -> NetworkRecord:
        """The network with its bridge in the kernel, made where it is missing."""
        async with self._changing:
            network = self._networks[network_id]
            if network_id in self._made:
                return network
            try:
                return await self._make(network)
            except (OSError, NftError) as error:
                raise Unavailable(f"failed to set up the network {network.name}: {error}") from error

    async def _make(self, network: NetworkRecord) -> NetworkRecord:
        made = False
        while not made:
            network = await self._plan(network)
            made = await self._work(partial(self._bridges.ensure, network, list(self.members(network.id))))
        self._made.add(network.id)
        return network

    async def _plan(self, network: NetworkRecord) -> NetworkRecord:
        planned = await self._work(lambda: self._bridges.plan(network, _BRIDGE_PREFIX))
        if planned != network:
            await self._database.write(saving(planned), growing=True)
        if planned.subnet != network.subnet:
            self._pools.pop(network.id, None)
        self._networks[network.id] = planned
        return planned

    async def recover(self, runs: Callable[[str], bool]) -> None:
        """Once, when it is known which containers run: keep their endpoints, drop the others and unused bridges."""
        for key in list(self._inherited):
            # Containers end, and are started again, while this waits: then their endpoints are not inherited any more.
            endpoint = self._endpoints.get(key)
            if endpoint is not None and key in self._inherited:
                await self._take_over(endpoint, runs)
        self._inherited.clear()
        for network_id in list(self._networks):
            if any(self.members(network_id)):
                await self._make_again(network_id)
            else:
                await self._unmake(network_id)

    async def _make_again(self, network_id: str) -> None:
        """Where it can't be, containers have no network until they are started again; the daemon goes on."""
        try:
            await self._made_network(network_id)
        except SampanError as error:
            log.warning("the network %s is not there: %s", self._networks[network_id].name, error)

    async def _take_over(self, endpoint: EndpointRecord, runs: Callable[[str], bool]) -> None:
        if not runs(endpoint.container) or endpoint.network not in self._networks:
            await self.leave(endpoint.network, endpoint.container)
        elif endpoint.ports:
            await self._keep_ports(endpoint)
            if self.endpoint(endpoint.network, endpoint.container) is None:
                self._ports.release(endpoint.container)

    async def _keep_ports(self, endpoint: EndpointRecord) -> None:
        await self._work(lambda: self._ports.keep_again(endpoint.container, endpoint.ports))

    async def close(self, keep: bool) -> None:
        """Let go. The bridges stay where `keep` says so (for containers that live on), else they go too."""
        for network_id in () if keep else list(self._networks):
            await self._unmake(network_id)
        self._ports.close()
        self._worker.shutdown()

    async def _unmake(self, network_id: str) -> None:
        network = self._networks[network_id]
        if not network.bridge:
            return
        try:
            await self._work(lambda: self._bridges.remove(network))
        except (OSError, NftError, Unavailable) as error:
            log.warning("the bridge %s could not be removed: %s", network.bridge, error)
        self._made.discard(network_id)

    async def _work(self, call: Callable[[], T]) -> T:
        """Kernel calls in one thread: the kernel serves them one by one, and may keep them waiting."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)


def _close_descriptor(made: Future[int]) -> None:
    if not made.cancelled() and made.exception() is None:
        os.close(made.result())


def _mac_of(address: str) -> str:
    """Made from the address, so that neighbours who remember an earlier owner of it are right again."""
    return "02:42:" + IPv4Address(address).packed.hex(":")
