"""What the service manager is told of this daemon: sd_notify(3), a datagram to the socket that it named."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping

log = logging.getLogger("sampan.systemd")

READY = "READY=1"
STOPPING = "STOPPING=1"


def tell(environment: Mapping[str, str], state: str) -> None:
    """Send `state` to the socket of NOTIFY_SOCKET; nothing where nobody asks. A failure is logged, never raised."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(state.encode(), address)
    except OSError as error:
        log.warning("the service manager can't be told %s: %s", state, error)
