"""A registry that can't be reached: status and words as a genuine dockerd has them, for every way to a registry."""

from __future__ import annotations

import base64
import json

import pytest

from rig import image
from rig.care import load
from rig.engines import Engine

pytestmark = pytest.mark.root

CLOSED = "127.0.0.1:1"
UNKNOWN = "nosuch.invalid:5000"
ACCOUNT = {"username": "me", "password": "secret"}


def told(engine: Engine, way: str, host: str) -> tuple[int, str]:
    """The status, and the message of the answer or of its last line."""
    field = {
        "X-Registry-Auth": base64.urlsafe_b64encode(json.dumps({**ACCOUNT, "serveraddress": host}).encode()).decode()
    }
    with engine.client() as client:
        if way == "pull":
            answer = client.request("POST", f"/images/create?fromImage={host}/x&tag=latest", headers=field)
        elif way == "push":
            assert client.post(f"/images/{image.NAME}/tag?repo={host}/x&tag=latest").status == 201
            answer = client.request("POST", f"/images/{host}/x/push?tag=latest", headers=field)
            assert client.delete(f"/images/{host}/x:latest").status == 200
            return answer.status, json.loads(answer.body.splitlines()[-1])["error"]
        elif way == "distribution":
            answer = client.request("GET", f"/distribution/{host}/x:latest/json", headers=field)
        else:
            answer = client.post("/auth", {**ACCOUNT, "serveraddress": host})
        return answer.status, answer.message


@pytest.mark.parametrize("way", ["pull", "push", "distribution", "login"])
def test_nobody_listens(genuine, sampand, way):
    load(genuine)
    load(sampand)
    ours = told(sampand, way, CLOSED)
    assert ours == told(genuine, way, CLOSED)
    assert ours[1] == f'Get "http://{CLOSED}/v2/": dial tcp {CLOSED}: connect: connection refused'


@pytest.mark.parametrize("way", ["pull", "push", "distribution", "login"])
def test_nobody_knows_the_host(genuine, sampand, way):
    load(genuine)
    load(sampand)
    ours, theirs = told(sampand, way, UNKNOWN), told(genuine, way, UNKNOWN)
    assert ours[0] == theirs[0]
    for _, words in (ours, theirs):
        # What comes next depends on the machine's name servers.
        assert words.startswith(f'Get "https://{UNKNOWN}/v2/": dial tcp: lookup nosuch.invalid')


@pytest.mark.parametrize("way", ["pull", "push", "distribution", "login"])
def test_a_name_that_nobody_can_be_asked_for(genuine, sampand, way):
    """Its label has more than the 63 characters of RFC 1035."""
    load(genuine)
    load(sampand)
    host = "a" * 70 + ".invalid:5000"
    ours, theirs = told(sampand, way, host), told(genuine, way, host)
    assert ours[0] == theirs[0]
    for _, words in (ours, theirs):
        assert words.startswith(f'Get "https://{host}/v2/": dial tcp: lookup {host[:-5]}')
