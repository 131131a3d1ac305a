"""One process that the monitor looks after: a container's init or an exec.

    starting --runtime ended well--> running --reaped--> ended --output at its end--> exited --> (runtime's delete)
                                        ^
                                 adopted, from a predecessor
        |                                                  (at most 2 s later)            |
        +--runtime failed--> refused, forgotten                                 kept until the daemon forgets it

`record` is what the daemon asked for, kept so that a later daemon, and through it a later monitor, can go on from it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
import termios
import time
from collections.abc import Callable
from typing import Protocol

from sampan.kernel import pidfd
from sampan.monitor.clients import Client
from sampan.monitor.encode import STDERR, STDOUT
from sampan.monitor.files import read_file, write_file
from sampan.monitor.logfile import LogFile
from sampan.monitor.loop import READ, WRITE, Timer
from sampan.monitor.protocol import STARTING_ONLY, Files, Message
from sampan.monitor.runtime import ERROR_LIMIT, DeleteHost, close_some, receive_terminal, run_delete, was_out_of_memory
from sampan.monitor.transit import CHUNK, Transit

OUTPUT_GRACE = 2.0
# How long, and how often, to ask for the exit of a process that is not our child.
STATUS_PATIENCE = 3.0
STATUS_PAUSE = 0.02
_MOST_CHARACTERS = 0xFFFF
"""Rows or columns of a terminal: the kernel has 16 bits for them."""
_LAST_CHUNKS = 64

Answer = Callable[[Message, Files], None]


class Host(DeleteHost, Protocol):
    """What a process needs of its monitor."""

    transit: Transit
    exits: str

    def emit(self, message: Message) -> None: ...

    def refused(self, process: Process) -> None: ...

    def compress(self, path: str) -> None: ...

    def is_compressing(self, path: str) -> bool: ...


class Process:
    """One process; see the module's drawing."""

    def __init__(self, host: Host, record: Message, files: Files) -> None:
        """Take over `files`: stdin, stdout, stderr as far as they are there. Raises OSError when the log can't be."""
        self.host = host
        self.loop = host.loop
        self.record = record
        self.id: str = record["id"]
        self.tty: bool = bool(record.get("tty"))
        self.state = "starting"
        self.pid = 0
        self.start_time = 0
        self.started_at = 0
        self.status: int | None = None
        self.exited_at = 0
        self.oom = False
        self.deleted = False
        self.files = files
        self.clients: list[Client] = []
        options = record.get("log")
        self.log = LogFile(options, host) if options and options["driver"] != "none" else None
        self._is_child = False
        self._grace: Timer | None = None

    # Starting

    def launch(self, plan: Message, child_files: Files, console: int | None, answer: Answer) -> None:
        """Spawn the runtime; `answer` gets the result when it has ended. Raises OSError when it can't be spawned."""
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        words, words_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        stdio = [
            child_files.get("child_stdin", null),
            child_files.get("child_stdout", null),
            child_files.get("child_stderr", words_writer),
        ]
        try:
            runtime = self.host.spawner.spawn(plan["argv"], plan["env"], stdio, plan)
        except BaseException:
            close_some(console, words)
            raise
        finally:
            close_some(null, words_writer)
        self.loop.expect(+1)
        self.loop.on_child(runtime, lambda status: self._runtime_ended(status, console, words, answer))

    def _runtime_ended(self, status: int, console: int | None, words: int, answer: Answer) -> None:
        try:
            if status == 0:
                self._started(console)
                answer(self.facts(), self.new_files())
            else:
                error = self._runtime_words(self.files.get("stderr", words))
                answer({"error": error, "status": status}, {})
                self._discard()
            if self.state == "running":
                self._run()
        except (OSError, ValueError) as error:
            answer({"error": f"the runtime ended well, but its process can't be found: {error}", "status": 0}, {})
            self._discard()
        finally:
            close_some(console, words)
            self.loop.expect(-1)

    def _started(self, console: int | None) -> None:
        self.pid = int(read_file(self.record["pid_file"]))
        self.started_at = time.time_ns()
        try:
            self.start_time = pidfd.start_time(self.pid)
            self.files["pidfd"] = os.pidfd_open(self.pid)
        except OSError:
            pass
        if console is not None:
            self._fetch_terminal(console)
        self.record = {key: value for key, value in self.record.items() if key not in STARTING_ONLY}
        self.state = "running"

    def use_terminal(self, master: int) -> None:
        """`master` becomes stdout and, by a descriptor of its own, stdin."""
        os.set_blocking(master, False)
        self.files["stdout"] = master
        if self.record.get("open_stdin") and "stdin" not in self.files:
            self.files["stdin"] = fcntl.fcntl(master, fcntl.F_DUPFD_CLOEXEC, 3)

    def _fetch_terminal(self, console: int) -> None:
        self.use_terminal(receive_terminal(console))
        size = self.record.get("size")
        if size:
            self.resize(*size)

    def _runtime_words(self, stderr: int) -> str:
        """Why the runtime failed: its log, if it has one, else its stderr."""
        words = b""
        path = self.record.get("error_file")
        try:
            if path:
                words = read_file(path, ERROR_LIMIT)
            if not words.strip():
                words = os.read(stderr, ERROR_LIMIT)
        except OSError:
            pass
        return words.decode(errors="replace").strip()

    def _discard(self) -> None:
        """It never ran."""
        self.state = "refused"
        self._release()
        self.host.refused(self)

    # Running

    def adopt(self, facts: Message, console: int | None) -> None:
        """Be what a predecessor was told or noted of this process; `console` may still hold its terminal."""
        self.pid, self.start_time, self.started_at = facts["pid"], facts["start_time"], facts["started_at"]
        self.status, self.exited_at, self.oom = facts["status"], facts["exited_at"], facts["oom"]
        self.state = "exited" if facts["state"] == "exited" else "running"
        if console is not None and self.state == "running":
            self._fetch_terminal(console)
        elif self.tty and "stdout" in self.files:
            self.use_terminal(self.files["stdout"])

    def go_on(self) -> None:
        """Carry on with an adopted process."""
        if self.state == "exited":
            self._release()
            self._delete()
            return
        self._begin()
        if "pidfd" in self.files and self.status is None:
            self.loop.watch(self.files["pidfd"], READ, self._left)
        else:
            self.ended(self.status)

    def _left(self, _: int) -> None:
        """A process that is not our child has ended: the kernel tells how once its parent has reaped it."""
        self.loop.unwatch(self.files["pidfd"])
        self._ask_for_status(time.monotonic() + STATUS_PATIENCE)

    def _ask_for_status(self, deadline: float) -> None:
        status = pidfd.exit_status(self.files["pidfd"])
        if status is None and time.monotonic() < deadline:
            self.loop.call_later(STATUS_PAUSE, lambda: self._ask_for_status(deadline))
        else:
            self.ended(status)

    def freeze(self) -> Message:
        """All that makes it again in this process's next life."""
        return {
            "record": self.record,
            "facts": self.facts(),
            "files": self.files,
            "child": self._is_child,
            "clients": [client.freeze() for client in self.clients],
        }

    def thaw(self, frozen: Message) -> None:
        """Go on after an upgrade."""
        self.adopt(frozen["facts"], None)
        self.deleted = frozen["facts"]["deleted"]
        for client in frozen["clients"]:
            self.attach(client["descriptor"], client)
        if self.state == "exited":
            return
        if frozen["child"] and self.status is None:
            self._run()
        else:
            self.go_on()

    def _run(self) -> None:
        self._is_child = True
        self._begin()
        self.loop.on_child(self.pid, self.ended)

    def _begin(self) -> None:
        self.watch_output()
        for client in self.clients:
            client.begin()

    def facts(self) -> Message:
        """What the daemon is told of it, and what makes it again in a successor."""
        return {
            "id": self.id,
            "state": self.state,
            "pid": self.pid,
            "start_time": self.start_time,
            "started_at": self.started_at,
            "status": self.status,
            "exited_at": self.exited_at,
            "oom": self.oom,
            "deleted": self.deleted,
        }

    def new_files(self) -> Files:
        """The descriptors that came to be at the start, which the daemon does not have yet."""
        names = ("pidfd", "stdout") if self.tty else ("pidfd",)
        return {name: self.files[name] for name in names if name in self.files}

    def watch_output(self) -> None:
        """Read the output, unless a client is out of room."""
        stalled = any(client.stalled for client in self.clients)
        for name, stream in (("stdout", STDOUT), ("stderr", STDERR)):
            descriptor = self.files.get(name)
            if descriptor is None:
                continue
            if stalled:
                self.loop.unwatch(descriptor)
            else:
                self.loop.watch(descriptor, READ, self._pump(name, stream))

    def _pump(self, name: str, stream: int) -> Callable[[int], None]:
        def pump(_: int) -> None:
            self._move(name, stream)
            if any(client.stalled for client in self.clients):
                self.watch_output()

        return pump

    def _move(self, name: str, stream: int) -> bool:
        """Move one chunk of output; False when there is none now."""
        descriptor = self.files.get(name)
        if descriptor is None:
            return False
        try:
            more = self._move_chunk(descriptor, stream)
        except BlockingIOError:
            return False
        except OSError as error:
            more = error.errno != errno.EIO or not self.tty
            if more:
                self.host.warn(f"{self.id}: output is not logged: {error}")
        if not more:
            self._close_file(name)
            self._maybe_exited()
        return more

    def _move_chunk(self, descriptor: int, stream: int) -> bool:
        def sink(data: bytes) -> None:
            self.deliver(stream, data)

        if self.log is None:
            data = os.read(descriptor, CHUNK)
            if data:
                sink(data)
            return bool(data)
        transit = self.host.transit
        move = transit.move_from_terminal if self.tty else transit.move_from_pipe
        return move(descriptor, stream, self.id, self.log, sink)

    def deliver(self, stream: int, data: bytes) -> None:
        """Hand a chunk to the attached clients."""
        for client in self.clients:
            client.deliver(stream, data)

    # Clients

    @property
    def stdin(self) -> int | None:
        return self.files.get("stdin")

    def attach(self, descriptor: int, wants: Message) -> Client:
        """Add a client: `wants` is channel (the daemon's number for it), stdin, stdout, stderr."""
        flags = {name: bool(wants.get(name)) for name in ("stdin", "stdout", "stderr")}
        client = Client(self, descriptor, wants["channel"], flags, wants.get("pending", ""))
        self.clients.append(client)
        if self.state == "running":
            client.begin()
        return client

    def client_has_room(self) -> None:
        self.watch_output()

    def client_gone(self, client: Client) -> None:
        if client in self.clients:
            self.clients.remove(client)
        if client.wants["stdin"] and self.record.get("stdin_once") and not self.tty:
            self.close_stdin()
        client.drop()
        self.host.emit({"event": "detached", "id": self.id, "channel": client.channel})
        self.watch_output()

    def client_ended_stdin(self, client: Client) -> None:
        """As dockerd: input to be opened once ends for the process; else the client is done."""
        if self.record.get("stdin_once") and not self.tty:
            self.close_stdin()
        elif self.stdin is not None:
            self.client_gone(client)

    def stdin_full(self) -> None:
        """Wait until the process reads."""
        if self.stdin is not None:
            for client in self.clients:
                client.pause_stdin(True)
            self.loop.watch(self.stdin, WRITE, self._stdin_has_room)

    def _stdin_has_room(self, _: int) -> None:
        if self.stdin is not None:
            self.loop.unwatch(self.stdin)
        for client in self.clients:
            client.pause_stdin(False)

    def close_stdin(self) -> None:
        """The process sees the end of its input once the daemon has closed its duplicate as well."""
        if "stdin" in self.files:
            self._close_file("stdin")
            self.host.emit({"event": "stdin-closed", "id": self.id})

    def resize(self, height: int, width: int) -> None:
        """Set the terminal's size, as far as the kernel can count. Raises OSError."""
        master = self.files.get("stdout")
        if self.tty and master is not None:
            rows, columns = (min(max(0, value), _MOST_CHARACTERS) for value in (height, width))
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # Ending

    def ended(self, status: int | None) -> None:
        """It was reaped with this wait status (None: nobody knows)."""
        self.state = "ended"
        self.status = status
        self.exited_at = self.exited_at or time.time_ns()
        self.oom = self.oom or was_out_of_memory(self.record)
        self._record_exit()
        self.close_stdin()
        self._grace = self.loop.call_later(OUTPUT_GRACE, self._give_up_output)
        self.watch_output()
        self._maybe_exited()

    def _give_up_output(self) -> None:
        """Others hold its output open: take what is there now, and no more."""
        for name, stream in (("stdout", STDOUT), ("stderr", STDERR)):
            for _ in range(_LAST_CHUNKS):
                if not self._move(name, stream):
                    break
            self._close_file(name)
        self._maybe_exited()

    def _maybe_exited(self) -> None:
        if self.state != "ended" or "stdout" in self.files or "stderr" in self.files:
            return
        self.state = "exited"
        if self._grace:
            self._grace.cancel()
        self._release()
        self.host.emit({"event": "exited", **self.facts()})
        self._delete()

    def _record_exit(self) -> None:
        try:
            write_file(f"{self.host.exits}/{self.id}", json.dumps(self.facts()).encode())
        except OSError as error:
            self.host.warn(f"{self.id}: the exit is not recorded: {error}")

    def _delete(self) -> None:
        argv = self.record.get("delete_argv")
        if argv:
            run_delete(self.host, self.id, argv, self.record, self._deleted)

    def _deleted(self, error: str | None) -> None:
        self.deleted = True
        self.host.emit({"event": "deleted", "id": self.id, "error": error})

    def _release(self) -> None:
        for client in self.clients:
            client.close()
        self.clients = []
        for name in list(self.files):
            self._close_file(name)
        if self.log is not None:
            self.log.close()
            self.log = self.record["log"] = None

    def _close_file(self, name: str) -> None:
        descriptor = self.files.pop(name, None)
        if descriptor is not None:
            self.loop.unwatch(descriptor)
            os.close(descriptor)
