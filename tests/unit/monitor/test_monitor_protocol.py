"""Packets between daemon and monitor."""

from __future__ import annotations

import os
import socket

import pytest

from sampan.monitor import protocol


@pytest.fixture
def ends():
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    right.setblocking(False)
    yield left, right
    left.close()
    right.close()


def test_descriptors_arrive_under_their_names(ends):
    left, right = ends
    reader, writer = os.pipe()
    protocol.send(left, {"op": "x", "seq": 1}, {"in": reader, "out": writer})
    message, files = protocol.receive(right)
    assert message == {"op": "x", "seq": 1} and set(files) == {"in", "out"}
    os.write(files["out"], b"hello")
    assert os.read(files["in"], 9) == b"hello"
    assert not any(os.get_inheritable(descriptor) for descriptor in files.values())
    for descriptor in (reader, writer, *files.values()):
        os.close(descriptor)


def test_the_end_and_nothing_are_told_apart(ends):
    left, right = ends
    with pytest.raises(BlockingIOError):
        protocol.receive(right)
    left.close()
    assert protocol.receive(right) is None


@pytest.mark.parametrize("packet", [b"rubbish", b'{"fds":["gone"]}'])
def test_a_malformed_packet_leaves_no_descriptor(ends, packet):
    left, right = ends
    socket.send_fds(left, [packet], [0, 1])
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ValueError, match=r"."):
        protocol.receive(right)
    assert len(os.listdir("/proc/self/fd")) == before


def test_too_large_a_message_is_refused_here_not_lost_there(ends):
    with pytest.raises(ValueError, match="too large"):
        protocol.send(ends[0], {"op": "x" * protocol.MAX_PACKET})
