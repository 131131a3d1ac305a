"""The daemon's side of the monitor: starts it, talks to it, keeps what a successor needs.

    client = MonitorClient(paths, on_exit=..., on_deleted=...)
    alive = await client.ensure()                    what runs already, exited ones that were not forgotten too
    channel = Channel(stdin=False, stdout=True, stderr=True)
    started = await client.start(StartRequest(...), [channel])
    ... channel.socket gives docker's frames until end of file ...
    on_exit(ProcessInfo(state="exited", status=..., oom=...))    after the last byte is in the log and handed out
    await client.forget(started.id)                  once the exit is stored

The pipes of a process are made here and passed to the monitor, so that the daemon has duplicates before anything runs.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sampan.errors import Conflict, Internal, NotFound, Unavailable
from sampan.monitor import protocol
from sampan.monitor.files import close_all
from sampan.monitor.protocol import STARTING_ONLY, Files, Message
from sampan.store.paths import RunPaths

_START_SECONDS = 10.0


@dataclass(frozen=True)
class Mount:
    """A mount(2) in the private namespace of one start, made with `cwd` as the working directory."""

    source: str
    target: str
    fstype: str | None
    flags: int = 0
    data: str | None = None
    cwd: str | None = None


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

    def close(self) -> None:
        """Detach; harmless when done already."""
        self.socket.close()
        self.far.close()


@dataclass
class _Live:
    """What the daemon keeps of a process for a successor of the monitor."""

    record: Message
    info: ProcessInfo
    files: Files
    channels: dict[int, Channel] = field(default_factory=dict)

    def started(self, answer: Message, files: Files) -> None:
        """The monitor's answer to the start."""
        self.files |= files
        if "error" not in answer:
            self.info = _info(answer)
            self.record = {key: value for key, value in self.record.items() if key not in STARTING_ONLY}

    def close(self) -> None:
        for descriptor in self.files.values():
            os.close(descriptor)
        self.files.clear()
        for channel in self.channels.values():
            channel.far.close()
        self.channels.clear()


Arrived = Callable[[Message, Files], None]
ExitHandler = Callable[[ProcessInfo], None]
DeletedHandler = Callable[[str, str | None], None]


class MonitorClient:
    """One exec root's monitor. The handlers are called in the event loop and must not wait."""

    def __init__(self, paths: RunPaths, on_exit: ExitHandler, on_deleted: DeletedHandler) -> None:
        self._paths = paths
        self._on_exit = on_exit
        self._on_deleted = on_deleted
        self._socket: socket.socket | None = None
        self._sequence = 0
        self._answers: dict[int, tuple[asyncio.Future[Message], Arrived]] = {}
        self._outgoing: deque[tuple[Message, Files]] = deque()
        self._live: dict[str, _Live] = {}
        self._channel_number = 0
        self._ensuring = asyncio.Lock()
        self._transit: Files = {}
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    # The connection

    def exists(self) -> bool:
        """Whether a monitor was started here that may still run."""
        return self._socket is not None or self._paths.monitor_socket.exists()

    async def ensure(self) -> list[ProcessInfo]:
        """Connect to the monitor, starting one if none listens, and learn what it holds. Raises Unavailable."""
        async with self._ensuring:
            if self._socket is None:
                await self._connect()
        return [live.info for live in self._live.values()]

    async def _connect(self) -> None:
        sock = _try_connect(self._paths.monitor_socket)
        if sock is None:
            self._process = await _spawn_monitor(self._paths.root)
            sock = _try_connect(self._paths.monitor_socket)
        if sock is None:
            raise Unavailable(f"the monitor of {self._paths.root} does not answer: see {self._paths.monitor_state}")
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock, self._receive)
        answer = await self._ask("hello", arrived=self._keep_transit)
        if answer["version"] != protocol.VERSION:
            raise Unavailable(f"the running monitor speaks version {answer['version']}, not {protocol.VERSION}")
        self.pid = answer["pid"]
        await self._ask("list", arrived=self._learn)

    def _keep_transit(self, _: Message, files: Files) -> None:
        close_all(self._transit)
        self._transit = files

    def _learn(self, message: Message, files: Files) -> None:
        """Take over one process that the monitor holds."""
        if message.get("more"):
            info = _info(message)
            self._live[info.id] = _Live(message["record"], info, files)

    def _receive(self) -> None:
        for _ in range(64):
            try:
                packet = protocol.receive(self._socket) if self._socket else None
            except BlockingIOError:
                return
            except (OSError, ValueError):
                packet = None
            if packet is None:
                self._lost()
                return
            self._take(*packet)

    def _take(self, message: Message, files: Files) -> None:
        if "event" in message:
            self._take_event(message)
            return
        future, arrived = self._answers.get(message["seq"], (None, _drop))
        arrived(message, files)  # now, not when the waiting task wakes: the next packet may tell of the process's end
        if not message.get("more"):
            self._answers.pop(message["seq"], None)
            if future is not None and not future.done():
                future.set_result(message)

    def _take_event(self, message: Message) -> None:
        live = self._live.get(message["id"])
        match message["event"]:
            case "exited" if live is not None:
                live.info = _info(message)
                live.close()
                self._on_exit(live.info)
            case "deleted":
                self._on_deleted(message["id"], message["error"])
            case "detached" if live is not None and message["channel"] in live.channels:
                live.channels.pop(message["channel"]).far.close()
            case "stdin-closed" if live is not None and "stdin" in live.files:
                os.close(live.files.pop("stdin"))

    def _lost(self) -> None:
        self._disconnect()

    def _disconnect(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            asyncio.get_running_loop().remove_writer(self._socket)
            self._socket.close()
            self._socket = None
        for future, _ in self._answers.values():
            if not future.done():
                future.set_exception(Unavailable("the monitor went away"))
        self._answers.clear()
        self._outgoing.clear()

    def close(self) -> None:
        """Leave the monitor to itself (it keeps every process) and close all that is held for it."""
        self._disconnect()
        for live in self._live.values():
            live.close()
        self._live.clear()
        close_all(self._transit)
        self._transit = {}

    async def _ask(self, operation: str, /, *, arrived: Arrived | None = None, **fields: Any) -> Message:
        """Send a request and wait for its answer."""
        return await self._request(operation, {}, arrived, **fields)

    def _request(
        self, operation: str, files: Files, arrived: Arrived | None = None, /, **fields: Any
    ) -> asyncio.Future[Message]:
        """Send a request at once; its descriptors stay the caller's. `arrived` is called as each answer comes."""
        if self._socket is None:
            raise Unavailable("the monitor is away")
        self._sequence += 1
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[self._sequence] = (future, arrived or _drop)
        self._post({"op": operation, "seq": self._sequence, **fields}, files)
        return future

    def _post(self, message: Message, files: Files) -> None:
        assert self._socket is not None
        if not self._outgoing:
            try:
                protocol.send(self._socket, message, files)
                return
            except BlockingIOError:
                asyncio.get_running_loop().add_writer(self._socket, self._flush)
            except OSError:
                return  # the reader will see the end
        self._outgoing.append((message, {name: os.dup(fd) for name, fd in files.items()}))

    def _flush(self) -> None:
        assert self._socket is not None
        while self._outgoing:
            try:
                protocol.send(self._socket, *self._outgoing[0])
            except BlockingIOError:
                return
            except OSError:
                break
            close_all(self._outgoing.popleft()[1])
        asyncio.get_running_loop().remove_writer(self._socket)

    # Processes

    async def start(self, request: StartRequest, channels: Sequence[Channel] = ()) -> ProcessInfo:
        """Start a process with these clients attached from its first byte.

        Raises RuntimeFailed with the runtime's words, Unavailable when the monitor is away.
        """
        await self.ensure()
        record = asdict(request)
        numbered = {self._number(): channel for channel in channels}
        record["channels"] = [{"channel": number, **channel.wants} for number, channel in numbered.items()]
        own, child = _make_pipes(request)
        sent = own | child | {f"channel{number}": channel.far.fileno() for number, channel in numbered.items()}
        live = _Live(record, _starting(request.id), own, numbered)
        self._live[request.id] = live
        try:
            answering = self._request("start", sent, live.started, **record)
        finally:
            close_all(child)
        answer = await answering
        if "error" in answer:
            self._live.pop(request.id).close()
            raise RuntimeFailed(answer["error"], answer.get("status"))
        return live.info

    async def attach(self, process_id: str, channel: Channel) -> None:
        """Attach `channel` to a running process. Raises NotFound, Conflict when it has ended."""
        live = self._find(process_id)
        number = self._number()
        live.channels[number] = channel
        files = {"channel": channel.far.fileno()}
        answer = await self._request("attach", files, id=process_id, channel=number, **channel.wants)
        if "error" in answer:
            live.channels.pop(number, None)
            channel.far.close()
            raise Conflict(answer["error"])

    async def resize(self, process_id: str, height: int, width: int) -> None:
        """Set the size of a process's terminal."""
        await self._command("resize", process_id, h=height, w=width)

    async def close_stdin(self, process_id: str) -> None:
        """End a process's input."""
        await self._command("close-stdin", process_id)

    async def forget(self, process_id: str) -> None:
        """The exit is stored: the monitor may forget the process."""
        await self._command("forget", process_id)
        self._live.pop(process_id, None)

    async def delete(self, process_id: str, argv: Sequence[str], unmount: Sequence[str] = ()) -> str | None:
        """Run a runtime's delete for a container that the monitor does not hold; what it said when it failed."""
        await self.ensure()
        answer = await self._ask("delete", id=process_id, argv=list(argv), unmount=list(unmount))
        words: str | None = answer.get("error") or answer["result"]
        return words

    async def quit_when_empty(self) -> None:
        """Let the monitor end with its last process."""
        await self._ask("quit-when-empty")

    def info(self, process_id: str) -> ProcessInfo | None:
        """What is known of a process now."""
        live = self._live.get(process_id)
        return live.info if live else None

    def kind(self, process_id: str) -> str:
        """`container` or `exec`, "" for a process that is not known."""
        live = self._live.get(process_id)
        return str(live.record["kind"]) if live else ""

    def pidfd(self, process_id: str) -> int | None:
        """The daemon's own pidfd of a live process; not to be closed."""
        live = self._live.get(process_id)
        return live.files.get("pidfd") if live else None

    async def _command(self, operation: str, process_id: str, /, **fields: Any) -> None:
        self._find(process_id)
        answer = await self._ask(operation, id=process_id, **fields)
        if "error" in answer:
            raise Conflict(answer["error"])

    def _find(self, process_id: str) -> _Live:
        try:
            return self._live[process_id]
        except KeyError:
            raise NotFound(f"No such process: {process_id}") from None

    def _number(self) -> int:
        self._channel_number += 1
        return self._channel_number


def _info(message: Message) -> ProcessInfo:
    return ProcessInfo(**{name: message[name] for name in ProcessInfo.__dataclass_fields__})


def _starting(process_id: str) -> ProcessInfo:
    return ProcessInfo(process_id, "starting", 0, 0, 0, None, 0, False, False)


def _drop(_: Message, files: Files) -> None:
    close_all(files)


def _make_pipes(request: StartRequest) -> tuple[Files, Files]:
    """The monitor's ends and the process's ends of its stdio, or the listening console socket for a terminal."""
    if request.tty:
        assert request.console_socket is not None
        return {}, {"console": _listen(request.console_socket)}
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


def _try_connect(path: Path) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    sock.setblocking(False)
    return sock


async def _spawn_monitor(exec_root: Path) -> subprocess.Popen[bytes]:
    """Start a monitor in a session of its own and wait until it listens."""
    package_root = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path.insert(0, {package_root!r}); from sampan.monitor.main import main; main(sys.argv[1])"
    process = subprocess.Popen(  # noqa: ASYNC220 (a vfork; asyncio's own would hold a thread as long as it lives)
        [sys.executable, "-I", "-S", "-c", code, str(exec_root)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout as ready, suppress(TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(ready.readline), _START_SECONDS)
    return process
