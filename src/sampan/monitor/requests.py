"""What the daemon asks of the monitor, and what it learns, as types; used on the daemon's side only."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sampan.errors import Internal
from sampan.monitor.protocol import Files, Message


@dataclass(frozen=True)
class Mount:
    """A mount(2) in the private namespace of one start, made with `cwd` as the working directory.

    With `pid` it is what that process has mounted at `source`; with `within` it is bound from there, `source` being a
    path below that folder which no link leads out of.
    """

    source: str
    target: str
    fstype: str | None
    flags: int = 0
    data: str | None = None
    cwd: str | None = None
    pid: int | None = None
    within: str | None = None


@dataclass(frozen=True)
class LogOptions:
    """Where a container's output goes: `driver` json-file, local or none; sizes in bytes, 0 is unlimited."""

    driver: str
    path: str
    max_size: int = 100_000_000
    max_file: int = 10
    compress: bool = True
    attrs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StartRequest:
    """What the monitor is to start and how to look after it.

    `argv` is the whole command of the runtime, which must write the process's pid to `pid_file` and, for a terminal,
    send its master to `console_socket`. `mounts`, `unmount` and `slave` (in the order slave, unmount, mounts) happen in
    a mount namespace of this start alone. `error_file` is read when the runtime fails (its own log), else its stderr.
    `delete_argv` runs after the exit was told. `oom_file` is read before that for the counter `oom_key`.
    """

    id: str
    kind: str
    argv: Sequence[str]
    pid_file: str
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    console_socket: str | None = None
    mounts: Sequence[Mount] = ()
    unmount: Sequence[str] = ()
    slave: Sequence[str] = ()
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    size: tuple[int, int] | None = None
    log: LogOptions | None = None
    error_file: str | None = None
    delete_argv: Sequence[str] = ()
    delete_env: dict[str, str] = field(default_factory=dict)
    oom_file: str | None = None
    oom_key: str = "oom_kill"


@dataclass(frozen=True)
class ProcessInfo:
    """A process as the monitor sees it. Times in ns since 1970; `status` as of waitpid, None when nobody knows it."""

    id: str
    state: str
    pid: int
    start_time: int
    started_at: int
    status: int | None
    exited_at: int
    oom: bool
    deleted: bool

    @property
    def exit_code(self) -> int | None:
        """The exit code as docker shows it: 128 and the signal for a killed process."""
        if self.status is None:
            return None
        code = os.waitstatus_to_exitcode(self.status)
        return 128 - code if code < 0 else code


class RuntimeFailed(Internal):
    """The runtime could not start a process; `words` is what it said, `status` its wait status (None: not spawned)."""

    def __init__(self, words: str, status: int | None) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


class Channel:
    """An attachment: `socket` is the daemon's end (non-blocking), which gives output and takes stdin."""

    def __init__(self, *, stdin: bool, stdout: bool, stderr: bool) -> None:
        self.wants = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        self.socket, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.setblocking(False)

    @property
    def closed(self) -> bool:
        """Detached, perhaps before its process was there."""
        return self.far.fileno() < 0

    def hang_up(self) -> None:
        """No process will come: whoever reads gets the end, and closes. Not `close`: the reader has the descriptor."""
        self.far.close()

    def close(self) -> None:
        """Detach; harmless when done already. Only for who reads `socket`, and when nothing waits for it any more."""
        self.socket.close()
        self.far.close()


def info_of(message: Message) -> ProcessInfo:
    """What an answer or an event says of a process."""
    return ProcessInfo(**{name: message[name] for name in ProcessInfo.__dataclass_fields__})


def make_pipes(request: StartRequest) -> tuple[Files, Files]:
    """The ends that are to be kept and the process's ends of its stdio; for a terminal the listening console socket,
    in which the terminal waits until it is fetched."""
    if request.tty:
        assert request.console_socket is not None
        return {"console": _listen(request.console_socket)}, {}
    own: Files = {}
    child: Files = {}
    if request.open_stdin:
        child["child_stdin"], own["stdin"] = os.pipe2(os.O_CLOEXEC)
    own["stdout"], child["child_stdout"] = os.pipe2(os.O_CLOEXEC)
    own["stderr"], child["child_stderr"] = os.pipe2(os.O_CLOEXEC)
    return own, child


def _listen(path: str) -> int:
    with suppress(FileNotFoundError):
        Path(path).unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1)
    return listener.detach()
