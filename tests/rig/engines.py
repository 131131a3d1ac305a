"""Engines under test: sampand from this tree, and a genuine dockerd from the peers, each in a network of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path

from rig.http import EngineClient
from rig.netns import Netns
from sampan.store.trees import sweep_tree

TREE = Path(__file__).resolve().parents[2]
SAMPAND = TREE / ".venv/bin/sampand"
PEERS = TREE / "tools/peers"
GENUINE_MAJOR = "28"
# What the tests of real clients talk to: "" for this tree's sampand, "genuine", or unix://PATH.
TEST_HOST = os.environ.get("SAMPAN_TEST_HOST", "")


class Engine:
    """A daemon with temporary roots below `home`, listening on home/sock, in the network namespace `network`.

    The namespace is its own, or a given one that is its owner's to close.
    """

    command: list[str]

    def __init__(self, home: Path | None = None, flags: tuple[str, ...] = (), network: Netns | None = None) -> None:
        self.home = home or Path(tempfile.mkdtemp(prefix="sampan-test-", dir="/tmp"))
        self.home.mkdir(parents=True, exist_ok=True)
        self.flags = flags
        self.socket = self.home / "sock"
        self.log = self.home / "engine.log"
        self.network = network or Netns()
        self._owns_network = network is None
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the engine is not running"
        return self.process.pid

    def client(self, version: str = "/v1.51", timeout: float | None = 60) -> EngineClient:
        return EngineClient(self.socket, version, timeout)

    def start(self, wait: bool = True) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.network.prefix, *self.command, *self.flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        with self.client(timeout=5) as client:
            try:
                client.until_answer(gone=lambda: self.process is not None and self.process.poll() is not None)
            except TimeoutError as error:
                raise AssertionError(f"{error}; its log ends:\n{self.log_tail()}") from None

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds: float = 60) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def restart(self) -> None:
        self.terminate()
        self.start()

    def close(self) -> None:
        """Stop if need be, and remove what lies below `home`."""
        if self.process is not None and self.process.poll() is None:
            self.terminate()
        if self._owns_network:
            self.network.close()
        sweep_tree(self.home)


class Sampand(Engine):
    """This tree's daemon. Its containers' cgroups are below a parent of their own, so that a leak is seen."""

    def __init__(self, home: Path | None = None, flags: tuple[str, ...] = (), network: Netns | None = None) -> None:
        super().__init__(home, flags, network)
        self.data, self.run = self.home / "data", self.home / "exec"
        self.cgroup_parent = f"/{self.home.name}"
        self.command = [
            str(SAMPAND),
            f"--data-root={self.data}",
            f"--exec-root={self.run}",
            f"--pidfile={self.home / 'pid'}",
            f"--host={self.host}",
            f"--cgroup-parent={self.cgroup_parent}",
        ]

    def monitor_pid(self) -> int | None:
        """The monitor of this exec root, None when there is none (it ends when idle)."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.pid:
                continue
            words = command_line(entry)
            if any("monitor" in word for word in words[:5]) and any(str(self.run) in word for word in words):
                return int(entry.name)
        return None


class GenuineDockerd(Engine):
    """A genuine dockerd of the peers' root, stopped with all its containers."""

    def __init__(self, home: Path | None = None, flags: tuple[str, ...] = (), network: Netns | None = None) -> None:
        super().__init__(home, flags, network)
        self.command = [str(PEERS), "dockerd", str(self.socket), str(self.home)]


def command_line(process: Path) -> list[str]:
    try:
        return process.joinpath("cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def peers_ready() -> str | None:
    """None when genuine peers can be used, else why not."""
    if os.geteuid() != 0:
        return "genuine engines need root"
    made = subprocess.run([PEERS, "make"], capture_output=True, text=True)
    return None if made.returncode == 0 else f"the peers could not be built: {made.stderr.strip()[-300:]}"


def peer_version(package: str) -> str:
    """A peer's Debian version, "" where it is not there."""
    listed = subprocess.run([PEERS, "versions"], capture_output=True, text=True).stdout
    return dict(line.split("\t") for line in listed.splitlines()).get(package, "")


def peer_binary(name: str) -> Path:
    """A peer's program that also runs outside its root."""
    return Path(subprocess.run([PEERS, "bin", name], capture_output=True, text=True, check=True).stdout.strip())
