"""Starting, stopping and removing: the verbs that change what runs.

Verbs on one container take turns (its `queue`), but for the time that a stop waits for its process: others go on
meanwhile, and may end it. An exit is applied the moment the monitor tells of it, whatever verb is waiting; only one
that overtakes its own start's answer is held until the start is applied. Whoever waits is answered first; the row, the
network and the runtime's leftovers are seen to afterwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from sampan.engine.containers import transitions
from sampan.engine.containers.signals import ends_by_default, parse_signal
from sampan.engine.containers.table import Container, Table
from sampan.engine.tasks import Supervisor
from sampan.errors import Conflict, Internal, InvalidArgument, NotModified, SampanError
from sampan.wire.containers import WaitResponse

SIGKILL, SIGTERM = 9, 15
DEFAULT_TIMEOUT = 10
NOT_STARTED = 128
"""The exit code that docker shows for a container that could not be started for no reason of its program."""
KILL_PATIENCE = 10.0
"""Seconds that a killed process may take to end before the caller is told that it does not."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Started:
    """A process that lives: `start_time` in clock ticks since boot (to know it again), `at` in nanoseconds."""

    pid: int
    start_time: int
    at: int


@dataclass(frozen=True)
class Exit:
    """A process that ended. `wait_status` is None where nobody could learn it."""

    wait_status: int | None
    oom_killed: bool
    at: int


class StartFailed(InvalidArgument):
    """The runtime could not start the process; `exit_code` is what docker shows for that (126, 127, 128)."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Launcher(Protocol):
    """What it takes to make a container's process, and to clear up after it."""

    async def launch(self, container: Container) -> Started:
        """Start the process. Raises StartFailed or another SampanError, with nothing left behind."""

    async def signal(self, container: Container, number: int) -> None:
        """Send a signal to the container's first process, once it runs its program."""

    async def settle(self, container: Container) -> None:
        """After an exit was written down: the network is released, and once the runtime has nothing left of the
        process the monitor forgets it; then the container is at rest."""

    async def forget_volumes(self, container: Container) -> None:
        """After the row is gone: so are the rows of its anonymous volumes."""

    async def discard(self, container: Container) -> None:
        """After that: snapshot, files, and the bytes of volumes that were forgotten."""


class Emit(Protocol):
    """Records an event of a container."""

    def __call__(self, container: Container, action: str, extra: Mapping[str, str] | None = None) -> None: ...


class Thaw(Protocol):
    """Lets the processes of a paused container go on: signals reach them only then."""

    async def __call__(self, container: Container) -> None: ...


class Lifecycle:
    """One per daemon."""

    def __init__(
        self, table: Table, launcher: Launcher, emit: Emit, tasks: Supervisor, thaw: Thaw | None = None
    ) -> None:
        self._table = table
        self._thaw = thaw
        self._launcher = launcher
        self._emit = emit
        self._tasks = tasks
        self._delays: dict[str, float] = {}
        self.closing = False
        """The daemon is stopping: what ends now was not stopped by hand, and is started again with the next daemon."""
        self.leaving: dict[str, Container] = {}
        self.on_started: list[Callable[[Container], None]] = []
        self.on_exited: list[Callable[[Container], None]] = []
        self.on_removed: list[Callable[[Container], None]] = []

    # starting

    async def start(self, container: Container) -> None:
        """Start it. Raises NotModified when it runs, Conflict, StartFailed."""
        async with container.queue:
            self._cancel_restart(container)
            await self._start(container)

    async def _start(self, container: Container) -> None:
        self._check_startable(container)
        if not container.idle.is_set():
            await container.idle.wait()
            self._check_startable(container)  # its removal may have begun meanwhile
        container.at_work()
        container.starting = True
        try:
            started = await self._launcher.launch(container)
        except BaseException as failure:
            container.at_rest()
            if isinstance(failure, SampanError):
                await self._start_failed(container, failure)
            raise
        finally:
            container.starting = False
        self._apply_start(container, started)
        await self._table.note(container)

    def _check_startable(self, container: Container) -> None:
        state = container.record.state
        if container.removing:
            raise Conflict("container is marked for removal and cannot be started")
        if state.status == "paused":
            raise Conflict("cannot start a paused container, try unpause instead")
        if state.running:
            raise NotModified(f"container {container.name} is running already")

    async def _start_failed(self, container: Container, failure: SampanError) -> None:
        container.early_exit = None
        code = failure.exit_code if isinstance(failure, StartFailed) else NOT_STARTED
        container.record.state = transitions.not_started(container.record.state, code, str(failure))
        await self._table.note(container)
        if container.record.host_config.auto_remove:
            self._tasks.spawn(self.remove(container, force=True, volumes=True), "auto-remove")

    def _apply_start(self, container: Container, started: Started) -> None:
        container.record.state = transitions.started(
            container.record.state, started.pid, started.start_time, started.at
        )
        self._emit(container, "start")
        for hook in self.on_started:
            hook(container)
        early, container.early_exit = container.early_exit, None
        if early is not None:
            self._apply_exit(container, early)

    # ending

    def process_exited(self, container: Container, exit: Exit) -> None:
        """The monitor's news: the process ended, and all its output is in the log."""
        if container.starting:
            container.early_exit = exit
        elif container.running:
            self._apply_exit(container, exit)

    def _apply_exit(self, container: Container, exit: Exit) -> None:
        state = container.record.state
        code = 255 if exit.wait_status is None else transitions.exit_code(exit.wait_status)
        error = "" if exit.wait_status is not None else "the exit status of the process could not be learned"
        by_hand = state.stopped_by_hand or (code - 128) in container.signals
        ran = max(0, exit.at - state.started_at)
        container.signals.clear()
        container.record.state = transitions.exited(state, code, exit.oom_killed, exit.at, error)
        container.record.state.stopped_by_hand = by_hand
        if exit.oom_killed:
            self._emit(container, "oom")
        self._emit(container, "die", {"exitCode": str(code), "execDuration": str(ran // 1_000_000_000)})
        for hook in self.on_exited:
            hook(container)
        restart = transitions.restarts(container.record.host_config.restart_policy, container.record.state)
        if restart and not container.removing and not self.closing:
            container.record.state.status = "restarting"
            delay = self._delays[container.id] = transitions.next_delay(self._delays.get(container.id, 0), ran / 1e9)
            container.restarting = self._tasks.spawn(self._restart_later(container, delay), "restart")
        resolve(container.exited, code)
        gone = container.record.host_config.auto_remove and not container.keep
        self._tasks.spawn(self._after_exit(container, gone), "after exit")

    async def _after_exit(self, container: Container, gone: bool) -> None:
        if gone and not container.removing:
            await self.remove(container, force=False, volumes=True)
        elif not container.removing:
            await self._table.note(container)
        await self._launcher.settle(container)

    async def _restart_later(self, container: Container, delay: float) -> None:
        await asyncio.sleep(delay)
        async with container.queue:
            if container.record.state.status != "restarting" or container.removing:
                return
            container.record.state.restart_count += 1
            container.restarting = None
            try:
                await self._start(container)
            except SampanError as failure:
                log.warning("container %s could not be restarted: %s", container.name, failure)
                container.record.state.status = "exited"
                await self._table.note(container)

    def _cancel_restart(self, container: Container) -> None:
        if container.restarting is not None:
            container.restarting.cancel()
            container.restarting = None
        if container.record.state.status == "restarting":
            container.record.state.status = "exited"

    # stopping

    async def stop(self, container: Container, timeout: int | None, signal: str | None) -> None:
        """Stop it: its stop signal, after `timeout` seconds SIGKILL (-1: never).

        Raises NotModified when it does not run, InvalidArgument for an unknown signal.
        """
        number = parse_signal(signal or container.record.config.stop_signal or "SIGTERM")
        async with container.queue:
            exit = await self._begin_stop(container, number)
        await self._finish_stop(container, exit, timeout)

    async def _begin_stop(self, container: Container, number: int) -> asyncio.Future[int] | None:
        """Send the signal, in turn; the exit to wait for, None where nothing ran between two restarts."""
        if container.record.state.status == "restarting":
            self._cancel_restart(container)
            container.record.state.stopped_by_hand = True
            await self._table.note(container)
            return None
        if not container.running:
            raise NotModified(f"container {container.name} is stopped already")
        container.record.state.stopped_by_hand = not self.closing
        exit = self.next_exit(container)
        await self._send(container, number)
        return exit

    async def _finish_stop(self, container: Container, exit: asyncio.Future[int] | None, timeout: int | None) -> None:
        """Wait for the exit, out of turn: a patient stop must not keep others from ending the container."""
        if timeout is None:
            timeout = patience_of(container)
        if exit is not None and not await _comes(exit, None if timeout < 0 else timeout):
            await self._kill_and_wait(container)
        self._emit(container, "stop")

    async def _kill_and_wait(self, container: Container) -> None:
        if not container.running:
            return
        exit = self.next_exit(container)
        await self._send(container, SIGKILL)
        if not await _comes(exit, KILL_PATIENCE):
            raise Internal(f"container {container.id} did not exit within {KILL_PATIENCE:.0f}s of being killed")

    def next_exit(self, container: Container) -> asyncio.Future[int]:
        """The exit code, once the process of now (or the next one) ends."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        container.exited.append(future)
        future.add_done_callback(lambda done: container.exited.remove(done) if done in container.exited else None)
        return future

    async def _send(self, container: Container, number: int) -> None:
        await self._launcher.signal(container, number)
        self._emit(container, "kill", {"signal": str(number)})
        own = container.record.config.stop_signal
        stops = number == SIGKILL or not own or number == parse_signal(own)
        if container.record.state.status == "paused" and stops and self._thaw is not None:
            await self._thaw(container)
            if number != SIGKILL:
                self._emit(container, "unpause")

    async def kill(self, container: Container, signal: str) -> None:
        """Send a signal, SIGKILL by default; does not wait its turn. Raises Conflict, InvalidArgument."""
        try:
            number = parse_signal(signal or "SIGKILL")
        except InvalidArgument as error:
            raise InvalidArgument(f"cannot kill container: {container.name}: {error}") from None
        if container.record.state.status == "restarting":
            self._cancel_restart(container)
            container.record.state.stopped_by_hand = True
            await self._table.note(container)
            return
        if not container.running:
            raise Conflict(f"cannot kill container: {container.name}: container {container.id} is not running")
        own = container.record.config.stop_signal
        if number in (SIGKILL, SIGTERM) or (own and number == parse_signal(own)):
            container.record.state.stopped_by_hand = True
        elif ends_by_default(number):
            container.signals.add(number)
        if number == SIGKILL:
            await self._kill_and_wait(container)
        else:
            await self._send(container, number)

    async def restart(self, container: Container, timeout: int | None, signal: str | None) -> None:
        """Stop it if it runs, and start it."""
        number = parse_signal(signal or container.record.config.stop_signal or "SIGTERM")
        try:
            async with container.queue:
                ran, exit = container.running or container.record.state.status == "restarting", None
                if ran:
                    container.keep = container.record.host_config.auto_remove
                    exit = await self._begin_stop(container, number)
            if ran:
                await self._finish_stop(container, exit, timeout)
            async with container.queue:
                with suppress(NotModified):  # somebody else has started it meanwhile
                    await self._start(container)
        finally:
            container.keep = False
        self._emit(container, "restart")

    # waiting

    def wait(self, container: Container, condition: str) -> Awaitable[WaitResponse]:
        """What POST .../wait answers, once it happens. Raises InvalidArgument at once for an unknown condition."""
        if condition not in ("", "not-running", "next-exit", "removed"):
            raise InvalidArgument(f'invalid condition: "{condition}"')
        if condition == "removed":
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            container.removed.append(future)
        elif condition == "next-exit" or container.running or container.starting:
            future = self.next_exit(container)
        else:
            future = asyncio.get_running_loop().create_future()
            future.set_result(container.record.state.exit_code)
        return _response(future)

    # removing

    async def remove(self, container: Container, force: bool, volumes: bool) -> None:
        """Remove it, a running one only by force. Raises Conflict.

        Answered when row and name are gone, and with `volumes` the anonymous volumes; the bytes go afterwards.
        """
        if container.removing:
            raise Conflict(f"removal of container {container.name} is already in progress")
        self._check_removable(container, force)
        container.removing = True
        try:
            self._cancel_restart(container)
            if container.running or container.starting:
                await self._end_for_removal(container)
            async with container.queue:
                await self._table.delete(container)
        except BaseException:
            container.removing = False
            raise
        self._delays.pop(container.id, None)
        self.leaving[container.id] = container
        gone = asyncio.Event()
        self._tasks.spawn(self._clear_away(container, volumes, gone), "discard")
        await gone.wait()

    async def _clear_away(self, container: Container, volumes: bool, gone: asyncio.Event) -> None:
        """Volumes first, then it is told, then the bytes go; a client that goes away stops nothing of it."""
        try:
            for hook in self.on_removed:
                hook(container)
            if volumes:
                await self._forget_volumes(container)
            self._emit(container, "destroy")
            resolve(container.removed, container.record.state.exit_code)
            gone.set()
            await self._launcher.discard(container)
        finally:
            self.leaving.pop(container.id, None)
            gone.set()

    async def _forget_volumes(self, container: Container) -> None:
        try:
            await self._launcher.forget_volumes(container)
        except SampanError as failure:
            log.error("container %s is removed, but not its volumes: %s", container.name, failure)

    def _check_removable(self, container: Container, force: bool) -> None:
        status = container.record.state.status
        if force or not (container.running or status == "restarting" or container.starting):
            return
        if status == "paused":
            what = "container is paused and must be unpaused first"
        elif status == "restarting":
            what = "container is restarting: stop the container before removing or force remove"
        else:
            what = "container is running: stop the container before removing or force remove"
        raise Conflict(f'cannot remove container "{container.name}": {what}')

    async def _end_for_removal(self, container: Container) -> None:
        if container.starting:
            async with container.queue:
                pass
        if container.running:
            await self._kill_and_wait(container)


async def _comes(exit: asyncio.Future[int], patience: float | None) -> bool:
    """Whether it comes within `patience` seconds (None: however long it takes)."""
    try:
        async with asyncio.timeout(patience):
            await asyncio.shield(exit)
    except TimeoutError:
        return exit.done()
    return True


async def _response(future: asyncio.Future[int]) -> WaitResponse:
    return WaitResponse(status_code=await future)


def patience_of(container: Container) -> int:
    """Seconds that a container has between its stop signal and SIGKILL, negative for as long as it takes."""
    configured = container.record.config.stop_timeout
    return DEFAULT_TIMEOUT if configured is None else configured


def resolve(waiters: list[asyncio.Future[int]], value: int) -> None:
    """Answer and forget everybody in a list of waiters."""
    pending, waiters[:] = list(waiters), []
    for future in pending:
        if not future.done():
            future.set_result(value)
