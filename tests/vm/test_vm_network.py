"""Containers on the default bridge, of a kernel and a Debian that users have."""

from __future__ import annotations

import socket
import subprocess

from guest_kit import execute, inspect

from rig.storm import create, run, wait_until

BRIDGED = {"NetworkMode": "bridge"}
SERVE = ("sh", "-c", "while :; do echo served | nc -l -p 80; done")


def address(api, name):
    return inspect(api, name)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]


def read_all(where):
    with socket.create_connection(where, 10) as connection:
        return connection.makefile().read()


def asked(where):
    try:
        return read_all(where)
    except OSError:
        return ""


def test_an_address_a_gateway_and_a_neighbour(api):
    run(api, "one", *SERVE, HostConfig=BRIDGED)
    run(api, "two", "sleep", "1000", HostConfig=BRIDGED)
    network = inspect(api, "two")["NetworkSettings"]["Networks"]["bridge"]
    code, said = execute(api, "two", "ip", "-4", "-o", "addr", "show", "eth0")
    assert (code, f"inet {network['IPAddress']}/{network['IPPrefixLen']} " in said) == (0, True)
    assert execute(api, "two", "ping", "-c", "1", "-W", "10", network["Gateway"])[0] == 0
    wait_until(
        lambda: execute(api, "two", "nc", "-w", "5", address(api, "one"), "80") == (0, "served\n"), "an answer", 60
    )
    sample = api.get("/containers/two/stats?stream=0&one-shot=1").json()["networks"]["eth0"]
    assert min(sample["tx_packets"], sample["rx_packets"]) > 0


def test_a_published_port(api):
    ports = {"80/tcp": [{"HostIp": "", "HostPort": "8088"}]}
    create(api, "web", *SERVE, HostConfig=BRIDGED | {"PortBindings": ports}, ExposedPorts={"80/tcp": {}})
    started = api.post("/containers/web/start")
    assert started.status == 204, started.message
    host = inspect(api, "web")["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
    for where in ("127.0.0.1", host):
        wait_until(lambda where=where: asked((where, 8088)) == "served\n", f"an answer at {where}", 60)


def test_links_go_with_their_container(api):
    run(api, "short", "true", HostConfig=BRIDGED)
    assert api.post("/containers/short/wait").json()["StatusCode"] == 0
    assert api.delete("/containers/short").status == 204
    wait_until(lambda: "veth" not in shown_links(), "the end of its link")


def shown_links():
    return subprocess.run(["ip", "-o", "link"], check=True, capture_output=True, text=True).stdout
