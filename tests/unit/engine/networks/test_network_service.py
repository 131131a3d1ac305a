"""The service on a recording kernel: order of effects, undoing, refusals, and how things look."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sampan.engine.networks.service import Networks
from sampan.errors import Conflict, Denied, InvalidArgument, NotFound, NotImplementedYet, Unavailable
from sampan.kernel.fake import FakeNetwork
from sampan.kernel.netlink import Address, Link, Route
from sampan.kernel.nft import NftError
from sampan.store.db import Database
from sampan.wire.base import Empty
from sampan.wire.containers import ContainerConfig, HostConfig, NetworkingConfig, PortBinding
from sampan.wire.networks import (
    EndpointIPAMConfig,
    EndpointSettings,
    NetworkConnectRequest,
    NetworkCreateRequest,
    NetworkDisconnectRequest,
)


@dataclass
class Settings:
    bridge: str = ""
    bip: str = ""
    mtu: int = 1400
    dns: tuple[str, ...] = ("9.9.9.9",)
    dns_opts: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()


@dataclass
class Members:
    found: dict[str, Any] = field(default_factory=dict)

    def get(self, container_id: str) -> Any:
        return self.found.get(container_id)

    def find(self, ref: str) -> Any:
        if ref not in self.found:
            raise NotFound(f"No such container: {ref}")
        return self.found[ref]


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings()
        self.members = Members()
        self.kernel = FakeNetwork()
        self.open()

    def open(self) -> Networks:
        self.database = Database(self.folder / "db")
        self.networks = Networks(self.database, self.settings, self.members, lambda *_: None, self.kernel)
        return self.networks

    async def reopen(self) -> Networks:
        self.networks._fabric._worker.shutdown()
        self.database.close()
        return self.open()

    def member(self, name: str = "c1", config: dict[str, Any] | None = None, **host: Any) -> Any:
        endpoints = host.pop("endpoints", None)
        record = SimpleNamespace(
            id=name,
            name=f"name-of-{name}",
            config=ContainerConfig(hostname=f"host-{name}", **(config or {})),
            host_config=HostConfig(**({"network_mode": "bridge"} | host)),
            networking=NetworkingConfig(endpoints_config=endpoints),
            state=SimpleNamespace(pid=os.getpid(), status="exited", started_at=0),
        )
        self.members.found[name] = SimpleNamespace(record=record, running=False)
        return self.members.found[name]

    async def start(self, *arguments: Any, **host: Any) -> Any:
        member = self.member(*arguments, **host)
        attached = await self.networks.attach(member.record)
        if attached.close:
            attached.close()
        member.running = True
        return member

    def bridge(self) -> Any:
        return next(iter(self.networks._fabric._networks.values()), None)

    async def remove_bridge(self) -> None:
        await self.networks._fabric._unmake(self.bridge().id)


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    found = World(tmp_path)
    yield found
    await found.networks.close(False)
    found.database.close()


async def test_nothing_is_touched_for_networks_without_a_bridge(world):
    for mode in ("none", "host"):
        attached = await world.networks.attach(world.member(mode, network_mode=mode).record)
        assert (attached.namespace, attached.close) == ("", None)
    await world.networks.attach(world.member("off", {"network_disabled": True}).record)
    assert world.kernel.calls == []


async def test_first_the_bridge_then_the_container(world):
    member = world.member(port_bindings={"80/tcp": [PortBinding(host_ip="127.0.0.1")]})
    attached = await world.networks.attach(member.record)
    assert attached.namespace.startswith(f"/proc/{os.getpid()}/fd/")
    assert "172.17.0.2\thost-c1" in attached.hosts
    assert "nameserver 9.9.9.9" in attached.resolv_conf
    attached.close()
    names = [name for name, *_ in world.kernel.calls]
    assert names.index("firewall") < names.index("new_network") < names.index("run inside")
    port = world.networks.settings(SimpleNamespace(record=member.record, running=True)).ports["80/tcp"][0].host_port
    (element,) = world.kernel.named("firewall")[-1]
    expected = f"add element ip sampan-sampan0 ports_at {{ 127.0.0.1 . tcp . {port} : 172.17.0.2 . 80 }}\n"
    assert element == expected


async def test_a_failure_gives_everything_back(world):
    await world.start("c0")
    world.kernel.fail["run inside"] = OSError(errno.ENOMEM, "no memory")
    with pytest.raises(Unavailable, match="no memory"):
        await world.start("c1")
    assert world.networks.inspect("bridge").containers.keys() == {"c0"}
    member = await world.start("c2")
    assert world.networks.settings(member).ip_address == "172.17.0.3"


async def test_a_firewall_that_refuses_is_told(world):
    world.kernel.fail["firewall"] = NftError("Error: no such thing")
    with pytest.raises(Unavailable, match="no such thing"):
        await world.start()


async def test_detaching_twice_or_never_is_fine(world):
    member = await world.start()
    await world.networks.detach("c1")
    await world.networks.detach("c1")
    await world.networks.detach("other")
    assert world.networks.settings(member).ip_address == ""


async def test_an_own_bridge_address(world):
    world.settings.bip = "10.8.0.1/24"
    await world.reopen()
    member = await world.start()
    assert world.networks.settings(member).ip_address == "10.8.0.2"
    assert world.networks.inspect("bridge").ipam.config[0].gateway == "10.8.0.1"


async def test_an_own_bridge_address_that_the_host_routes_is_not_exchanged_for_another(world):
    world.settings.bip = "10.8.0.1/24"
    await world.reopen()
    world.kernel.known_routes = [Route(IPv4Network("10.8.0.0/16"), "", 3)]
    with pytest.raises(Conflict, match=r"10\.8\.0\.0/24 of --bip is in use"):
        await world.start()
    assert world.kernel.existing == {}


async def test_a_name_and_subnet_taken_between_plan_and_bridge_are_left_to_the_other(world, monkeypatch):
    """Another daemon has just made its own."""

    def others_were_faster() -> AbstractContextManager[None]:
        world.kernel.existing.setdefault(
            "sampan0", Link(7, "sampan0", "bridge", True, True, "02:99:00:00:00:01", 1500, 0, "")
        )
        world.kernel.known_addresses = [Address(7, IPv4Interface("172.17.0.1/16"))]
        return nullcontext()

    monkeypatch.setattr(world.kernel, "alone", others_were_faster)
    member = await world.start()
    assert world.networks.settings(member).ip_address == "172.18.0.2"
    assert world.bridge().bridge == "sampan1"
    assert world.kernel.existing["sampan0"].mac == "02:99:00:00:00:01"


async def test_a_bridge_that_cannot_be_made_again_does_not_keep_a_daemon_from_starting(world):
    await world.start("c1")
    world.kernel.existing.clear()
    world.settings.bip = "10.8.0.1/24"
    world.kernel.known_routes = [Route(IPv4Network("10.8.0.0/16"), "", 3)]
    networks = await world.reopen()
    await networks.recover()
    assert networks.inspect("bridge").containers.keys() == {"c1"}


async def test_the_subnet_stays_while_nobody_else_routes_it(world):
    await world.start("c1")
    await world.networks.detach("c1")
    for routes, subnet in (
        ([], "172.17.0.0/16"),
        ([Route(IPv4Network("172.17.0.0/16"), "", 3)], "172.18.0.0/16"),
        ([], "172.18.0.0/16"),
    ):
        await world.remove_bridge()
        world.kernel.known_routes = routes
        member = await world.start("c2")
        assert world.networks.inspect("bridge").ipam.config[0].subnet == subnet
        assert world.networks.settings(member).ip_address == subnet.replace("0.0/16", "0.2")
        await world.networks.detach("c2")


async def test_a_bridge_that_is_gone_is_made_again(world):
    await world.start("c1")
    world.kernel.existing.clear()
    await world.start("c2")
    assert "sampan0" in world.kernel.existing
    assert world.networks.inspect("bridge").containers.keys() == {"c1", "c2"}


async def test_no_default_bridge(world):
    world.settings.bridge = "none"
    await world.reopen()
    assert [network.name for network in world.networks.list({})] == ["none", "host"]
    with pytest.raises(NotFound, match="network bridge not found"):
        await world.start()


async def test_a_foreign_bridge_must_be_there_with_an_address(world):
    world.settings.bridge = "mine"
    await world.reopen()
    with pytest.raises(InvalidArgument, match="mine must be created manually"):
        await world.start()
    world.kernel.existing["mine"] = Link(9, "mine", "bridge", True, True, "02:00:00:00:00:01", 1500, 0, "")
    with pytest.raises(InvalidArgument, match="mine has no IPv4 address"):
        await world.start()
    world.kernel.known_addresses = [Address(9, IPv4Interface("10.7.0.1/24"))]
    member = await world.start()
    assert world.networks.settings(member).gateway == "10.7.0.1"


@pytest.mark.parametrize("mode", ["foo", "container:nosuch"])
async def test_networks_that_are_not_there(world, mode):
    with pytest.raises(NotFound, match=r"network foo not found|No such container: nosuch"):
        await world.start(network_mode=mode)


async def test_joining_needs_a_running_container(world):
    other = await world.start("c1")
    attached = await world.networks.attach(world.member("c2", network_mode="container:c1").record)
    assert attached.namespace == f"/proc/{os.getpid()}/ns/net"
    other.running = False
    with pytest.raises(Conflict, match="non running container"):
        await world.networks.attach(world.member("c3", network_mode="container:c1").record)


async def test_a_hardware_address_of_the_users(world):
    asked = {"bridge": EndpointSettings(mac_address="02:42:ac:11:00:99")}
    assert world.networks.settings(await world.start("c1", endpoints=asked)).mac_address == "02:42:ac:11:00:99"
    assert world.networks.settings(await world.start("c2", {"mac_address": "02:42:ac:11:00:98"})).mac_address.endswith(
        "98"
    )


async def test_settings_of_each_kind_of_container(world):
    member = await world.start("c1", {"exposed_ports": {"90/tcp": Empty()}})
    shown = world.networks.settings(member)
    assert (shown.ip_address, shown.ip_prefix_len, shown.gateway) == ("172.17.0.2", 16, "172.17.0.1")
    assert shown.mac_address == "02:42:ac:11:00:02"
    assert shown.ports == {"90/tcp": None}
    assert shown.networks["bridge"].network_id == world.networks.inspect("bridge").id
    none = world.networks.settings(await world.start("c2", network_mode="none"))
    assert none.networks["none"].endpoint_id != ""
    assert none.ip_address == ""
    joined = world.networks.settings(await world.start("c3", network_mode="container:c1"))
    assert (joined.networks, joined.sandbox_id) == ({}, "")
    created = world.networks.settings(
        world.member(
            "c4", endpoints={"bridge": EndpointSettings(ipam_config=EndpointIPAMConfig(ipv4_address="1.2.3.4"))}
        )
    )
    assert created.networks["bridge"].ipam_config.ipv4_address == "1.2.3.4"
    assert created.networks["bridge"].endpoint_id == ""


async def test_inspect_and_list(world):
    await world.start()
    shown = world.networks.inspect("bridge")
    assert shown.containers["c1"].name == "name-of-c1"
    assert shown.containers["c1"].ipv4_address == "172.17.0.2/16"
    assert shown.options["com.docker.network.bridge.name"] == "sampan0"
    assert world.networks.inspect(shown.id[:10]).id == shown.id
    assert [network.name for network in world.networks.list({})] == ["none", "host", "bridge"]
    assert [network.containers for network in world.networks.list({})] == [{}, {}, {}]
    assert world.networks.names(world.members.found["c1"]) == ["bridge", shown.id]
    for ref, scope in (("nosuch", ""), ("bridge", "swarm"), ("", "")):
        with pytest.raises(NotFound):
            world.networks.inspect(ref, scope)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"name": ["bri"]}, ["bridge"]),
        ({"driver": ["null", "host"]}, ["none", "host"]),
        ({"type": ["builtin"]}, ["none", "host", "bridge"]),
        ({"type": ["custom"]}, []),
        ({"scope": ["swarm"]}, []),
        ({"scope": ["local"], "name": ["host"]}, ["host"]),
        ({"label": ["x"]}, []),
        ({"dangling": ["true"]}, ["bridge"]),
    ],
)
async def test_filters(world, filters, names):
    assert [network.name for network in world.networks.list(filters)] == names


@pytest.mark.parametrize("filters", [{"foo": ["x"]}, {"type": ["x"]}, {"dangling": ["x"]}])
async def test_bad_filters(world, filters):
    with pytest.raises(InvalidArgument):
        world.networks.list(filters)


async def test_what_is_predefined_stays_and_the_rest_is_named(world):
    with pytest.raises(Denied, match="bridge is a pre-defined network"):
        await world.networks.remove("bridge")
    with pytest.raises(NotFound):
        await world.networks.remove("nosuch")
    with pytest.raises(Denied, match="predefined host network"):
        await world.networks.create(NetworkCreateRequest(name="host"))
    with pytest.raises(NotImplementedYet):
        await world.networks.create(NetworkCreateRequest(name="mine"))
    world.member("c1")
    with pytest.raises(NotImplementedYet):
        await world.networks.connect("bridge", NetworkConnectRequest(container="c1"))
    with pytest.raises(NotFound, match="No such container"):
        await world.networks.disconnect("bridge", NetworkDisconnectRequest(container="x"))
    assert (await world.networks.prune({})).networks_deleted is None


async def test_ids_last_for_ever_and_endpoints_for_their_containers_life(world):
    kept, gone = await world.start("kept"), await world.start("gone")
    before = [network.id for network in world.networks.list({})]
    gone.running = False
    networks = await world.reopen()
    assert [network.id for network in networks.list({})] == before
    await networks.recover()
    assert networks.inspect("bridge").containers.keys() == {"kept"}
    assert networks.settings(kept).ip_address == "172.17.0.2"
    assert networks.settings(await world.start("new")).ip_address == "172.17.0.3"


async def test_a_start_without_containers_removes_what_is_left(world):
    member = await world.start()
    member.running = False
    networks = await world.reopen()
    world.kernel.calls.clear()
    await networks.recover()
    assert world.kernel.named("firewall")[-1] == ("add table ip sampan-sampan0\ndelete table ip sampan-sampan0\n",)
    assert "sampan0" not in world.kernel.existing


async def test_a_containers_end_while_the_daemon_starts_does_not_confuse(world):
    member = await world.start()
    networks = await world.reopen()
    await networks.detach("c1")
    again = await networks.attach(member.record)
    again.close()
    member.running = False
    await networks.recover()
    assert networks.inspect("bridge").containers.keys() == {"c1"}


async def test_containers_that_end_amid_recovery_are_no_failure(world):
    members = [await world.start(name) for name in ("c1", "c2", "c3")]
    for member in members:
        member.running = False
    networks = await world.reopen()
    # Each recovery step waits for the database; the exits of all three are settled meanwhile.
    await asyncio.gather(networks.recover(), *(networks.detach(name) for name in ("c1", "c2", "c3")))
    assert not networks.inspect("bridge").containers


@pytest.mark.parametrize("docker_was_first", [True, False])
async def test_docker_beside_us(world, docker_was_first):
    """Its forwarding is open to us, whichever came first."""

    def opened() -> bool:
        return any("insert rule ip filter DOCKER-USER" in text for (text,) in world.kernel.named("firewall"))

    if not docker_was_first:
        await world.start()
        assert not opened()
    world.kernel.chains["ip", "filter", "DOCKER-USER"] = []
    await world.start("c2")
    assert opened()
    match = {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "sampan0"}
    world.kernel.chains["ip", "filter", "DOCKER-USER"] = [{"handle": 5, "expr": [{"match": match}]}]
    world.kernel.calls.clear()
    await world.start("c3")
    assert not opened()
    await world.remove_bridge()
    assert ("delete rule ip filter DOCKER-USER handle 5",) in world.kernel.named("firewall")
