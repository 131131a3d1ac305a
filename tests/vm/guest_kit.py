"""What the guest's tests share: control groups as files, the service, commands in containers, events."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rig.http import EngineClient, demultiplex
from rig.leaks import members
from rig.storm import wait_until

MIB = 1 << 20
GROUPS = Path("/sys/fs/cgroup/sampan")


class Group:
    """The control group of a container."""

    def __init__(self, identity: str) -> None:
        self.path = GROUPS / identity

    def value(self, name: str) -> str:
        return self.path.joinpath(name).read_text().strip()

    def counters(self, name: str) -> dict[str, int]:
        """A file of `key number` lines."""
        return {key: int(number) for key, number in map(str.split, self.value(name).splitlines())}

    def processes(self) -> set[int]:
        return set(members(self.path))

    def gone(self) -> bool:
        return not self.path.exists()


def systemctl(*words: str) -> str:
    """Run systemctl, which waits until the unit has done what was asked; its output."""
    return subprocess.run(["systemctl", *words], check=True, capture_output=True, text=True).stdout.strip()


def main_pid() -> int:
    """The daemon's process."""
    return int(systemctl("show", "--property=MainPID", "--value", "sampand"))


def monitor_pid() -> int:
    """The monitor's process, which is in the service's group beside the daemon."""
    inside = set(members(Path("/sys/fs/cgroup/system.slice/sampand.service"))) - {main_pid()}
    found = [pid for pid in inside if b"sampan.monitor.main" in command_line(pid)]
    assert len(found) == 1, f"not one monitor but {found}"
    return found[0]


def command_line(pid: int) -> bytes:
    """What a process was started as; empty when it has just ended (the runtime's last call, say)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def execute(api: EngineClient, name: str, *command: str, **options: Any) -> tuple[int, str]:
    """Run a command in a container: its exit code and what it wrote to both outputs."""
    wanted = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True, **options}
    made = api.post(f"/containers/{name}/exec", wanted)
    assert made.status == 201, made.message
    started = api.post(f"/exec/{made.json()['Id']}/start", {})
    assert started.status == 200, started.message
    api.close()
    code = wait_until(lambda: ended_with(api, made.json()["Id"]), "the command's end", 60)[0]
    return code, b"".join(demultiplex(started.body)).decode()


def ended_with(api: EngineClient, identity: str) -> tuple[int] | None:
    found = api.get(f"/exec/{identity}/json").json()
    return None if found["Running"] else (found["ExitCode"],)


def inspect(api: EngineClient, name: str) -> dict[str, Any]:
    answer = api.get(f"/containers/{name}/json")
    assert answer.status == 200, answer.message
    return dict(answer.json())


def wait(api: EngineClient, name: str) -> int:
    """Wait for a container's end; its exit code."""
    return int(api.post(f"/containers/{name}/wait").json()["StatusCode"])


def output(api: EngineClient, name: str) -> str:
    """What a container without a terminal wrote to its standard output."""
    return demultiplex(api.get(f"/containers/{name}/logs?stdout=1").body)[0].decode()


def actions(api: EngineClient, since: float, identity: str) -> list[str]:
    """What happened to a container since then."""
    filters = quote(json.dumps({"container": [identity]}))
    answer = api.get(f"/events?since={since}&until={time.time()}&filters={filters}")
    assert answer.status == 200, answer.message
    return [json.loads(line)["Action"] for line in answer.body.splitlines()]
