"""A network namespace held by a descriptor: gone when the descriptor and the last process in it are."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from typing import Any

from sampan.kernel import syscalls


class Netns:
    """A new network namespace with its loopback up. `prefix` goes before a command to run it inside."""

    def __init__(self) -> None:
        opened: list[int] = []

        def enter_and_open() -> None:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            opened.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

        thread = threading.Thread(target=enter_and_open)
        thread.start()
        thread.join()
        if not opened:
            raise OSError("could not make a network namespace: needs root")
        self.descriptor = opened[0]
        self.inode = os.fstat(self.descriptor).st_ino
        self.run("ip", "link", "set", "lo", "up")

    @property
    def prefix(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.descriptor}", "--"]

    def run(self, *command: str) -> str:
        """Run a command inside and return its output; raises CalledProcessError."""
        return subprocess.run([*self.prefix, *command], capture_output=True, text=True, check=True).stdout

    def links(self) -> dict[str, str]:
        """Name of each link to its kind (veth, bridge, loopback)."""
        shown: list[dict[str, Any]] = json.loads(self.run("ip", "-json", "-details", "link") or "[]")
        return {link["ifname"]: link.get("linkinfo", {}).get("info_kind", link["link_type"]) for link in shown}

    def firewall(self) -> str:
        """The whole nftables ruleset, without counters and handles."""
        return self.run("nft", "--stateless", "list", "ruleset")

    def close(self) -> None:
        os.close(self.descriptor)
