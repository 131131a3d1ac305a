"""From a container's record to a running process: files, network, runtime spec, monitor; and back to nothing.

    launch   files of containers/<id>/ ─ network ─ users, devices ─ spec ─ bundles/<id>/config.json ─ monitor ─ pid
    settle   the monitor forgets the exit, the network is released
    discard  snapshot, bundle, files, the bytes of anonymous volumes

The root file system is mounted by the monitor in the mount namespace of the start itself, so no mount is ever left.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from sampan.engine.containers import program
from sampan.engine.containers.bundles import Attachment, Bundles
from sampan.engine.containers.execs import Exec
from sampan.engine.containers.lifecycle import Exit, Started, StartFailed
from sampan.engine.containers.propagation import asked_for, check_propagation
from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.refusals import explain
from sampan.engine.containers.rootfs import Rootfs, read_text
from sampan.engine.containers.spec.users import User, resolve_user
from sampan.engine.containers.spec.validate import check_start
from sampan.engine.containers.table import Container, Table
from sampan.errors import Conflict, InvalidArgument, NotFound, SampanError
from sampan.kernel import cgroups, freezer
from sampan.monitor.client import Channel, MonitorClient, ProcessInfo, RuntimeFailed, StartRequest
from sampan.store.overlay import OverlayMount
from sampan.store.trees import sweep_tree


class Snapshots(Protocol):
    """Containers' layers, as launching needs them."""

    def mounts(self, key: str) -> OverlayMount: ...

    async def remove(self, key: str) -> None: ...


class Network(Protocol):
    """The networks, as launching needs them."""

    async def attach(self, record: ContainerRecord) -> Attachment:
        """Give the container its links and addresses; `close` of the result is called once the process runs."""

    async def detach(self, container_id: str) -> None:
        """Take them back. Absent is fine."""


class Volumes(Protocol):
    def is_anonymous(self, name: str) -> bool: ...

    async def forget(self, name: str) -> None: ...

    async def sweep(self, name: str) -> None: ...


@dataclass
class Launcher:
    """Starts and clears up processes by way of the monitor."""

    monitor: MonitorClient
    table: Table
    snapshots: Snapshots
    rootfs: Rootfs
    network: Network
    volumes: Volumes
    bundles: Bundles

    async def launch(self, container: Container) -> Started:
        """Start a container's process. Raises StartFailed, Conflict and others; then nothing is left of the try."""
        record = container.record
        attachment = None
        try:
            check_start(record.host_config, self.bundles.settings.host)
            check_propagation(asked_for(record.mounts, record.host_config.mounts))
            attachment = await self.network.attach(record)
            self._take_hostname(record)
            request = await self._prepare(record, attachment)
            channels, container.channels = container.channels, []
            info = await self.monitor.start(request, channels)
        except RuntimeFailed as failure:
            await self.network.detach(record.id)
            await self._delete_leftovers(record)
            raise explain(failure.words, [*(record.config.entrypoint or ()), *(record.config.cmd or ())]) from None
        except SampanError:
            await self.network.detach(record.id)
            raise
        except OSError as error:
            await self.network.detach(record.id)
            raise StartFailed(f"{error.strerror}: {error.filename or ''}".rstrip(": "), 128) from error
        finally:
            if attachment is not None and attachment.close is not None:
                attachment.close()
            self.bundles.run.console(record.id).unlink(missing_ok=True)
        return Started(info.pid, info.start_time, info.started_at)

    def _take_hostname(self, record: ContainerRecord) -> None:
        """A container that joins another's network has its name, too."""
        mode = record.host_config.network_mode
        joined = self.table.get(mode.removeprefix("container:")) if mode.startswith("container:") else None
        if joined is not None:
            record.config.hostname = joined.record.config.hostname

    async def _prepare(self, record: ContainerRecord, attachment: Attachment) -> StartRequest:
        user = await self.rootfs.user(record)
        namespaces = self.bundles.namespaces(record, attachment)
        return await asyncio.to_thread(self.bundles.write, record, attachment, user, namespaces)

    def is_frozen(self, record: ContainerRecord) -> bool:
        """Whether the kernel has stopped the container's processes: it is paused, whatever its row says."""
        return freezer.is_frozen(self.bundles.settings.host.cgroups, self.bundles.cgroup_path(record))

    async def _delete_leftovers(self, record: ContainerRecord) -> None:
        """A runtime that failed may have left its state or a control group."""
        runtime = self.bundles.runtime(record, self.bundles.run.bundle(record.id))
        with suppress(SampanError):
            await self.monitor.delete(
                record.id, [*runtime, "delete", "--force", record.id], self.bundles.settings.unmount
            )
        path = self.bundles.cgroup_path(record)
        await asyncio.to_thread(partial(cgroups.remove, self.bundles.settings.host.cgroups, path, kill=True))

    # execs

    async def launch_exec(self, run: Exec, channel: Channel | None, console_size: tuple[int, int] | None) -> Started:
        """Start a command in a running container. Raises StartFailed."""
        record = run.container.record
        try:
            user = await self._exec_user(run)
            request = await asyncio.to_thread(self.bundles.exec_request, run, user, console_size)
            info = await self.monitor.start(request, [channel] if channel else [])
        except RuntimeFailed as failure:
            raise explain(failure.words, run.request.cmd or [], exec=True) from None
        except SampanError as error:
            raise StartFailed(str(error), 126) from error
        finally:
            self.bundles.remove_exec(record.id, run.id)
        return Started(info.pid, info.start_time, info.started_at)

    async def check_exec(self, run: Exec) -> None:
        """Raise InvalidArgument for a user that the container does not know."""
        await self._exec_user(run)

    async def _exec_user(self, run: Exec) -> User:
        """As who: by the running container's own files, which it may have changed."""
        record = run.container.record
        root = Path(f"/proc/{record.state.pid}/root")
        try:
            descriptor = await asyncio.to_thread(os.open, root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:  # it ended this moment
            raise Conflict(f"container {record.id} is not running") from None
        try:
            passwd, group = await asyncio.to_thread(
                lambda: (read_text(descriptor, "/etc/passwd"), read_text(descriptor, "/etc/group"))
            )
        finally:
            os.close(descriptor)
        wanted = run.request.user or record.config.user
        return resolve_user(wanted, passwd, group, tuple(record.host_config.group_add or ()))

    def forget_exec(self, exec_id: str) -> None:
        """The exit of a command was taken note of."""
        asyncio.get_running_loop().create_task(self._forget(exec_id))

    async def _forget(self, process_id: str) -> None:
        with suppress(SampanError):
            await self.monitor.forget(process_id)

    # the living

    async def signal(self, container: Container, number: int) -> None:
        """Send a signal to the first process, once it runs its program. One that just ended is fine."""
        if number != signal.SIGKILL:
            state = container.record.state
            runtime = self.bundles.settings.runtimes.get(container.record.host_config.runtime, "")
            await program.begun(state.pid, state.started_at, runtime)
        pidfd = self.monitor.pidfd(container.id)
        try:
            if pidfd is not None:
                signal.pidfd_send_signal(pidfd, number)
            elif container.record.state.pid:
                os.kill(container.record.state.pid, number)
        except ProcessLookupError:
            pass
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise InvalidArgument(f"the kernel has no signal {number}") from None
            raise

    async def adopt(self, record: ContainerRecord) -> ProcessInfo | None:
        """Look after a process whose monitor and daemon both died; None when it does not live any more."""
        request = await asyncio.to_thread(self.bundles.request, record, self.bundles.run.bundle(record.id))
        state = record.state
        return await self.monitor.adopt(request, state.pid, state.pid_start_time, state.started_at)

    def kill_process(self, process_id: str) -> None:
        """End a process of the monitor's that belongs to no container of ours."""
        pidfd = self.monitor.pidfd(process_id)
        if pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    async def attach(self, container: Container, channel: Channel) -> None:
        """Give a channel to a running container."""
        await self.monitor.attach(container.id, channel)

    async def resize(self, process_id: str, height: int, width: int) -> None:
        """Set the size of a process's terminal; a process without one does not mind."""
        with suppress(NotFound):
            await self.monitor.resize(process_id, height, width)

    # the end

    async def settle(self, container: Container) -> None:
        """The exit is written down: give back the network; when the runtime is done with it, so is the monitor.

        Until then the monitor keeps it, so that a successor would finish what the runtime was at.
        """
        try:
            await self.network.detach(container.id)
        finally:
            await container.deleted.wait()
            await self._forget(container.id)
            container.at_rest()

    async def forget_volumes(self, container: Container) -> None:
        """The row is gone: remove its anonymous volumes, as far as no other container has them; their bytes later."""
        for point in container.record.mounts:
            if point.type == "volume" and self.volumes.is_anonymous(point.name):
                with suppress(Conflict, NotFound):
                    await self.volumes.forget(point.name)

    async def discard(self, container: Container) -> None:
        """The row is gone: remove everything else."""
        record = container.record
        for channel in container.channels:
            channel.hang_up()
        await container.idle.wait()
        await self.snapshots.remove(record.id)
        await asyncio.to_thread(self.remove_files, record.id)
        for point in record.mounts:
            if point.type == "volume":
                await self.volumes.sweep(point.name)

    def remove_files(self, container_id: str) -> None:
        """Bundle, logs and the files of /etc. Blocks."""
        sweep_tree(self.bundles.run.bundle(container_id))
        sweep_tree(self.bundles.paths.container(container_id))


def exit_of(info: ProcessInfo) -> Exit:
    """The monitor's news in the engine's terms."""
    return Exit(info.status, info.oom, info.exited_at)
