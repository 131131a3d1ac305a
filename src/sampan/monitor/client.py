"""The daemon's side of the monitor: starts it, talks to it, keeps what a successor needs.

    client = MonitorClient(paths, on_exit=..., on_deleted=...)
    alive = await client.ensure()                    what runs already, exited ones that were not forgotten too
    channel = Channel(stdin=False, stdout=True, stderr=True)
    started = await client.start(StartRequest(...), [channel])
    ... channel.socket gives docker's frames until end of file ...
    on_exit(ProcessInfo(state="exited", status=..., oom=...))    after the last byte is in the log and handed out
    await client.forget(started.id)                  once the exit is stored

The pipes of a process are made here and passed to the monitor, so that the daemon has duplicates before anything runs.

When the monitor dies, a successor is started at once and given all of it: it goes on where the last one stopped. Calls
wait for that. A monitor of another version, which another daemon left, becomes one of this version, or is ended and
succeeded like a dead one. A daemon that starts after both died finds exits with `ensure`, and gives `adopt` what still
lives.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from sampan.errors import Conflict, NotFound, SampanError, Unavailable
from sampan.kernel import pidfd as kernel_pidfd
from sampan.monitor import protocol
from sampan.monitor.files import close_all
from sampan.monitor.link import Link, connect
from sampan.monitor.live import Live
from sampan.monitor.protocol import Files, Message
from sampan.monitor.requests import (
    Channel,
    LogOptions,
    Mount,
    ProcessInfo,
    RuntimeFailed,
    StartRequest,
    info_of,
    make_pipes,
)
from sampan.monitor.succession import Orphans, ended, find_runtime, monitor_command, spawn_monitor
from sampan.store.paths import RunPaths

__all__ = ["Channel", "LogOptions", "MonitorClient", "Mount", "ProcessInfo", "RuntimeFailed", "StartRequest"]

log = logging.getLogger(__name__)

_DEATH_SECONDS = 2.0
_RETRY_SECONDS = 0.01
_RETRY_LIMIT = 1.0
_START_TRIES = 3
_STARTING_SECONDS = 3.0
_STARTING_LISTS = 60

ExitHandler = Callable[[ProcessInfo], None]
DeletedHandler = Callable[[str, str | None], None]


class MonitorClient:
    """One exec root's monitor. The handlers are called in the event loop and must not wait."""

    def __init__(self, paths: RunPaths, on_exit: ExitHandler, on_deleted: DeletedHandler) -> None:
        self._paths = paths
        self._on_exit = on_exit
        self._on_deleted = on_deleted
        self._link: Link | None = None
        self._live: dict[str, Live] = {}
        self._channel_number = 0
        self._connecting: asyncio.Task[None] | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._transit: Files = {}
        self._orphans = Orphans()
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._leaving = False
        self.pid = 0

    # The connection

    def exists(self) -> bool:
        """Whether a monitor was started here that may still run."""
        return self._link is not None or self._paths.monitor_socket.exists()

    async def ensure(self) -> list[ProcessInfo]:
        """Connect to the monitor, starting one if none listens, and learn what it holds. Raises Unavailable."""
        await self._linked()
        return [live.info for live in self._live.values()]

    async def _linked(self) -> Link:
        """The connection. Making it goes on when the caller is cancelled: a handover must not stop half-way."""
        while self._link is None:
            if self._connecting is None or self._connecting.done():
                self._connecting = asyncio.create_task(self._connect())
            await asyncio.shield(self._connecting)
        return self._link

    async def _connect(self) -> None:
        await self._see_off()
        sock = connect(self._paths.monitor_socket)
        if sock is None:
            self._process = await spawn_monitor(self._paths.root)
            sock = connect(self._paths.monitor_socket)
        if sock is None:
            raise Unavailable(f"the monitor of {self._paths.root} does not answer: see {self._paths.monitor_state}")
        link = Link(sock, self._take_event, self._lost)
        try:
            stays = await self._meet(link)
        except BaseException:
            link.close()
            raise
        if stays:
            self._link = link
        else:
            link.close()

    async def _meet(self, link: Link) -> bool:
        """Greet a monitor: the one we know, one that an earlier daemon started, or the successor of a dead one.

        False when it was of another version and had to be ended: a successor is to take over.
        """
        known, self.pid = self.pid, link.peer
        if known == self.pid or not known:
            answer = await link.request("hello", None, self._keep_transit)
            await self._learn_all(link)
            self._learn_exits()
        else:
            answer = await link.request("hello")
        if self._pidfd is None:
            self._pidfd = os.pidfd_open(self.pid)
        if answer["version"] != protocol.VERSION:
            return await self._renew(link, answer["version"], self._pidfd)
        if known and known != self.pid:
            await self._hand_over(link, known)
        return True

    async def _renew(self, link: Link, version: object, pidfd: int) -> bool:
        """Make a monitor of another version, of which all is known, one of this version; False when it had to be
        ended instead: it could not go over, or what it became did not understand what it was."""
        log.info("the container monitor (pid %d) speaks version %s, not %d", self.pid, version, protocol.VERSION)
        try:
            await self._upgrade(link)
            if (await link.request("hello"))["version"] == protocol.VERSION:
                return True
            reason = "it stays at its version"
        except Unavailable as error:
            reason = str(error)
        log.warning("the container monitor (pid %d) is replaced: %s", self.pid, reason)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return False

    async def _learn_all(self, link: Link) -> None:
        """Learn what runs. Starts that an earlier daemon asked for are waited for: nobody else hears of their end."""
        for _ in range(_STARTING_LISTS):
            answer = await link.request("list", None, self._learn)
            if not answer.get("starting"):
                return
            await asyncio.sleep(_STARTING_SECONDS / _STARTING_LISTS)
        log.warning("starts of an earlier daemon have not ended: %s", ", ".join(answer["starting"]))

    async def _see_off(self) -> None:
        """If we had a monitor and it is dying, wait until it is dead: its successor needs its lock."""
        if self._pidfd is None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(ended(self._pidfd), _DEATH_SECONDS)
            os.close(self._pidfd)
            self._pidfd = None
        if self._process is not None:
            self._process.poll()

    def _keep_transit(self, _: Message, files: Files) -> None:
        close_all(self._transit)
        self._transit = files

    def _learn(self, message: Message, files: Files) -> None:
        """Take over one process that the monitor holds."""
        if not message.get("more"):
            return
        info = info_of(message)
        known = self._live.get(info.id)
        if known is None:
            self._live[info.id] = Live(message["record"], info, files)
            return
        close_all(files)
        if info.state == "exited" and known.info.state != "exited":
            self._exited(known, info)
        known.info = info

    def _learn_exits(self) -> None:
        """Exits that an earlier monitor noted and no daemon heard of."""
        for path in (self._paths.monitor_state / "exits").glob("*"):
            if path.name not in self._live and (info := _read_exit(path)) is not None:
                self._live[info.id] = Live({"id": info.id, "kind": ""}, info, {})

    def _take_event(self, message: Message) -> None:
        live = self._live.get(message["id"])
        match message["event"]:
            case "exited" if live is not None:
                self._exited(live, info_of(message))
            case "deleted":
                if live is not None:
                    live.info = replace(live.info, deleted=True)
                self._on_deleted(message["id"], message["error"])
            case "detached" if live is not None and message["channel"] in live.channels:
                live.channels.pop(message["channel"]).far.close()
            case "stdin-closed" if live is not None and "stdin" in live.files:
                os.close(live.files.pop("stdin"))

    def _exited(self, live: Live, info: ProcessInfo) -> None:
        if info.status is None:
            info = replace(info, status=self._orphans.statuses.get(info.pid))
        live.info = info
        live.close()
        self._on_exit(info)

    # Succession

    def _lost(self) -> None:
        self._link = None
        if self._leaving:
            return
        self._reconnecting = asyncio.create_task(self._reconnect())

    async def _reconnect(self) -> None:
        pause = _RETRY_SECONDS
        while self._link is None:
            try:
                await self._linked()
            except (SampanError, OSError) as error:
                log.warning("the container monitor can't be replaced yet: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _RETRY_LIMIT)

    async def _hand_over(self, link: Link, dead: int) -> None:
        """Give a dead monitor's processes and transit to its successor."""
        log.warning("the container monitor (pid %d) died; pid %d takes over", dead, self.pid)
        self._orphans.watch_session(dead)
        asked = []
        for live in self._live.values():
            noted = self._noted_exit(live.info.id)
            if live.info.state == "running" and noted is not None:
                live.info = replace(noted, state="ended")
            if live.info.state in ("running", "ended") or not (live.info.deleted or live.info.state == "starting"):
                self._orphans.watch(live.info.pid)
                message, files = live.handed_over()
                asked.append(link.request("adopt", files, None, hold=True, **message))
        asked.append(link.request("takeover", self._transit))
        for answer in await asyncio.gather(*asked):
            if "error" in answer:
                log.error("the new container monitor refused: %s", answer["error"])

    def _noted_exit(self, process_id: str) -> ProcessInfo | None:
        return _read_exit(self._paths.monitor_state / "exits" / process_id)

    async def _find_started(self, live: Live, argv: Sequence[str]) -> ProcessInfo | None:
        """The monitor died amid a start: wait for its runtime, if there is one, and let the successor adopt what it
        started. None when nothing was; raises RuntimeFailed with the runtime's words."""
        runtime = find_runtime(argv)
        if runtime is not None:
            self._orphans.watch(runtime)
            with suppress(ProcessLookupError), _open_pidfd(runtime) as descriptor:
                await ended(descriptor.fileno())
        link = await self._linked()
        try:
            pid = int(Path(live.record["pid_file"]).read_text())
        except (OSError, ValueError):
            words = _words(live.record.get("error_file"))
            if words:
                raise RuntimeFailed(words, self._orphans.statuses.get(runtime or 0)) from None
            return None
        return await self._adopt_started(link, live, pid)

    async def _adopt_started(self, link: Link, live: Live, pid: int) -> ProcessInfo:
        began = 0
        with suppress(OSError):
            live.files["pidfd"] = os.pidfd_open(pid)
            began = kernel_pidfd.start_time(pid)
        self._orphans.watch(pid)
        started_at = Path(live.record["pid_file"]).stat().st_mtime_ns
        info = ProcessInfo(live.info.id, "running", pid, began, started_at, None, 0, False, False)
        noted = self._noted_exit(live.info.id)
        if noted is None or noted.pid != pid:
            noted = info  # else its end was noted before its start could be told
        message, files = live.handed_over()
        facts = asdict(noted) | {"state": "ended"}
        answer = await link.request("adopt", files, None, **message | {"facts": facts})
        if "error" in answer:
            raise RuntimeFailed(answer["error"], None)
        if live.info.state == "starting":
            live.running(info)
        return info

    async def adopt(self, request: StartRequest, pid: int, start_time: int, started_at: int) -> ProcessInfo | None:
        """Look after a process that lost its monitor while no daemon ran; its output is gone, its end will be told.

        Returns None when it does not live any more (or its pid is another process's now).
        """
        link = await self._linked()
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return None
        if kernel_pidfd.start_time(pid) != start_time:
            os.close(descriptor)
            return None
        self._orphans.watch(pid)
        info = ProcessInfo(request.id, "running", pid, start_time, started_at, None, 0, False, False)
        live = Live(asdict(request), info, {"pidfd": descriptor})
        live.running(info)
        self._live[request.id] = live
        message, files = live.handed_over()
        answer = await link.request("adopt", files, None, **message)
        if "error" in answer:
            self._live.pop(request.id).close()
            raise Conflict(answer["error"])
        return live.info

    def close(self) -> None:
        """Leave the monitor to itself (it keeps every process) and close all that is held for it."""
        for task in (self._reconnecting, self._connecting):
            if task is not None:
                task.cancel()
        if self._link is not None:
            self._link.close()
            self._link = None
        for live in self._live.values():
            live.close()
        self._live.clear()
        self._orphans.close()
        close_all(self._transit)
        self._transit = {}
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    # Processes

    async def start(self, request: StartRequest, channels: Sequence[Channel] = ()) -> ProcessInfo:
        """Start a process with these clients attached from its first byte.

        Raises RuntimeFailed with the runtime's words. If the monitor dies meanwhile, the answer is still the truth. A
        cancelled caller does not stop the start.
        """
        starting = asyncio.create_task(self._start(request, channels))
        starting.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(starting)

    async def _start(self, request: StartRequest, channels: Sequence[Channel]) -> ProcessInfo:
        for _ in range(_START_TRIES):
            link = await self._linked()
            info = await self._start_once(link, request, channels)
            if info is not None:
                return info
        raise Unavailable("the container monitor died again and again; try again")

    async def _start_once(self, link: Link, request: StartRequest, channels: Sequence[Channel]) -> ProcessInfo | None:
        """One try; None when the monitor died before it came to anything."""
        live = self._prepare(request, channels)
        own, child = make_pipes(request)
        live.files = own
        message, ours = live.handed_over()
        live.record["channels"] = message["channels"]
        try:
            answering = link.request("start", ours | child, live.started, **live.record)
        finally:
            close_all(child)
        try:
            info = await self._outcome(live, answering, request.argv)
        except BaseException:
            self._live.pop(request.id).close()
            raise
        if info is None:
            live.channels = {}  # for the next try
            self._live.pop(request.id).close()
        return info

    async def _outcome(self, live: Live, answering: asyncio.Future[Message], argv: Sequence[str]) -> ProcessInfo | None:
        try:
            answer = await answering
        except Unavailable:
            return await self._find_started(live, argv)
        if "error" in answer:
            raise RuntimeFailed(answer["error"], answer.get("status"))
        return live.info

    def _prepare(self, request: StartRequest, channels: Sequence[Channel]) -> Live:
        for path in filter(None, (request.pid_file, request.error_file)):
            Path(path).unlink(missing_ok=True)
        info = ProcessInfo(request.id, "starting", 0, 0, 0, None, 0, False, False)
        live = Live(asdict(request), info, {}, {self._number(): channel for channel in channels})
        self._live[request.id] = live
        return live

    async def attach(self, process_id: str, channel: Channel) -> None:
        """Attach `channel` to a running process. Raises NotFound, Conflict when it has ended."""
        link = await self._linked()
        live = self._find(process_id)
        number = self._number()
        live.channels[number] = channel
        try:
            files = {"channel": channel.far.fileno()}
            answer = await link.request("attach", files, None, id=process_id, channel=number, **channel.wants)
        except Unavailable:
            await self._linked()  # the successor got it with all the others
            return
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
        link = await self._linked()
        answer = await link.request("delete", None, None, id=process_id, argv=list(argv), unmount=list(unmount))
        words: str | None = answer.get("error") or answer["result"]
        return words

    async def upgrade(self) -> None:
        """Make the running monitor one of this version; its containers do not notice. Raises Unavailable."""
        await self._upgrade(await self._linked())

    async def _upgrade(self, link: Link) -> None:
        answer = await link.request("upgrade", argv=monitor_command(self._paths.root))
        if "error" in answer:
            raise Unavailable(answer["error"])

    async def quit_when_empty(self) -> None:
        """Let the monitor end with its last process; its end is then no reason to start another."""
        self._leaving = True
        await (await self._linked()).request("quit-when-empty")

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
        """A command that may be given twice: to a monitor that dies over it and to its successor."""
        self._find(process_id)
        try:
            answer = await (await self._linked()).request(operation, None, None, id=process_id, **fields)
        except Unavailable:
            answer = await (await self._linked()).request(operation, None, None, id=process_id, **fields)
        if "error" in answer:
            raise Conflict(answer["error"])

    def _find(self, process_id: str) -> Live:
        try:
            return self._live[process_id]
        except KeyError:
            raise NotFound(f"No such process: {process_id}") from None

    def _number(self) -> int:
        self._channel_number += 1
        return self._channel_number


def _read_exit(path: Path) -> ProcessInfo | None:
    try:
        return replace(info_of(json.loads(path.read_bytes())), state="exited")
    except (OSError, ValueError, KeyError):
        return None


def _words(error_file: str | None) -> str:
    with suppress(OSError):
        return Path(error_file or "").read_text(errors="replace").strip()
    return ""


def _open_pidfd(pid: int) -> IO[bytes]:
    return os.fdopen(os.pidfd_open(pid), "rb", buffering=0)
