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
from collections import deque

from sampan.kernel import syscalls
from sampan.monitor import protocol
from sampan.monitor.files import close_all, remove_file
from sampan.monitor.loop import GONE, READ, WRITE, Loop, Timer
from sampan.monitor.process import Process, run_delete
from sampan.monitor.protocol import Files, Message
from sampan.monitor.spawn import Spawner
from sampan.monitor.transit import Transit

IDLE_SECONDS = 10.0
_LOG_LIMIT = 256 * 1024
_KEPT_MEMORY = 1024 * 1024


class Monitor:
    """The processes, the daemon's connection and the messages between."""

    def __init__(self, exec_root: str) -> None:
        """Raises BlockingIOError when another monitor holds the exec root."""
        self.state = f"{exec_root}/monitor"
        self.exits = f"{self.state}/exits"
        os.makedirs(self.exits, mode=0o700, exist_ok=True)
        self._lock = os.open(f"{self.state}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._log = os.open(f"{self.state}/monitor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.loop = Loop()
        self.spawner = Spawner()
        self.transit = Transit.create(f"{self.state}/progress")
        self.processes: dict[str, Process] = {}
        self._held: list[Process] = []
        self._compressing: set[str] = set()
        self._connection: socket.socket | None = None
        self._outgoing: deque[tuple[Message, Files]] = deque()
        self._quit_when_empty = False
        self._idle = Timer(0.0, None)
        self._listener = _listen(f"{exec_root}/monitor.sock")
        self.loop.watch(self._listener.fileno(), READ, self._accept)
        self.loop.catch_children()
        self._consider_end_later()

    def run(self) -> None:
        self.loop.run()

    # The daemon's connection

    def _accept(self, _: int) -> None:
        try:
            connection, _address = self._listener.accept()
        except BlockingIOError:
            return
        self._disconnect()
        connection.setblocking(False)
        self._connection = connection
        self.loop.watch(connection.fileno(), READ, self._converse)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self.loop.unwatch(self._connection.fileno())
            self._connection.close()
            self._connection = None
        for _, files in self._outgoing:
            close_all(files)
        self._outgoing.clear()
        self._consider_end_later()

    def _converse(self, mask: int) -> None:
        if mask & WRITE:
            self._flush()
        if mask & (READ | GONE):
            self._receive()

    def _receive(self) -> None:
        if self._connection is None:
            return
        try:
            packet = protocol.receive(self._connection)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self.warn(f"the daemon's connection: {error}")
            packet = None
        if packet is None:
            self._disconnect()
        else:
            self._handle(*packet)

    def _handle(self, message: Message, files: Files) -> None:
        operation = getattr(self, f"op_{str(message.get('op')).replace('-', '_')}", None)
        try:
            if operation is None:
                raise ValueError(f"no operation {message.get('op')!r}")
            answer = operation(message, files)
            if answer is not None:
                self._post({"seq": message.get("seq"), **answer})
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._post({"seq": message.get("seq"), "error": f"{error}"})
        finally:
            close_all(files)

    def _post(self, message: Message, files: Files | None = None) -> None:
        """Send, or queue, one packet; the descriptors of a queued one are duplicated."""
        if self._connection is None:
            return
        if not self._outgoing and self._try_send(message, files or {}):
            return
        self._outgoing.append((message, {name: os.dup(fd) for name, fd in (files or {}).items()}))
        self.loop.watch(self._connection.fileno(), READ | WRITE, self._converse)

    def _try_send(self, message: Message, files: Files) -> bool:
        """False when the packet must wait. A connection that is gone swallows it: the reader will see the end."""
        assert self._connection is not None
        try:
            protocol.send(self._connection, message, files)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def _flush(self) -> None:
        while self._connection is not None and self._outgoing and self._try_send(*self._outgoing[0]):
            close_all(self._outgoing.popleft()[1])
        if self._connection is not None and not self._outgoing:
            self.loop.watch(self._connection.fileno(), READ, self._converse)

    def emit(self, message: Message) -> None:
        """Tell the daemon of something; without one it will see it in the list."""
        self._post(message)

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
        code = (
            f"import sys; sys.path.insert(0, {sys.path[0]!r}); from sampan.monitor.compress import main; main({path!r})"
        )
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            child = self.spawner.spawn([sys.executable, "-I", "-S", "-c", code], {}, [null] * 3, [], {})
        except OSError as error:
            self.warn(f"{path} can't be compressed: {error}")
            return
        finally:
            os.close(null)
        self._compressing.add(path)
        self.loop.on_child(child, lambda status: self._compressed(path, status))

    def _compressed(self, path: str, status: int) -> None:
        self._compressing.discard(path)
        if status:
            self.warn(f"{path} could not be compressed: wait status {status}")

    # Operations: each gets the message and its descriptors, and returns an answer, or None when it answers itself. A
    # descriptor that is to be kept is popped from `files`; the rest is closed.

    def op_hello(self, message: Message, files: Files) -> Message | None:
        answer = {"seq": message["seq"], "version": protocol.VERSION, "pid": os.getpid()}
        self._post(answer, self.transit.files)
        return None

    def op_list(self, message: Message, files: Files) -> Message:
        for process in self.processes.values():
            if process.state != "starting":
                more = {"seq": message["seq"], "more": True, "record": process.record, **process.facts()}
                self._post(more, process.files)
        return {"starting": [name for name, process in self.processes.items() if process.state == "starting"]}

    def op_start(self, message: Message, files: Files) -> None:
        seq = message["seq"]
        own: Files = {name: files.pop(name) for name in ("stdin", "stdout", "stderr") if name in files}
        process = self._add(message, own)
        try:
            _attach_all(process, message, files)
            console = files.pop("console", None)
            process.launch(message, files, console, lambda answer, shared: self._post({"seq": seq, **answer}, shared))
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
        held, self._held = self._held, []
        for process in held:
            process.go_on()
        return {}

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
            self._post({"seq": seq, "result": error})

        run_delete(self, message["id"], message["argv"], message, done)

    def op_quit_when_empty(self, message: Message, files: Files) -> Message:
        self._quit_when_empty = True
        self._consider_end_later()
        return {}

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
        if not self.processes and (self._connection is None or self._quit_when_empty):
            self.loop.stop()

    def end_if_empty(self) -> None:
        """What a SIGTERM does."""
        if not self.processes:
            self.loop.stop()


def _attach_all(process: Process, message: Message, files: Files) -> None:
    for wants in message.get("channels") or ():
        process.attach(files.pop(f"channel{wants['channel']}"), wants)


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.setblocking(False)
    remove_file(path)
    mask = os.umask(0o177)
    listener.bind(path)
    os.umask(mask)
    listener.listen(16)
    return listener


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


def main(exec_root: str) -> None:
    """Run the monitor of `exec_root`; stdout, if a pipe, gets a byte once it listens or knows that another one does."""
    _settle()
    try:
        monitor = Monitor(exec_root)
    except BlockingIOError:
        monitor = None
    os.write(1, b"\n")
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if monitor is None:
        sys.exit(0)
    signal.signal(signal.SIGTERM, lambda *_: monitor.end_if_empty())
    monitor.run()
