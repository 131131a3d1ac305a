"""Messages between the daemon and the monitor: one JSON object a packet of a SOCK_SEQPACKET socket.

    request   {"op": "start", "seq": 7, ..., "fds": ["stdout", ...]}     daemon -> monitor
    answer    {"seq": 7, ..., "fds": ["pidfd"]}                          monitor -> daemon, once a request
    refusal   {"seq": 7, "error": "...", ...}
    event     {"event": "exited", "id": ..., ...}                        monitor -> daemon, unnumbered

`fds` names the descriptors that travel with the packet (SCM_RIGHTS), in order. Answers may come in any order. A list
is answered by one packet a process, each with `"more": true`, and a last one without.

A daemon may meet a monitor of another VERSION: `hello`, `list`, `upgrade` and the noted exits are the same in each.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

VERSION = 1
MAX_PACKET = 192 * 1024
MAX_DESCRIPTORS = 250

# What a start's record need not keep once the runtime runs.
STARTING_ONLY = ("op", "seq", "argv", "env", "cwd", "mounts", "channels")

Message = dict[str, Any]
Files = dict[str, int]

_ANCILLARY = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)


def send(sock: socket.socket, message: Message, files: Mapping[str, int] | None = None) -> None:
    """Send one packet. Raises BlockingIOError when the peer's buffer is full, ValueError when it is too large."""
    ancillary = []
    if files:
        message = {**message, "fds": list(files)}
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files.values()))]
    packet = json.dumps(message, separators=(",", ":")).encode()
    if len(packet) > MAX_PACKET or len(files or ()) > MAX_DESCRIPTORS:
        raise ValueError(f"a monitor message of {len(packet)} bytes is too large")
    sock.sendmsg([packet], ancillary, socket.MSG_NOSIGNAL)


def receive(sock: socket.socket) -> tuple[Message, Files] | None:
    """Receive one packet and its descriptors by name; None at the end. Raises BlockingIOError, ValueError."""
    packet, ancillary, flags, _ = sock.recvmsg(MAX_PACKET, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % 4])
    if not packet:
        return None
    try:
        return _parse(packet, descriptors, flags)
    except ValueError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def _parse(packet: bytes, descriptors: array.array[int], flags: int) -> tuple[Message, Files]:
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise ValueError("a truncated monitor message")
    message: Message = json.loads(packet)
    names = message.pop("fds", [])
    if len(names) != len(descriptors):
        raise ValueError(f"{len(descriptors)} descriptors came with {len(names)} names")
    return message, dict(zip(names, descriptors, strict=True))
