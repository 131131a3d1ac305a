from __future__ import annotations

import base64
import json

import pytest

from sampan.http import Headers, Request
from sampan.server.credentials import registry_config, registry_credentials
from sampan.wire.distribution import AuthConfig


def request(name: str, value: str | None) -> Request:
    return Request("GET", "/", Headers([] if value is None else [(name.encode(), value.encode("latin-1"))]))


def encoded(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


def test_credentials():
    document = {"username": "u", "password": "ÿ?>", "serveraddress": "r:5000", "unknown": 1}
    wanted = AuthConfig(username="u", password="ÿ?>", server_address="r:5000")
    for text in (encoded(document), encoded(document).rstrip("=")):
        assert registry_credentials(request("X-Registry-Auth", text)) == wanted


@pytest.mark.parametrize("text", [None, "", "e30=", "e30", "garbage!", "bnVsbA==", "W10=", "eyJ1", "\xff", "a"])
def test_unreadable_credentials_are_none(text: str | None):
    assert registry_credentials(request("X-Registry-Auth", text)) is None


def test_credentials_by_registry():
    text = encoded({"r:5000": {"username": "u"}})
    assert registry_config(request("X-Registry-Config", text)) == {"r:5000": AuthConfig(username="u")}
    assert registry_config(request("X-Registry-Config", "x")) == {}
    assert registry_config(request("X-Registry-Config", None)) == {}
