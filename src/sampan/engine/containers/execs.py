"""Commands in running containers: POST /containers/{id}/exec and /exec/{id}.

    created ──start──▶ running ──exit──▶ ended        created ──start fails──▶ ended (126 or 127)

Execs live in memory. Those that run while the daemon is restarted are found again with the monitor, which runs them.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from sampan.engine.containers.detachkeys import parse_detach_keys
from sampan.engine.containers.lifecycle import Emit, Exit, Started, StartFailed
from sampan.engine.containers.spec.validate import check_console_size
from sampan.engine.containers.streams import AttachSession
from sampan.engine.containers.table import Container, Table
from sampan.engine.containers.transitions import exit_code
from sampan.errors import Conflict, InvalidArgument, NotFound
from sampan.monitor.client import Channel
from sampan.wire import stdcopy
from sampan.wire.exec import ExecCreateRequest, ExecInspect, ExecStartRequest, ProcessConfig

EXIT_PATIENCE = 5.0
"""Seconds between the end of a command's output and the news of its exit, at most."""
KEPT = 256
"""Ended commands that are remembered for each container."""


@dataclass(eq=False)
class Exec:
    """One command. `code` is None until it ended."""

    id: str
    container: Container
    request: ExecCreateRequest
    keys: bytes
    running: bool = False
    started: bool = False
    pid: int = 0
    code: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def command(self) -> str:
        """As events show it: the program, a space, its arguments."""
        program, *arguments = self.request.cmd or [""]
        return f"{program} {' '.join(arguments)}"


class ExecLauncher(Protocol):
    """What it takes to run a command in a container."""

    async def launch_exec(self, run: Exec, channel: Channel | None, console_size: tuple[int, int] | None) -> Started:
        """Start it. Raises StartFailed."""

    async def check_exec(self, run: Exec) -> None:
        """Raise InvalidArgument for a user that the container does not know."""

    def forget_exec(self, exec_id: str) -> None:
        """The monitor may forget an ended command."""

    async def resize(self, process_id: str, height: int, width: int) -> None:
        """Set the size of a process's terminal."""


class Execs:
    """All commands of this daemon's containers."""

    def __init__(self, table: Table, launcher: ExecLauncher, emit: Emit) -> None:
        self._table = table
        self._launcher = launcher
        self._emit = emit
        self._execs: dict[str, Exec] = {}

    async def create(self, container: Container, request: ExecCreateRequest) -> str:
        """Remember a command to run. Raises Conflict where the container does not run, InvalidArgument."""
        check_running(container)
        if not request.cmd:
            raise InvalidArgument("No exec command specified")
        keys = parse_detach_keys(request.detach_keys)
        check_console_size(request.console_size)
        for entry in request.env or ():
            if not entry or entry.startswith("="):
                raise InvalidArgument(f"invalid environment variable: {entry}")
        run = Exec(secrets.token_hex(32), container, request, keys)
        if request.user:
            await self._launcher.check_exec(run)
        self._execs[run.id] = run
        container.execs.append(run.id)
        self._forget_old(container)
        self._tell(run, f"exec_create: {run.command}")
        return run.id

    def find(self, exec_id: str) -> Exec:
        """The command of that id, or of the only id that begins so. Raises NotFound."""
        run = self._execs.get(exec_id)
        if run is None:
            raise NotFound(f"No such exec instance: {exec_id}")
        return run

    async def start(self, exec_id: str, request: ExecStartRequest) -> AttachSession | None:
        """Run it: at once when detached, else by the session that is returned. Raises NotFound, Conflict, ...

        As with dockerd, `request.tty` alone decides whether the client gets bare stdout or frames.
        """
        run = self.find(exec_id)
        check_running(run.container)
        if run.started:
            raise Conflict(f"exec command {run.id} has already run" if run.ended.is_set() else "exec already running")
        size = _console_size(request, run.request)
        run.started = True
        if request.detach:
            await self._launch(run, None, size)
            return None
        return self._session(run, size, request.tty)

    def _session(self, run: Exec, size: tuple[int, int] | None, raw: bool) -> AttachSession:
        wish = run.request
        failure: list[bytes] = []

        async def open_channel() -> Channel | None:
            stderr = wish.attach_stderr and (wish.tty or not raw)
            channel = Channel(stdin=wish.attach_stdin, stdout=wish.attach_stdout, stderr=stderr)
            try:
                await self._launch(run, channel, size)
            except StartFailed as error:
                channel.close()
                failure.append(f"{error}\r\n".encode())
                return None
            return channel

        async def told() -> None:
            try:
                async with asyncio.timeout(EXIT_PATIENCE):
                    await run.ended.wait()
            except TimeoutError:
                pass

        async def words() -> AsyncGenerator[bytes, None]:
            for text in failure:
                yield text if raw else stdcopy.frame(stdcopy.STDOUT, text)

        return AttachSession(
            tty=raw,
            open=open_channel,
            stdin=wish.attach_stdin,
            keys=run.keys if wish.tty else b"",
            before=words(),
            after=told,
            detached=lambda: self._tell(run, "exec_detach"),
            reframe=_reframer(wish.tty, raw),
        )

    async def _launch(self, run: Exec, channel: Channel | None, size: tuple[int, int] | None) -> None:
        self._tell(run, f"exec_start: {run.command}")
        run.running = True
        try:
            started = await self._launcher.launch_exec(run, channel, size)
        except StartFailed as failure:
            self._end(run, failure.exit_code)
            raise
        except BaseException:
            self._end(run, 255)
            raise
        run.pid = started.pid

    async def launch(self, run: Exec, channel: Channel) -> None:
        """Run it for the daemon itself, with its output to `channel`. Raises SampanError."""
        run.started = True
        await self._launch(run, channel, None)

    def drop(self, run: Exec) -> None:
        """Forget an ended command."""
        self._execs.pop(run.id, None)
        if run.id in run.container.execs:
            run.container.execs.remove(run.id)

    def process_exited(self, exec_id: str, exit: Exit) -> bool:
        """The monitor's news of a command; False when it is none of ours."""
        run = self._execs.get(exec_id)
        if run is None:
            return False
        code = 255 if exit.wait_status is None else exit_code(exit.wait_status)
        self._end(run, code)
        self._tell(run, "exec_die", {"exitCode": str(code)})
        if run.container.id not in self._table:
            self._drop(exec_id)
        self._launcher.forget_exec(exec_id)
        return True

    def _end(self, run: Exec, code: int) -> None:
        run.running, run.code = False, code
        run.ended.set()

    def inspect(self, exec_id: str) -> ExecInspect:
        """GET /exec/{id}/json. Raises NotFound."""
        run = self.find(exec_id)
        entrypoint, *arguments = run.request.cmd or [""]
        return ExecInspect(
            id=run.id,
            running=run.running,
            exit_code=run.code,
            process_config=ProcessConfig(
                tty=run.request.tty,
                entrypoint=entrypoint,
                arguments=arguments,
                privileged=run.request.privileged,
                user=run.request.user or run.container.record.config.user,
            ),
            open_stdin=run.request.attach_stdin,
            open_stderr=run.request.attach_stderr,
            open_stdout=run.request.attach_stdout,
            can_remove=False,
            container_id=run.container.id,
            detach_keys=base64.b64encode(run.keys).decode() if run.request.detach_keys else "",
            pid=run.pid,
        )

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        """POST /exec/{id}/resize. Raises NotFound, InvalidArgument when it does not run, Conflict for its container."""
        run = self.find(exec_id)
        check_running(run.container)
        if not run.running:
            raise InvalidArgument(f"exec {run.id} is not running")
        await self._launcher.resize(run.id, height, width)

    def running_ids(self, container: Container) -> list[str]:
        """What inspect of the container shows: commands that run or are still to run."""
        return [exec_id for exec_id in container.execs if not self._execs[exec_id].ended.is_set()]

    def forget_unstarted(self, container: Container) -> None:
        """The container's process ended: what was still to run in it never will."""
        for exec_id in list(container.execs):
            if not self._execs[exec_id].started:
                self._drop(exec_id)

    def forget(self, container: Container) -> None:
        """The container is gone: nobody can ask for its commands any more."""
        for exec_id in list(container.execs):
            if not self._execs[exec_id].running:
                self._drop(exec_id)

    def _drop(self, exec_id: str) -> None:
        self._execs.pop(exec_id).container.execs.remove(exec_id)

    def _forget_old(self, container: Container) -> None:
        ended = [i for i in container.execs if self._execs[i].ended.is_set()]
        for exec_id in ended[: max(0, len(ended) - KEPT)]:
            self._drop(exec_id)

    def _tell(self, run: Exec, action: str, extra: Mapping[str, str] | None = None) -> None:
        self._emit(run.container, action, {"execID": run.id, **(extra or {})})


def check_running(container: Container) -> None:
    """Raise Conflict unless commands can be run in the container."""
    status = container.record.state.status
    if status == "paused":
        raise Conflict(f"Container {container.name} is paused, unpause the container before exec")
    if status == "restarting":
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if not container.running:
        raise Conflict(f"container {container.id} is not running")


def _reframer(tty: bool, raw: bool) -> Callable[[bytes], bytes] | None:
    """How output becomes what the client asked for: a terminal's is bare, that of pipes comes in frames."""
    if tty == raw:
        return None
    if tty:
        return partial(stdcopy.frame, stdcopy.STDOUT)
    unframer = stdcopy.Unframer()
    return lambda data: b"".join(piece for _, piece in unframer.feed(data))


def _console_size(start: ExecStartRequest, create: ExecCreateRequest) -> tuple[int, int] | None:
    size = start.console_size or create.console_size
    check_console_size(size)
    return (size[0], size[1] if len(size) == 2 else 0) if size else None
