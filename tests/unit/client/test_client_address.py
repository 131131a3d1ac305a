"""Addresses as -H and DOCKER_HOST give them."""

from __future__ import annotations

import pytest

from sampan.client.address import parse
from sampan.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unix:///run/x.sock", "unix:///run/x.sock"),
        ("tcp://1.2.3.4:5", "tcp://1.2.3.4:5"),
        ("1.2.3.4:5", "tcp://1.2.3.4:5"),
        ("tcp://host", "tcp://host:2375"),
        ("tcp://:99", "tcp://127.0.0.1:99"),
        ("tcp://[::1]:5", "tcp://[::1]:5"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
        ("http://host:1/prefix/", "tcp://host:1/prefix"),
    ],
)
def test_addresses(text, shown):
    assert str(parse(text)) == shown


@pytest.mark.parametrize("text", ["unix://", "ssh://host", "fd://", "tcp://host:x", "tcp://host:70000", "npipe://x"])
def test_what_is_refused(text):
    with pytest.raises(InvalidArgument):
        parse(text)
