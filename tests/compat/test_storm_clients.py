"""Storms of real docker command lines, while the daemon is killed and restarted: nothing leaks, nothing is answered
by a traceback, and what still runs can be used and removed."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field

import pytest

from rig import storm
from rig.docker_cli import DockerCli
from rig.engines import Engine

pytestmark = pytest.mark.root

CLIENTS = 3
NAMES = tuple(f"s{number}" for number in range(5))
TALK = "i=0; while [ $i -lt 400 ]; do echo $i; i=$((i+1)); usleep 5000; done; exit 3"
EXITS = {0, 1, 3, 9, 125, 126, 127, 128, 130, 137, 143, 255}
"""What these commands end with: their own codes, docker's (255: the daemon could not be asked for the exit code), and
those of the signals that are sent."""

# What may be said when others work on the same container, or the daemon is away.
EXPECTED = re.compile(
    r"No such (container|object|exec)|could not be found in container|is not running|already in use|already in progress"
    r"|being removed|marked for removal|is already|is running|is paused|is restarting|cannot attach to a stopped"
    r"|same name as its current|Cannot connect to the Docker daemon|error during connect|EOF|connection reset"
    r"|broken pipe|use of closed network connection|shutting down|connection refused|context canceled"
    r"|did not exit within|has already run|unable to upgrade to tcp, received 404",
    re.IGNORECASE,
)


@dataclass(eq=False)
class Client(threading.Thread):
    """One person at a terminal: a docker command after the other, on names that others use too."""

    docker: DockerCli
    stopping: threading.Event
    dice: random.Random
    failures: list[str] = field(default_factory=list)
    done: int = 0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        while not self.stopping.is_set():
            self._command(*self.dice.choice(self._commands()))
            self.done += 1

    def _commands(self) -> list[tuple[float, list[str]]]:
        """Commands, each with the seconds after which its client goes away."""
        name, other = self.dice.choice(NAMES), self.dice.choice(NAMES)
        soon, never = self.dice.uniform(0.05, 1.0), 60.0
        new = ["run", "--net", self.dice.choice(["none", "bridge"]), "--name", name]
        return [
            (never, [*new, "-d", "busybox", "sh", "-c", TALK]),
            (never, [*new, "-d", "busybox", "sh", "-c", TALK]),
            (never, [*new, "--rm", "busybox", "sh", "-c", "echo hello; exit 3"]),
            (soon, [*new, "--rm", "-i", "busybox", "sh", "-c", TALK]),
            (never, ["exec", name, "sh", "-c", "echo inside; exit 3"]),
            (soon, ["exec", "-i", name, "cat"]),
            (soon, ["logs", "-f", "--tail", "10", name]),
            (soon, ["attach", "--sig-proxy=false", "--no-stdin", name]),
            (never, ["stop", "-t", "1", name]),
            (never, ["kill", "-s", self.dice.choice(["TERM", "KILL", "USR1"]), name]),
            (never, ["restart", "-t", "0", name]),
            (never, ["rm", "-f", name]),
            (never, ["rename", name, other]),
            (never, ["cp", f"{name}:/etc/hostname", "-"]),
            (soon, ["wait", name]),
            (never, ["ps", "-a", "--size"]),
            (never, ["inspect", name]),
        ]

    def _command(self, seconds: float, words: list[str]) -> None:
        with self.docker.popen(
            *words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            try:
                said = process.communicate(timeout=seconds)[1].decode(errors="replace")
            except subprocess.TimeoutExpired:
                process.send_signal(self.dice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
                try:
                    process.communicate(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()
                if seconds >= 60:
                    self.failures.append(f"docker {' '.join(words)}: did not end")
                return
        if process.returncode and (process.returncode not in EXITS or (said.strip() and not EXPECTED.search(said))):
            self.failures.append(f"docker {' '.join(words)}: exit {process.returncode}: {said}")


def kill_and_start(engine: Engine, dice: random.Random) -> None:
    engine.kill()
    time.sleep(dice.choice([0, 0.3]))
    engine.start()


@pytest.mark.timeout(1200)
def test_clients_in_a_storm_of_restarts(fresh_sampand, docker_binary, tmp_path, long_run):
    engine, dice = fresh_sampand, storm.dice()
    stopping = threading.Event()
    clients = [
        Client(DockerCli(docker_binary, engine.host, tmp_path / f"c{n}"), stopping, random.Random(dice.random()))
        for n in range(CLIENTS)
    ]
    seconds, kills = (300, 20) if long_run else (16, 2)
    for client in clients:
        client.start()
    try:
        for _ in range(kills):
            time.sleep(dice.uniform(0.5, 1.5) * seconds / (kills + 1))
            kill_and_start(engine, dice)
        time.sleep(seconds / (kills + 1))
    finally:
        stopping.set()
        for client in clients:
            client.join(120)
    failures = [failure for client in clients for failure in client.failures]
    assert not failures, "\n".join(failures)
    assert not any(client.is_alive() for client in clients)
    assert sum(client.done for client in clients) > CLIENTS
    docker = clients[0].docker
    assert docker.ok("run", "--rm", "busybox", "echo", "still here") == "still here"
    log = engine.log.read_text()
    assert "Traceback" not in log, log[max(0, log.index("Traceback") - 500) :][:4000]
