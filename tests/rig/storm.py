"""A storm of container operations, and what must be true of each container whatever was interrupted.

Each worker drives one container after the other through create, start, exec, stop or kill, and remove. It notes what
it asked for and what the engine confirmed. When the engine dies in the middle, `expectation` of what was confirmed
and what was only asked for says in which states the container may be found.
"""

from __future__ import annotations

import os
import random
import threading
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from rig.engines import Engine
from rig.http import EngineClient, demultiplex
from rig.waiting import wait_until

GONE = "gone"


def dice() -> random.Random:
    """The run's randomness: SAMPAN_TEST_SEED, which conftest chooses and prints where it isn't given."""
    return random.Random(int(os.environ["SAMPAN_TEST_SEED"]))


def create(client: EngineClient, name: str, *command: str, **options: Any) -> str:
    """Create a container without a network; its id."""
    host = {"NetworkMode": "none", **options.pop("HostConfig", {})}
    document = {"Image": "busybox", "Cmd": list(command), "HostConfig": host, **options}
    answer = client.post(f"/containers/create?name={name}", document)
    assert answer.status == 201, answer.message
    return str(answer.json()["Id"])


def run(client: EngineClient, name: str, *command: str, **options: Any) -> str:
    identity = create(client, name, *command, **options)
    answer = client.post(f"/containers/{name}/start")
    assert answer.status == 204, answer.message
    return identity


def state(client: EngineClient, name: str) -> dict[str, Any]:
    """The State of a container; {"Status": "gone"} when there is none."""
    answer = client.get(f"/containers/{name}/json")
    return {"Status": GONE} if answer.status == 404 else dict(answer.json()["State"])


def logged(client: EngineClient, name: str) -> bytes:
    """What a container's standard output is in the log (of a container with a terminal: no frames)."""
    answer = client.get(f"/containers/{name}/logs?stdout=1")
    assert answer.status == 200, answer.message
    return answer.body


@dataclass
class Note:
    """What was asked for and what was confirmed, of one container."""

    asked: str = ""
    confirmed: str = ""
    pid: int = 0


STATES_AFTER = {
    # (confirmed, asked for since): the states that the container may be in
    ("", "create"): {GONE, "created"},
    ("create", "create"): {"created"},
    ("create", "start"): {"created", "running"},
    ("start", "start"): {"running"},
    ("start", "exec"): {"running"},
    ("exec", "exec"): {"running"},
    ("exec", "kill"): {"running", "exited"},
    ("exec", "stop"): {"running", "exited"},
    ("kill", "kill"): {"running", "exited"},
    ("stop", "stop"): {"exited"},
    ("kill", "remove"): {"running", "exited", GONE},
    ("stop", "remove"): {"exited", GONE},
    ("remove", "remove"): {GONE},
}


@dataclass
class Worker(threading.Thread):
    """Goes through container lives until the engine goes away or `stopping` is set."""

    engine: Engine
    number: int
    stopping: threading.Event
    random: random.Random
    notes: dict[str, Note] = field(default_factory=dict)
    failure: str = ""

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        turn = 0
        with self.engine.client() as client:
            while not self.stopping.is_set() and not self.failure:
                try:
                    self._life(client, f"w{self.number}-{turn}")
                except (OSError, HTTPException, ValueError):
                    return
                turn += 1

    def _life(self, client: EngineClient, name: str) -> None:
        note = self.notes[name] = Note()
        end = self.random.choice(["kill", "stop"])
        path = f"/containers/{name}"
        self._step(client, note, "create", "POST", f"/containers/create?name={name}", SLEEPER)
        self._step(client, note, "start", "POST", f"{path}/start")
        note.pid = int(state(client, name).get("Pid", 0))
        note.asked = "exec"
        made = client.post(f"{path}/exec", {"Cmd": ["true"]})
        client.post(f"/exec/{made.json()['Id']}/start", {"Detach": True})
        note.confirmed = "exec"
        self._step(client, note, end, "POST", f"{path}/kill" if end == "kill" else f"{path}/stop?t=0")
        self._step(client, note, "remove", "DELETE", f"{path}?force=1")

    def _step(self, client: EngineClient, note: Note, name: str, method: str, path: str, document: Any = None) -> None:
        note.asked = name
        answer = client.request(method, path, document)
        if answer.status >= 300:
            if answer.status != 503:  # the engine may say that it is going away
                self.failure = f"{name} {path}: {answer.status} {answer.message}"
            raise ConnectionError(answer.message)
        note.confirmed = name


SLEEPER = {"Image": "busybox", "Cmd": ["sleep", "100000"], "HostConfig": {"NetworkMode": "none"}}


def check_notes(client: EngineClient, workers: list[Worker]) -> None:
    """Require of each noted container that its state follows from what was asked and confirmed."""
    for worker in workers:
        assert not worker.failure, worker.failure
        for name, note in worker.notes.items():
            allowed = STATES_AFTER[note.confirmed, note.asked]
            # An event that the engine had not stored yet when it died is caught up soon after.
            found = wait_until(
                lambda name=name, allowed=allowed: (now := state(client, name))["Status"] in allowed and now,
                f"{name}: asked {note.asked}, confirmed {note.confirmed!r}, is {state(client, name)}",
                5,
            )
            if found["Status"] == "running" and note.pid:
                assert found["Pid"] == note.pid, f"{name} has another pid than before: {found}"


def remove(client: EngineClient, names: list[str]) -> None:
    for name in names:
        answer = client.delete(f"/containers/{name}?force=1&v=1")
        assert answer.status in (204, 404), f"{name}: {answer.status} {answer.message}"


def check_numbers(data: bytes, what: str) -> int:
    """Require that the lines are 0, 1, 2 ... without a gap, a double or a cut; how many there are."""
    body, cut, rest = data.rpartition(b"\n")
    lines = body.split(b"\n") if cut else []
    assert not rest or b"%d" % len(lines) == rest or (b"%d" % len(lines)).startswith(rest), (
        f"{what}: ends with {rest!r}"
    )
    for number, line in enumerate(lines):
        assert line == b"%d" % number, (
            f"{what}: line {number} is {line[:80]!r} after {lines[max(0, number - 2) : number]}"
        )
    return len(lines)


def unframed(data: bytes) -> bytes:
    """Standard output out of a multiplexed stream."""
    return demultiplex(data)[0]
