"""The default bridge on the real kernel: the service in a network namespace of its own, containers stood in by sleep.

Each test plays the host in a fresh namespace: `host` is where the service works, `outside` a neighbour beyond it.
"""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rig.netns import Netns
from rig.waiting import wait_until
from sampan.engine.networks.service import Attached, Networks
from sampan.errors import Conflict, Exhausted, NotFound
from sampan.kernel import namespaces
from sampan.store.db import Database
from sampan.wire.containers import ContainerConfig, HostConfig, NetworkingConfig, PortBinding

pytestmark = pytest.mark.root


@dataclass
class Settings:
    bridge: str = ""
    bip: str = ""
    mtu: int = 1500
    dns: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()


@dataclass
class Members:
    """Containers that run for as long as a `sleep` in their namespace."""

    found: dict[str, Any] = field(default_factory=dict)

    def get(self, container_id: str) -> Any:
        return self.found.get(container_id)

    def find(self, ref: str) -> Any:
        if ref not in self.found:
            raise NotFound(f"No such container: {ref}")
        return self.found[ref]

    def add(self, name: str, **host: Any) -> Any:
        record = SimpleNamespace(
            id=name,
            name=name,
            config=ContainerConfig(hostname=f"host-{name}"),
            host_config=HostConfig(**({"network_mode": "bridge"} | host)),
            networking=NetworkingConfig(),
            state=SimpleNamespace(pid=0, status="running", started_at=0),
        )
        self.found[name] = SimpleNamespace(record=record, running=False, process=None)
        return self.found[name]


@dataclass
class World:
    """A host with its service, and a neighbour at 10.9.9.2 whose side of the cable is 10.9.9.1."""

    host: Netns
    outside: Netns
    folder: Path
    settings: Settings = field(default_factory=Settings)
    members: Members = field(default_factory=Members)
    networks: Any = None
    closed: bool = False

    def open(self) -> Networks:
        """A daemon's start: the service works in the host's namespace."""
        self.closed = False
        self.database = Database(self.folder / "db")
        with namespaces.inside(self.host.descriptor):
            self.networks = Networks(self.database, self.settings, self.members, lambda *_: None)
            # The worker thread inherits the namespace of the thread that starts it.
            self.networks._fabric._worker.submit(lambda: None).result()
        return self.networks

    def crash(self) -> None:
        """A daemon's SIGKILL: nothing is cleared up, its descriptors close."""
        self.networks._fabric._ports.close()
        self.networks._fabric._worker.shutdown()
        self.database.close()

    async def start(self, name: str, **host: Any) -> Any:
        member = self.members.get(name) or self.members.add(name, **host)
        attached: Attached = await self.networks.attach(member.record)
        self.run_in(member, attached)
        return member

    def run_in(self, member: Any, attached: Attached) -> None:
        member.attached = attached
        member.process = subprocess.Popen(["nsenter", f"--net={attached.namespace}", "sleep", "1000"])
        wait_until(lambda: Path(f"/proc/{member.process.pid}/comm").read_text() == "sleep\n")
        if attached.close:
            attached.close()
        member.record.state.pid = member.process.pid
        member.running = True

    async def end(self, member: Any) -> None:
        kill(member)
        await self.networks.detach(member.record.id)

    def inside(self, member: Any, *command: str) -> str:
        return subprocess.run(
            ["nsenter", f"--net=/proc/{member.process.pid}/ns/net", *command],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    async def close(self) -> None:
        """A daemon's stop, after which none may follow but `open`."""
        if not self.closed:
            self.closed = True
            await self.networks.close(False)

    def bridges(self) -> list[str]:
        return [name for name, kind in self.host.links().items() if kind == "bridge"]

    def veths(self) -> list[str]:
        return [name for name, kind in self.host.links().items() if kind == "veth" and name != "cable"]


def kill(member: Any) -> None:
    if member.process:
        member.process.kill()
        member.process.wait()
    member.running, member.process = False, None


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    host, outside = Netns(), Netns()
    host.run(
        "ip",
        "link",
        "add",
        "cable",
        "type",
        "veth",
        "peer",
        "name",
        "cable",
        "netns",
        f"/proc/{os.getpid()}/fd/{outside.descriptor}",
    )
    for side, address in ((host, "10.9.9.1/24"), (outside, "10.9.9.2/24")):
        side.run("ip", "address", "add", address, "dev", "cable")
        side.run("ip", "link", "set", "cable", "up")
    found = World(host, outside, tmp_path)
    found.open()
    yield found
    for member in found.members.found.values():
        kill(member)
    try:
        await found.close()
    finally:
        found.database.close()
        host.close()
        outside.close()


def serve(netns: int | str, address: tuple[str, int], kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A listening socket in a namespace."""
    descriptor = netns if isinstance(netns, int) else os.open(netns, os.O_RDONLY)
    listener = namespaces.socket_in(descriptor, socket.AF_INET, kind)
    if isinstance(netns, str):
        os.close(descriptor)
    listener.bind(address)
    if kind == socket.SOCK_STREAM:
        listener.listen()
    listener.settimeout(5)
    return listener


def connects(netns: int | str, address: tuple[str, int], listener: socket.socket) -> str:
    """Connect from a namespace; the address that the listener sees, "" when nobody gets through."""
    descriptor = netns if isinstance(netns, int) else os.open(netns, os.O_RDONLY)
    client = namespaces.socket_in(descriptor, socket.AF_INET, socket.SOCK_STREAM)
    if isinstance(netns, str):
        os.close(descriptor)
    client.settimeout(1)
    with client:
        try:
            client.connect(address)
        except OSError:
            return ""
        accepted, seen = listener.accept()
        accepted.close()
        return str(seen[0])


def net(member: Any) -> str:
    return f"/proc/{member.process.pid}/ns/net"


async def test_the_bridge_is_made_for_the_first_container_and_goes_with_the_last_daemon(world):
    assert world.bridges() == []
    assert await world.networks.attach(world.members.add("bare", network_mode="none").record)
    assert world.bridges() == []
    member = await world.start("c1")
    assert world.bridges() == ["sampan0"]
    assert "172.17.0.1/16" in world.host.run("ip", "address", "show", "sampan0")
    await world.end(member)
    wait_until(lambda: world.veths() == [])
    await world.close()
    assert world.bridges() == []
    assert "table" not in world.host.firewall()


async def test_a_container_has_its_address_route_and_no_ipv6(world):
    member = await world.start("c1")
    shown = world.inside(member, "ip", "address")
    assert "172.17.0.2/16" in shown
    assert "02:42:ac:11:00:02" in shown
    assert "fe80" not in shown.split("eth0")[1]
    assert "LOOPBACK,UP" in shown
    assert "default via 172.17.0.1 dev eth0" in world.inside(member, "ip", "route")


async def test_containers_reach_each_other_the_host_and_out_with_the_hosts_address(world):
    first, second = await world.start("c1"), await world.start("c2")
    with serve(net(first), ("172.17.0.2", 80)) as listener:
        assert connects(net(second), ("172.17.0.2", 80), listener) == "172.17.0.3"
        assert connects(world.host.descriptor, ("172.17.0.2", 80), listener) == "172.17.0.1"
    with serve(world.outside.descriptor, ("10.9.9.2", 80)) as listener:
        assert connects(net(first), ("10.9.9.2", 80), listener) == "10.9.9.1"


async def test_what_is_not_published_is_closed_to_the_outside(world):
    member = await world.start("c1")
    world.outside.run("ip", "route", "add", "172.17.0.0/16", "via", "10.9.9.1")
    with serve(net(member), ("172.17.0.2", 80)) as listener:
        assert connects(world.outside.descriptor, ("172.17.0.2", 80), listener) == ""


async def test_the_hosts_loopback_is_closed_to_containers(world):
    member = await world.start("c1")
    world.inside(member, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet")
    world.inside(member, "ip", "route", "add", "127.0.0.9", "via", "172.17.0.1")
    world.inside(member, "ip", "rule", "add", "pref", "0", "to", "127.0.0.9", "lookup", "main")
    world.inside(member, "ip", "rule", "add", "pref", "1", "lookup", "local")
    with serve(world.host.descriptor, ("127.0.0.9", 80)) as listener:
        assert connects(net(member), ("127.0.0.9", 80), listener) == ""


async def test_published_ports(world):
    ports = {
        "80/tcp": [PortBinding(host_port="8080"), PortBinding(host_ip="127.0.0.1", host_port="8081")],
        "90/tcp": [PortBinding()],
    }
    member = await world.start("c1", port_bindings=ports)
    other = await world.start("c2")
    shown = world.networks.settings(member).ports
    assert [(b.host_ip, b.host_port) for b in shown["80/tcp"]] == [("0.0.0.0", "8080"), ("127.0.0.1", "8081")]
    assert int(shown["90/tcp"][0].host_port) > 1024
    with serve(net(member), ("0.0.0.0", 80)) as listener:
        assert connects(world.outside.descriptor, ("10.9.9.1", 8080), listener) == "10.9.9.2"
        assert connects(world.host.descriptor, ("127.0.0.1", 8080), listener) == "172.17.0.1"
        assert connects(world.host.descriptor, ("10.9.9.1", 8080), listener) != ""
        assert connects(world.host.descriptor, ("127.0.0.1", 8081), listener) == "172.17.0.1"
        assert connects(world.outside.descriptor, ("10.9.9.1", 8081), listener) == ""
        assert connects(net(other), ("10.9.9.1", 8080), listener) != ""
        assert connects(net(member), ("10.9.9.1", 8080), listener) != ""
    with pytest.raises(Exhausted, match=r"Bind for 0\.0\.0\.0:8080 failed: port is already allocated"):
        await world.start("c3", port_bindings={"80/tcp": [PortBinding(host_port="8080")]})
    await world.end(member)
    assert "8080" not in world.host.firewall()
    await world.start("c4", port_bindings={"80/tcp": [PortBinding(host_port="8080")]})


async def test_a_port_that_the_host_uses_is_not_taken(world):
    with (
        serve(world.host.descriptor, ("0.0.0.0", 8080)),
        pytest.raises(Exhausted, match="port is already allocated"),
    ):
        await world.start("c1", port_bindings={"80/tcp": [PortBinding(host_port="8080")]})


async def test_host_and_joined_networks(world):
    member = await world.start("c1")
    joined = world.members.add("c2", network_mode="container:c1")
    attached = await world.networks.attach(joined.record)
    assert attached.namespace == net(member)
    assert "172.17.0.2\thost-c1" in attached.hosts
    assert world.networks.endpoints("c2", "container:c1") == {}
    host = await world.networks.attach(world.members.add("c3", network_mode="host").record)
    assert host.namespace == ""
    await world.end(member)
    with pytest.raises(Conflict, match="non running container"):
        await world.networks.attach(joined.record)


async def test_a_subnet_that_the_host_routes_is_left_alone(world):
    world.host.run("ip", "route", "add", "172.17.5.0/24", "via", "10.9.9.2")
    world.host.run("ip", "link", "add", "sampan0", "type", "bridge")
    await world.start("c1")
    assert "172.18.0.1/16" in world.host.run("ip", "address", "show", "sampan1")
    assert world.networks.inspect("bridge").ipam.config[0].subnet == "172.18.0.0/16"


async def test_a_bridge_that_somebody_removed_is_made_again(world):
    await world.start("c1")
    world.host.run("ip", "link", "delete", "sampan0")
    second = await world.start("c2")
    with serve(world.outside.descriptor, ("10.9.9.2", 80)) as listener:
        assert connects(net(second), ("10.9.9.2", 80), listener) == "10.9.9.1"


async def test_docker_beside_us_lets_our_packets_through(world):
    world.host.run(
        "nft",
        "add table ip filter; add chain ip filter DOCKER-USER; "
        "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; "
        "add rule ip filter FORWARD jump DOCKER-USER",
    )
    member = await world.start("c1")
    with serve(world.outside.descriptor, ("10.9.9.2", 80)) as listener:
        assert connects(net(member), ("10.9.9.2", 80), listener) == "10.9.9.1"
    await world.end(member)
    await world.close()
    assert "sampan" not in world.host.firewall()


async def test_after_a_crash_what_runs_goes_on_and_the_rest_is_dropped(world):
    kept = await world.start("kept", port_bindings={"80/tcp": [PortBinding(host_port="8080")]})
    gone = await world.start("gone", port_bindings={"81/tcp": [PortBinding(host_port="8081")]})
    world.crash()
    kill(gone)
    networks = world.open()
    await networks.recover()
    with serve(net(kept), ("172.17.0.2", 80)) as listener:
        assert connects(world.outside.descriptor, ("10.9.9.1", 8080), listener) == "10.9.9.2"
    assert "8081" not in world.host.firewall()
    assert networks.settings(kept).ip_address == "172.17.0.2"
    wait_until(lambda: len(world.veths()) == 1)
    again = await world.start("again")
    assert networks.settings(again).ip_address == "172.17.0.3"


async def test_after_a_crash_without_containers_nothing_is_left(world):
    member = await world.start("c1")
    world.crash()
    kill(member)
    await world.open().recover()
    assert world.bridges() == []
    assert "table" not in world.host.firewall()
    wait_until(lambda: world.veths() == [])


async def test_a_bridge_of_the_users_own(world):
    await world.close()
    world.database.close()
    world.host.run("ip", "link", "add", "mine", "type", "bridge")
    world.host.run("ip", "address", "add", "10.7.0.1/24", "dev", "mine")
    world.host.run("ip", "link", "set", "mine", "up")
    world.settings.bridge = "mine"
    world.open()
    member = await world.start("c1")
    assert "10.7.0.2/24" in world.inside(member, "ip", "address")
    await world.end(member)
    await world.close()
    assert world.bridges() == ["mine"]
    assert "table" not in world.host.firewall()
