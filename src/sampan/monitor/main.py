"""The monitor process: parent of every container of one exec root.

    exec-root/monitor.sock       the daemon connects here (the newest connection counts)
    exec-root/monitor/lock       held while the monitor lives
    exec-root/monitor/progress   whose output is on its way (transit.py)
    exec-root/monitor/exits/ID   exit of a process that the daemon has not acknowledged yet
    exec-root/monitor/monitor.log

One thread, one epoll loop, no domain logic: it starts what it is told, carries bytes, tells of ends. It imports little,
for it must stay small, and it survives the daemon: with none connected it goes on and tells the next one.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import time

from sampan.kernel import syscalls
from sampan.monitor import protocol, upgrade
from sampan.monitor.connection import Connection, listen
from sampan.monitor.files import close_all, remove_file
from sampan.monitor.loop import Loop, Timer
from sampan.monitor.process import Process
from sampan.monitor.protocol import Files, Message
from sampan.monitor.runtime import run_delete
from sampan.monitor.spawn import Spawner
from sampan.monitor.transit import Transit

IDLE_SECONDS = 10.0
UPGRADE_PATIENCE = 5.0
UPGRADE_PAUSE = 0.01
_LOG_LIMIT = 256 * 1024
_KEPT_MEMORY = 1024 * 1024


class Monitor:
    """The processes, the daemon's connection and the operations."""

    def __init__(self, exec_root: str, state: Message | None = None) -> None:
        """A new monitor, or with `state` the one that this process was before its upgrade.

        Raises BlockingIOError when another monitor holds the exec root.
        """
        self.state = f"{exec_root}/monitor"
        self.exits = f"{self.state}/exits"
        os.makedirs(self.exits, mode=0o700, exist_ok=True)
        self._files = state["files"] if state else _open_files(exec_root)
        self._socket_path = f"{exec_root}/monitor.sock"
        self._log = os.open(f"{self.state}/monitor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.loop = Loop()
        self.spawner = Spawner(self._files["home"], state["soft_limit"] if state else None)
        self.transit = Transit(state["transit"]) if state else Transit.create(f"{self.state}/progress")
        self.processes: dict[str, Process] = {}
        self._held: list[Process] = []
        self._compressing: dict[str, int] = {}
        self._deleting = 0
        self._quit_when_empty = False
        self._idle = Timer(0.0, None)
        self._connection = Connection(self.loop, self._files["listener"], self)
        if state:
            self._thaw(state)
        self.loop.catch_children()
        self._consider_end_later()

    def run(self) -> None:
        self.loop.run()
        remove_file(self._socket_path)

    # The daemon

    def disconnected(self) -> None:
        """The daemon is gone; what it was about to hand over goes on without the rest."""
        self._let_go_on()
        self._consider_end_later()

    def emit(self, message: Message) -> None:
        """Tell the daemon of something; without one it will see it in the list."""
        self._connection.post(message)

    def handle(self, message: Message, files: Files) -> None:
        operation = getattr(self, f"op_{str(message.get('op')).replace('-', '_')}", None)
        try:
            if operation is None:
                raise ValueError(f"no operation {message.get('op')!r}")
            answer = operation(message, files)
            if answer is not None:
                self._connection.post({"seq": message.get("seq"), **answer})
        except Exception as error:
            # All containers hang on this process: no request may end it.
            if not isinstance(error, OSError | ValueError | KeyError):
                self.warn(f"{message.get('op')}: {type(error).__name__}: {error}")
            self._connection.post({"seq": message.get("seq"), "error": f"{error}"})
        finally:
            close_all(files)

    def warn(self, text: str) -> None:
        """Note something in the monitor's own log, which is kept short."""
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n"
        try:
            if os.fstat(self._log).st_size > _LOG_LIMIT:
                os.ftruncate(self._log, 0)
            os.write(self._log, line.encode())
        except OSError:
            pass

    # Compression of rotated logs

    def is_compressing(self, path: str) -> bool:
        return path in self._compressing

    def compress(self, path: str) -> None:
        """Compress a rotated log in a process of its own; if that fails it stays as it is."""
        code = f"import sys; sys.path.insert(0, {sys.path[0]!r}); from sampan.monitor.compress import main; "
        argv = [sys.executable, "-I", "-S", "-c", code + "main(*sys.argv[1:])", path, str(os.getpid())]
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            child = self.spawner.spawn(argv, {}, [null] * 3, {})
        except OSError as error:
            self.warn(f"{path} can't be compressed: {error}")
            return
        finally:
            os.close(null)
        self._await_compression(path, child)

    def _await_compression(self, path: str, child: int) -> None:
        self._compressing[path] = child
        self.loop.on_child(child, lambda status: self._compressed(path, status))

    def _compressed(self, path: str, status: int) -> None:
        del self._compressing[path]
        self._consider_end_later()
        if status:
            self.warn(f"{path} could not be compressed: wait status {status}")

    # Operations: each gets the message and its descriptors, and returns an answer, or None when it answers itself. A
    # descriptor that is to be kept is popped from `files`; the rest is closed.

    def op_hello(self, message: Message, files: Files) -> Message | None:
        self._quit_when_empty = False
        answer = {"seq": message["seq"], "version": protocol.VERSION, "pid": os.getpid()}
        self._connection.post(answer, self.transit.files)
        return None

    def op_list(self, message: Message, files: Files) -> Message:
        for process in self.processes.values():
            if process.state != "starting":
                more = {"seq": message["seq"], "more": True, "record": process.record, **process.facts()}
                self._connection.post(more, process.files)
        return {"starting": [name for name, process in self.processes.items() if process.state == "starting"]}

    def op_start(self, message: Message, files: Files) -> None:
        seq = message["seq"]
        own: Files = {name: files.pop(name) for name in ("stdin", "stdout", "stderr") if name in files}
        process = self._add(message, own)
        try:
            _attach_all(process, message, files)
            console = files.pop("console", None)
            process.launch(
                message, files, console, lambda answer, shared: self._connection.post({"seq": seq, **answer}, shared)
            )
        except BaseException:
            process._discard()
            raise

    def _add(self, record: Message, own: Files) -> Process:
        """A new process that owns these descriptors. Raises ValueError, OSError."""
        try:
            if record["id"] in self.processes:
                raise ValueError(f"{record['id']} is there already")
            for name in own.keys() & {"stdin", "stdout", "stderr"}:
                os.set_blocking(own[name], False)
            process = Process(self, record, own)
        except BaseException:
            close_all(own)
            raise
        self.processes[process.id] = process
        return process

    def op_adopt(self, message: Message, files: Files) -> Message:
        """Take a process over: `record` and `facts` as a list gave them. With `hold` it waits for `takeover`."""
        own: Files = {name: files.pop(name) for name in ("pidfd", "stdin", "stdout", "stderr") if name in files}
        process = self._add(message["record"], own)
        process.adopt(message["facts"], files.get("console"))
        _attach_all(process, message, files)
        if message.get("hold"):
            self._held.append(process)
        else:
            process.go_on()
        return {}

    def op_takeover(self, message: Message, files: Files) -> Message:
        """Finish what a dead predecessor was at, with its transit if it comes along, then let all go on."""
        if files:
            self.transit.replace(dict(files))
            files.clear()
            intent = self.transit.intent()
            owner = self.processes.get(intent.owner) if intent else None
            self.transit.recover(owner.log if owner else None, owner.deliver if owner else lambda *_: None)
        self._let_go_on()
        return {}

    def _let_go_on(self) -> None:
        held, self._held = self._held, []
        for process in held:
            process.go_on()

    def refused(self, process: Process) -> None:
        self.processes.pop(process.id, None)
        self._consider_end_later()

    def op_attach(self, message: Message, files: Files) -> Message:
        process = self._process(message)
        if process.state not in ("starting", "running"):
            raise ValueError(f"{process.id} has ended")
        process.attach(files.pop("channel"), message)
        return {}

    def op_resize(self, message: Message, files: Files) -> Message:
        self._process(message).resize(message["h"], message["w"])
        return {}

    def op_close_stdin(self, message: Message, files: Files) -> Message:
        self._process(message).close_stdin()
        return {}

    def op_forget(self, message: Message, files: Files) -> Message:
        process = self.processes.get(message["id"])
        if process is not None and process.state != "exited":
            raise ValueError(f"{process.id} has not ended")
        remove_file(f"{self.exits}/{message['id']}")
        self.processes.pop(message["id"], None)
        self._consider_end_later()
        return {}

    def op_delete(self, message: Message, files: Files) -> None:
        seq = message["seq"]

        def done(error: str | None) -> None:
            self._connection.post({"seq": seq, "result": error})

        run_delete(self, message["id"], message["argv"], message, done)

    def op_quit_when_empty(self, message: Message, files: Files) -> Message:
        self._quit_when_empty = True
        self._consider_end_later()
        return {}

    def op_upgrade(self, message: Message, files: Files) -> None:
        """Become what `argv` runs, as soon as nothing is under way; its answer is the successor's."""
        self._upgrade_at_rest(message, time.monotonic() + UPGRADE_PATIENCE)

    def _upgrade_at_rest(self, message: Message, deadline: float) -> None:
        busy = self._deleting or self._held or not self._connection.idle
        if busy or any(process.state == "starting" for process in self.processes.values()):
            if time.monotonic() > deadline:
                self._connection.post({"seq": message["seq"], "error": "the monitor is too busy to be upgraded"})
            else:
                self.loop.call_later(UPGRADE_PAUSE, lambda: self._upgrade_at_rest(message, deadline))
            return
        try:
            upgrade.become(message["argv"], self._freeze(message["seq"]))
        except (OSError, ValueError) as error:
            self._connection.post({"seq": message["seq"], "error": f"{error}"})

    def _freeze(self, sequence: int) -> Message:
        connection = self._connection.socket
        return {
            "files": self._files | ({"connection": connection.fileno()} if connection else {}),
            "transit": self.transit.files,
            "soft_limit": self.spawner.soft_limit,
            "processes": [process.freeze() for process in self.processes.values()],
            "compressing": self._compressing,
            "quit_when_empty": self._quit_when_empty,
            "upgrade": sequence,
        }

    def _thaw(self, state: Message) -> None:
        connection = self._files.pop("connection", None)
        if connection is not None:
            self._connection.take(socket.socket(fileno=connection))
        self._quit_when_empty = state["quit_when_empty"]
        for path, child in state["compressing"].items():
            self._await_compression(path, child)
        for frozen in state["processes"]:
            process = Process(self, frozen["record"], frozen["files"])
            self.processes[process.id] = process
            process.thaw(frozen)
        self._connection.post({"seq": state["upgrade"], "pid": os.getpid()})

    def deletion(self, change: int) -> None:
        """Count the runtime's deletes under way."""
        self._deleting += change
        self._consider_end_later()

    def _process(self, message: Message) -> Process:
        try:
            return self.processes[message["id"]]
        except KeyError:
            raise ValueError(f"no process {message['id']}") from None

    # The monitor's own end

    def _consider_end_later(self) -> None:
        self._idle.cancel()
        self._idle = self.loop.call_later(0.0 if self._quit_when_empty else IDLE_SECONDS, self._consider_end)

    def _consider_end(self) -> None:
        if self._connection.socket is None or self._quit_when_empty:
            self.end_if_empty()

    def end_if_empty(self) -> None:
        """End, unless something is there or under way; what a SIGTERM does."""
        if not (self.processes or self._deleting or self._compressing):
            self.loop.stop()


def _attach_all(process: Process, message: Message, files: Files) -> None:
    for wants in message.get("channels") or ():
        process.attach(files.pop(f"channel{wants['channel']}"), wants)


def _open_files(exec_root: str) -> Files:
    """The lock, the mount namespace to come home to, and the listening socket. Raises BlockingIOError."""
    lock = os.open(f"{exec_root}/monitor/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    return {"lock": lock, "home": home, "listener": listen(f"{exec_root}/monitor.sock")}


def _settle() -> None:
    """Take the place in the process tree that a monitor needs."""
    syscalls.keep_freed_memory(_KEPT_MEMORY)
    os.umask(0)
    os.chdir("/")
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    syscalls.prctl(syscalls.PR_SET_NAME, b"sampan-monitor")
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        with os.fdopen(os.open("/proc/self/oom_score_adj", os.O_WRONLY), "wb", buffering=0) as file:
            file.write(b"-999")
    except OSError:
        pass


def main(exec_root: str, memory: str | None = None) -> None:
    """Run the monitor of `exec_root`; stdout, if a pipe, gets a byte once it listens or knows that another one does.

    `memory` is the descriptor of the state that this process left for itself at an upgrade.
    """
    _settle()
    monitor = _begin(exec_root) if memory is None else Monitor(exec_root, upgrade.read_state(int(memory)))
    signal.signal(signal.SIGTERM, lambda *_: monitor.end_if_empty())
    monitor.run()


def _begin(exec_root: str) -> Monitor:
    try:
        monitor = Monitor(exec_root)
    except BlockingIOError:
        monitor = None
    os.write(1, b"\n")
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    if monitor is None:
        sys.exit(0)
    return monitor
