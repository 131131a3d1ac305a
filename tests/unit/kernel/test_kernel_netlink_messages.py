"""What can be said of netlink without a kernel: the bytes of messages. The rest is in tests/e2e."""

from __future__ import annotations

import struct

import pytest

from sampan.kernel import netlink


def test_an_address_message_bytes():
    message = netlink.add_address(2, "172.20.0.2/16")
    header, attributes = message.payload[:8], message.payload[8:]
    assert struct.unpack("=BBBBi", header) == (2, 16, 0, 0, 2)
    assert attributes == (
        struct.pack("=HH", 8, 2)
        + bytes([172, 20, 0, 2])
        + struct.pack("=HH", 8, 1)
        + bytes([172, 20, 0, 2])
        + struct.pack("=HH", 8, 4)
        + bytes([172, 20, 255, 255])
    )


def test_an_ipv6_address_has_no_broadcast():
    assert len(netlink.add_address(2, "fd00::2/64").payload) == 8 + 20 + 20


def test_names_end_with_zero_and_are_padded():
    assert netlink.delete_link("lo").payload[16:] == struct.pack("=HH", 7, 3) + b"lo\0\0"


@pytest.mark.parametrize(("up", "flags"), [(None, (0, 0)), (True, (1, 1)), (False, (0, 1))])
def test_up_down_and_unchanged(up, flags):
    assert struct.unpack_from("=II", netlink.change_link(3, up=up).payload, 8) == flags


def test_bad_addresses_are_told_before_the_kernel_sees_them():
    with pytest.raises(ValueError, match="172"):
        netlink.add_address(1, "172.20.0.300/16")
