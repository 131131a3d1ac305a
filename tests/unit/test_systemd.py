"""What the service manager is told, through a socket in the file system, an abstract one, and none."""

from __future__ import annotations

import logging
import socket

import pytest

from sampan import systemd


@pytest.mark.parametrize("abstract", [False, True])
def test_the_state_arrives(tmp_path, abstract):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(10)
        manager.bind("" if abstract else str(tmp_path / "notify"))
        name = manager.getsockname()
        shown = "@" + name[1:].decode() if abstract else name
        systemd.tell({"NOTIFY_SOCKET": shown}, systemd.READY)
        assert manager.recv(100) == b"READY=1"


def test_nobody_asked(caplog):
    systemd.tell({}, systemd.READY)
    assert caplog.records == []


def test_a_manager_that_is_gone_is_no_failure(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        systemd.tell({"NOTIFY_SOCKET": str(tmp_path / "gone")}, systemd.STOPPING)
    assert "can't be told STOPPING=1" in caplog.text
