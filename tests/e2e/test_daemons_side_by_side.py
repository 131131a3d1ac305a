"""Several daemons on one host: each has a bridge, addresses and ports of its own, and leaves nothing when it goes."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rig import leaks, storm
from rig.care import load, remove_containers, started
from rig.engines import Engine, GenuineDockerd, Sampand
from rig.http import Answer
from rig.netns import Netns
from rig.waiting import wait_until
from sampan.kernel import namespaces

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

SERVE = "echo of-$0 >/tmp/index; exec httpd -f -p 80 -h /tmp -c /dev/null"
NOTHING = {"lo": "loopback"}


class Host:
    """One network namespace with several daemons."""

    def __init__(self) -> None:
        self.network = Netns()
        self.daemons: list[Sampand] = []

    def add(self, *flags: str) -> Sampand:
        daemon = Sampand(flags=flags, network=self.network)
        self.daemons.append(daemon)
        started(daemon)
        load(daemon)
        return daemon

    def stop(self, daemon: Sampand) -> None:
        """Remove its containers and end it: nothing may be left but its own folders (links are looked at last)."""
        remove_containers(daemon)
        wait_until(lambda: not left_by(daemon), f"nothing is left of {daemon.home}")
        monitor = daemon.monitor_pid()
        code = daemon.terminate()
        self.daemons.remove(daemon)
        assert leaks.ends(monitor, 30), f"the monitor {monitor} is left"
        assert code == 0, daemon.log_tail()
        assert not list(leaks.cgroup_folders(daemon)), "the cgroup parent is left"
        assert "Traceback" not in daemon.log.read_text(), daemon.log_tail(80)
        daemon.close()

    def close(self) -> None:
        for daemon in self.daemons:
            try:
                if daemon.process is not None and daemon.process.poll() is None:
                    remove_containers(daemon)
            finally:
                daemon.close()
        self.network.close()

    def fetch(self, port: int) -> str:
        """What is served at a published port of the host's, once it answers."""

        def ask() -> str:
            try:
                with namespaces.socket_in(self.network.descriptor, socket.AF_INET, socket.SOCK_STREAM) as asking:
                    asking.settimeout(5)
                    asking.connect(("127.0.0.1", port))
                    asking.sendall(b"GET /index HTTP/1.0\r\n\r\n")
                    return asking.makefile("rb").read().rpartition(b"\r\n\r\n")[2].decode().strip()
            except OSError:
                return ""

        return wait_until(ask, f"port {port} answers")


@pytest.fixture
def host() -> Iterator[Host]:
    found = Host()
    yield found
    found.close()


def left_by(daemon: Sampand) -> list[str]:
    """What a daemon has of its containers, apart from links, which do not tell whose they are."""
    return [line for line in leaks.found(daemon) if not line.startswith("link ")]


def request_start(engine: Engine, name: str, **options: Any) -> Answer:
    """Create a container in the default bridge, and start it; the last answer."""
    document = {
        "Image": "busybox",
        "Cmd": ["sh", "-c", SERVE, name],
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}, **options},
    }
    with engine.client() as client:
        made = client.post(f"/containers/create?name={name}", document)
        assert made.status == 201, made.message
        return client.post(f"/containers/{name}/start")


def serve(engine: Engine, name: str) -> tuple[str, int]:
    """Run a web server that says its name; its address and its host port."""
    answer = request_start(engine, name)
    assert answer.status == 204, answer.message
    with engine.client() as client:
        settings = client.get(f"/containers/{name}/json").json()["NetworkSettings"]
    return settings["Networks"]["bridge"]["IPAddress"], int(settings["Ports"]["80/tcp"][0]["HostPort"])


def together(*calls: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(lambda call: call(), calls))


def subnets(network: Netns) -> list[str]:
    """The subnets that links have, in order."""
    routes = json.loads(network.run("ip", "-json", "route"))
    return sorted(route["dst"] for route in routes if "dev" in route and route["dst"] != "default")


def test_two_daemons_begin_at_once_and_leave_nothing(host: Host):
    """Both make their bridge in the same moment; then one that comes later; then all go."""
    first, second = together(host.add, host.add)
    (_, one), (_, two) = together(lambda: serve(first, "one"), lambda: serve(second, "two"))
    assert {host.fetch(one), host.fetch(two)} == {"of-one", "of-two"}
    bridges = {name for name, kind in host.network.links().items() if kind == "bridge"}
    assert bridges == {"sampan0", "sampan1"}
    assert subnets(host.network) == ["172.17.0.0/16", "172.18.0.0/16"]
    third = host.add()
    assert host.fetch(serve(third, "three")[1]) == "of-three"
    assert subnets(host.network) == ["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16"]
    host.stop(first)
    assert {host.fetch(two)} == {"of-two"}, "the one that goes takes nothing of another's"
    host.stop(second)
    host.stop(third)
    wait_until(lambda: host.network.links() == NOTHING, "no link is left")
    assert host.network.firewall().strip() == "" and subnets(host.network) == []


def test_the_bridge_is_chosen(host: Host):
    """A bridge of the user's own, an address for ours, none at all: and what the host has is not taken."""
    host.network.run("ip", "link", "add", "mine0", "type", "bridge")
    host.network.run("ip", "address", "add", "10.80.0.1/24", "dev", "mine0")
    host.network.run("ip", "link", "set", "mine0", "up")
    before = host.network.links()
    named, addressed, without, wrong = together(
        lambda: host.add("--bridge=mine0"),
        lambda: host.add("--bip=10.81.0.1/24"),
        lambda: host.add("--bridge=none"),
        lambda: host.add("--bip=10.80.0.9/28"),
    )
    address, port = serve(named, "named")
    assert address == "10.80.0.2" and host.fetch(port) == "of-named"
    address, port = serve(addressed, "addressed")
    assert address == "10.81.0.2" and host.fetch(port) == "of-addressed"
    refused = request_start(wrong, "wrong")
    assert refused.status == 409 and "--bip" in refused.message
    with without.client() as client:
        assert {network["Name"] for network in client.get("/networks").json()} == {"host", "none"}
        storm.run(client, "lonely", "sh", "-c", "cat /proc/net/dev; exec sleep 1000")
        wait_until(lambda: b"lo:" in storm.logged(client, "lonely"), "the container prints")
        assert b"eth0" not in storm.logged(client, "lonely")
    refused = request_start(without, "refused")
    assert refused.status == 404 and "bridge" in refused.message
    for daemon in (wrong, without, addressed, named):
        host.stop(daemon)
    wait_until(lambda: host.network.links() == before, "only the user's own bridge is left")
    assert host.network.firewall().strip() == "" and subnets(host.network) == ["10.80.0.0/24"]


def test_beside_a_genuine_dockerd(host: Host, peers: None):
    """Ours before it and ours after it, one port number asked for by both, and it goes on when ours are gone."""
    before = host.add()
    _, port = serve(before, "before")
    genuine = started(GenuineDockerd(network=host.network))
    try:
        load(genuine)
        _, theirs = serve(genuine, "theirs")
        after = host.add()
        _, ours = serve(after, "after")
        assert [host.fetch(each) for each in (port, theirs, ours)] == ["of-before", "of-theirs", "of-after"]
        assert len(set(subnets(host.network))) == 3
        taken = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(theirs)}]}}
        refused = request_start(after, "taken", **taken)
        assert refused.status == 500 and "port is already allocated" in refused.message
        assert request_start(before, "late").status == 204
        assert 'iifname "sampan0"' in user_chain(host.network), "docker forwards for us though it came later"
        host.stop(before)
        host.stop(after)
        assert "sampan" not in host.network.firewall()
        kinds = ["bridge", "loopback", "veth"]
        wait_until(lambda: sorted(host.network.links().values()) == kinds, "only the genuine engine's links are left")
        assert host.fetch(theirs) == "of-theirs"
    finally:
        remove_containers(genuine)
        genuine.close()


def user_chain(network: Netns) -> str:
    return network.run("nft", "--stateless", "list", "chain", "ip", "filter", "DOCKER-USER")
