"""From a container's record to a running process: files, network, runtime spec, monitor; and back to nothing.

    launch   files of containers/<id>/ ─ network ─ users, devices ─ spec ─ bundles/<id>/config.json ─ monitor ─ pid
    settle   the monitor forgets the exit, the network is released
    discard  snapshot, bundle, files, anonymous volumes

The root file system is mounted by the monitor in the mount namespace of the start itself, so no mount is ever left.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec

from sampan.engine.containers.execs import Exec
from sampan.engine.containers.filters import FilterCache
from sampan.engine.containers.lifecycle import Started, StartFailed
from sampan.engine.containers.logs import plan_log
from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.refusals import explain
from sampan.engine.containers.rootfs import Rootfs
from sampan.engine.containers.spec.build import build, environment
from sampan.engine.containers.spec.devices import block_numbers, resolve_devices
from sampan.engine.containers.spec.mounts import plan_mounts
from sampan.engine.containers.spec.plan import MountPlan, NamespacePaths, SpecPlan
from sampan.engine.containers.spec.seccomp import Profile
from sampan.engine.containers.spec.users import User
from sampan.engine.containers.spec.validate import check_start
from sampan.engine.containers.table import Container, Table
from sampan.errors import Conflict, InvalidArgument, NotFound, SampanError
from sampan.kernel import freezer
from sampan.kernel.facts import HostFacts
from sampan.monitor.client import Channel, LogOptions, MonitorClient, Mount, ProcessInfo, RuntimeFailed, StartRequest
from sampan.store.overlay import OverlayMount
from sampan.store.paths import DataPaths, RunPaths
from sampan.wire.containers import Ulimit


class Snapshots(Protocol):
    """Containers' layers, as launching needs them."""

    def mounts(self, key: str) -> OverlayMount: ...

    async def remove(self, key: str) -> None: ...


class Attachment(Protocol):
    """A container's place on the network: the namespace to join ("" for a new one), and the text of its files."""

    @property
    def namespace(self) -> str: ...

    @property
    def hosts(self) -> str: ...

    @property
    def resolv_conf(self) -> str: ...

    @property
    def close(self) -> Callable[[], None] | None: ...


class Network(Protocol):
    """The networks, as launching needs them."""

    async def attach(self, record: ContainerRecord) -> Attachment:
        """Give the container its links and addresses; `close` of the result is called once the process runs."""

    async def detach(self, container_id: str) -> None:
        """Take them back. Absent is fine."""


class Volumes(Protocol):
    def is_anonymous(self, name: str) -> bool: ...

    async def remove(self, name: str, force: bool = False) -> None: ...


@dataclass(frozen=True)
class RuntimeSettings:
    """How the OCI runtime is called: `runtimes` maps names to paths, `slave` and `unmount` are the monitor's."""

    runtimes: Mapping[str, str]
    host: HostFacts
    cgroup_parent: str
    seccomp: Profile | None
    init_path: str
    default_init: bool
    default_ulimits: tuple[Ulimit, ...]
    slave: tuple[str, ...]
    unmount: tuple[str, ...]


@dataclass
class Launcher:
    """Starts and clears up processes by way of the monitor."""

    monitor: MonitorClient
    table: Table
    snapshots: Snapshots
    rootfs: Rootfs
    network: Network
    volumes: Volumes
    paths: DataPaths
    run: RunPaths
    settings: RuntimeSettings
    filters: FilterCache = field(default_factory=FilterCache)

    async def launch(self, container: Container) -> Started:
        """Start a container's process. Raises StartFailed, InvalidArgument; then nothing is left of the try."""
        record = container.record
        attachment = None
        try:
            check_start(record.host_config, self.settings.host)
            attachment = await self.network.attach(record)
            request = await self._prepare(record, attachment)
            channels, container.channels = container.channels, []
            info = await self.monitor.start(request, channels)
        except RuntimeFailed as failure:
            await self.network.detach(record.id)
            await self._delete_leftovers(record)
            raise explain(failure.words, [*(record.config.entrypoint or ()), *(record.config.cmd or ())]) from None
        except SampanError as error:
            await self.network.detach(record.id)
            raise StartFailed(str(error), 128) from error
        except OSError as error:
            await self.network.detach(record.id)
            raise StartFailed(f"{error.strerror}: {error.filename or ''}".rstrip(": "), 128) from error
        finally:
            if attachment is not None and attachment.close is not None:
                attachment.close()
            self.run.console(record.id).unlink(missing_ok=True)
        return Started(info.pid, info.start_time, info.started_at)

    async def _prepare(self, record: ContainerRecord, attachment: Attachment) -> StartRequest:
        user = await self.rootfs.user(record)
        namespaces = self._namespaces(record, attachment)
        return await asyncio.to_thread(self._write_bundle, record, attachment, user, namespaces)

    def _namespaces(self, record: ContainerRecord, attachment: Attachment) -> NamespacePaths:
        host = record.host_config

        def of(mode: str, name: str) -> str:
            if not mode.startswith("container:"):
                return ""
            return f"/proc/{self._running_pid(mode.removeprefix('container:'))}/ns/{name}"

        ipc = of(host.ipc_mode, "ipc")
        shm = str(self.run.shared_memory(record.id)) if ipc else ""
        return NamespacePaths(network=attachment.namespace, pid=of(host.pid_mode, "pid"), ipc=ipc, shm=shm)

    def _running_pid(self, ref: str) -> int:
        other = self.table.find(ref)
        if not other.running:
            raise Conflict(f"cannot join namespace of a non running container: container {other.id} is not running")
        return other.record.state.pid

    def _write_bundle(
        self, record: ContainerRecord, attachment: Attachment, user: User, namespaces: NamespacePaths
    ) -> StartRequest:
        files = self._write_files(record, attachment)
        bundle = self.run.bundle(record.id)
        self.run.rootfs(record.id).mkdir(parents=True, exist_ok=True)
        self._make_bind_sources(record)
        plan = self._plan(record, user, namespaces, files)
        spec = build(plan)
        if self._is_crun(record):
            self.filters.embed(spec)
        (bundle / "config.json").write_bytes(msgspec.json.encode(spec))
        return self._request(record, bundle)

    def _write_files(self, record: ContainerRecord, attachment: Attachment) -> dict[str, str]:
        """hostname, hosts and resolv.conf; rewritten at each start, as docker does. Returns their paths."""
        folder = self.paths.container(record.id)
        folder.mkdir(mode=0o710, parents=True, exist_ok=True)
        contents = {"hosts": attachment.hosts, "resolv.conf": attachment.resolv_conf}
        if record.config.hostname:
            contents["hostname"] = f"{record.config.hostname}\n"
        mounted = {point.destination for point in record.mounts}
        found = {}
        for name, text in contents.items():
            if text and f"/etc/{name}" not in mounted:
                path = folder / name
                path.write_text(text)
                path.chmod(0o644)
                found[name] = str(path)
        return found

    def _make_bind_sources(self, record: ContainerRecord) -> None:
        """Directories that Binds name and the host lacks are made, as docker does; Mounts must find theirs."""
        strict = {
            mount.target
            for mount in record.host_config.mounts
            if not (mount.bind_options and mount.bind_options.create_mountpoint)
        }
        for point in record.mounts:
            if point.type == "volume" and not Path(point.source).is_dir():
                raise NotFound(f"the volume {point.name} has lost its directory {point.source}")
            if point.type != "bind" or Path(point.source).exists():
                continue
            if point.destination in strict:
                raise InvalidArgument(
                    f'invalid mount config for type "bind": bind source path does not exist: {point.source}'
                )
            try:
                Path(point.source).mkdir(parents=True)
            except OSError as error:
                raise InvalidArgument(
                    f"error while creating mount source path '{point.source}': mkdir {point.source}: {error.strerror}"
                ) from None

    def _plan(
        self, record: ContainerRecord, user: User, namespaces: NamespacePaths, files: Mapping[str, str]
    ) -> SpecPlan:
        host = record.host_config
        wants_init = host.init if host.init is not None else self.settings.default_init
        if wants_init and not self.settings.init_path:
            raise InvalidArgument("--init needs an init program: install tini, or name one with sampand's --init-path")
        return SpecPlan(
            config=record.config,
            host_config=host,
            host=self.settings.host,
            user=user,
            rootfs=str(self.run.rootfs(record.id)),
            cgroup_path=self.cgroup_path(record),
            hostname=record.config.hostname or self.settings.host.hostname,
            hostname_path=files.get("hostname", ""),
            hosts_path=files.get("hosts", ""),
            resolv_conf_path=files.get("resolv.conf", ""),
            mounts=tuple(_plainly_read_only(mount) for mount in plan_mounts(host, record.mounts)),
            namespaces=namespaces,
            devices=resolve_devices(host.devices or (), privileged=host.privileged),
            block_devices=block_numbers(host),
            init=self.settings.init_path if wants_init else None,
            seccomp=self.settings.seccomp,
            default_ulimits=self.settings.default_ulimits,
        )

    def cgroup_path(self, record: ContainerRecord) -> str:
        """The container's control group, below its parent's."""
        parent = record.host_config.cgroup_parent or self.settings.cgroup_parent
        return f"/{parent.strip('/')}/{record.id}"

    def is_frozen(self, record: ContainerRecord) -> bool:
        """Whether the kernel has stopped the container's processes: it is paused, whatever its row says."""
        return freezer.is_frozen(self.settings.host.cgroups, self.cgroup_path(record))

    def runtime_path(self, name: str) -> str:
        """The program of a runtime's name. Raises InvalidArgument for one that is not configured."""
        path = self.settings.runtimes.get(name)
        if path is None:
            raise InvalidArgument(f"unknown or invalid runtime name: {name}")
        return path

    def _is_crun(self, record: ContainerRecord) -> bool:
        return Path(self.runtime_path(record.host_config.runtime)).name == "crun"

    def _runtime(self, record: ContainerRecord, bundle: Path) -> list[str]:
        """The runtime's command as far as the verb."""
        path = self.runtime_path(record.host_config.runtime)
        options = ["--root", str(self.run.runtime)]
        if self._is_crun(record):
            options += ["--cgroup-manager", "cgroupfs"]
        return [path, *options]

    def _request(self, record: ContainerRecord, bundle: Path) -> StartRequest:
        config, runtime = record.config, self._runtime(record, bundle)
        pid_file = str(bundle / "pid")
        Path(pid_file).unlink(missing_ok=True)
        console = str(self.run.console(record.id)) if config.tty else None
        argv = [*runtime, "run", "--detach", "--bundle", str(bundle), "--pid-file", pid_file]
        argv += ["--console-socket", console] if console else []
        counter = self.settings.host.cgroups.oom_counter(self.cgroup_path(record))
        return StartRequest(
            id=record.id,
            kind="container",
            argv=[*argv, record.id],
            pid_file=pid_file,
            env=_runtime_environment(),
            cwd=str(bundle),
            console_socket=console,
            mounts=[self._root_mount(record.id), *self._joined_memory(record)],
            unmount=self.settings.unmount,
            slave=self.settings.slave,
            tty=config.tty,
            open_stdin=config.open_stdin,
            stdin_once=config.stdin_once,
            log=self._log(record),
            delete_argv=[*runtime, "delete", "--force", record.id],
            delete_env=_runtime_environment(),
            oom_file=str(counter) if counter else None,
        )

    def _root_mount(self, container_id: str) -> Mount:
        overlay = self.snapshots.mounts(container_id)
        return Mount("overlay", str(self.run.rootfs(container_id)), "overlay", 0, overlay.data, str(overlay.folder))

    def _joined_memory(self, record: ContainerRecord) -> Iterator[Mount]:
        """The /dev/shm of the container whose ipc namespace is joined, as that container has it mounted."""
        mode = record.host_config.ipc_mode
        if mode.startswith("container:"):
            target = self.run.shared_memory(record.id)
            target.mkdir(exist_ok=True)
            pid = self._running_pid(mode.removeprefix("container:"))
            yield Mount("/dev/shm", str(target), None, pid=pid)

    def _log(self, record: ContainerRecord) -> LogOptions | None:
        plan = plan_log(record.host_config.log_config, record.config)
        if plan.driver == "none":
            return None
        path = str(self.paths.container_log(record.id, plan.driver))
        return LogOptions(plan.driver, path, plan.max_size, plan.max_file, plan.compress, dict(plan.attributes))

    async def _delete_leftovers(self, record: ContainerRecord) -> None:
        """A runtime that failed may have left its state or a control group."""
        runtime = self._runtime(record, self.run.bundle(record.id))
        with suppress(SampanError):
            await self.monitor.delete(record.id, [*runtime, "delete", "--force", record.id], self.settings.unmount)

    # execs

    async def launch_exec(self, run: Exec, channel: Channel | None, console_size: tuple[int, int] | None) -> Started:
        """Start a command in a running container. Raises StartFailed."""
        record = run.container.record
        try:
            user = await self._exec_user(run)
            request = await asyncio.to_thread(self._exec_request, run, user, console_size)
            info = await self.monitor.start(request, [channel] if channel else [])
        except RuntimeFailed as failure:
            raise explain(failure.words, run.request.cmd or [], exec=True) from None
        except SampanError as error:
            raise StartFailed(str(error), 126) from error
        finally:
            bundle = self.run.bundle(record.id)
            for path in (bundle / f"exec-{run.id}.json", bundle / f"exec-{run.id}.pid", self.run.console(run.id)):
                path.unlink(missing_ok=True)
        return Started(info.pid, info.start_time, info.started_at)

    async def _exec_user(self, run: Exec) -> User:
        """As who: by the running container's own files, which it may have changed."""
        record = run.container.record
        root = Path(f"/proc/{record.state.pid}/root")
        descriptor = await asyncio.to_thread(os.open, root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            from sampan.engine.containers.rootfs import read_text
            from sampan.engine.containers.spec.users import resolve_user

            passwd, group = await asyncio.to_thread(
                lambda: (read_text(descriptor, "/etc/passwd"), read_text(descriptor, "/etc/group"))
            )
        finally:
            os.close(descriptor)
        wanted = run.request.user or record.config.user
        return resolve_user(wanted, passwd, group, tuple(record.host_config.group_add or ()))

    def _exec_request(self, run: Exec, user: User, console_size: tuple[int, int] | None) -> StartRequest:
        record, wish = run.container.record, run.request
        bundle = self.run.bundle(record.id)
        process = self._exec_process(record, run, user, console_size)
        document, pid_file = bundle / f"exec-{run.id}.json", str(bundle / f"exec-{run.id}.pid")
        document.write_bytes(msgspec.json.encode(process))
        console = str(self.run.console(run.id)) if wish.tty else None
        argv = [*self._runtime(record, bundle), "exec", "--detach", "--process", str(document), "--pid-file", pid_file]
        argv += ["--console-socket", console] if console else []
        return StartRequest(
            id=run.id,
            kind="exec",
            argv=[*argv, record.id],
            pid_file=pid_file,
            env=_runtime_environment(),
            cwd=str(bundle),
            console_socket=console,
            unmount=self.settings.unmount,
            tty=wish.tty,
            open_stdin=wish.attach_stdin,
            stdin_once=True,
            size=console_size,
        )

    def _exec_process(
        self, record: ContainerRecord, run: Exec, user: User, console_size: tuple[int, int] | None
    ) -> dict[str, Any]:
        """The OCI process: the container's own, with what this command changes."""
        wish = run.request
        base = msgspec.json.decode((self.run.bundle(record.id) / "config.json").read_bytes())["process"]
        config = msgspec.structs.replace(
            record.config, tty=wish.tty, env=[*(record.config.env or ()), *(wish.env or ())]
        )
        process: dict[str, Any] = base | {
            "terminal": wish.tty,
            "args": list(wish.cmd or ()),
            "env": environment(config, record.config.hostname or self.settings.host.hostname),
            "cwd": wish.working_dir or record.config.working_dir or "/",
            "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        }
        process.pop("consoleSize", None)
        if wish.tty and console_size:
            process["consoleSize"] = {"height": console_size[0], "width": console_size[1]}
        if wish.privileged:
            everything = list(self.settings.host.capabilities)
            process["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), everything)
        return process

    def forget_exec(self, exec_id: str) -> None:
        """The exit of a command was taken note of."""
        asyncio.get_running_loop().create_task(self._forget(exec_id))

    async def _forget(self, process_id: str) -> None:
        with suppress(SampanError):
            await self.monitor.forget(process_id)

    # the living

    def signal(self, container: Container, number: int) -> None:
        """Send a signal to the first process. One that just ended is fine."""
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
        request = await asyncio.to_thread(self._request, record, self.run.bundle(record.id))
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

    async def discard(self, container: Container, volumes: bool) -> None:
        """The row is gone: remove everything else."""
        record = container.record
        for channel in container.channels:
            channel.close()
        await container.idle.wait()
        await self.snapshots.remove(record.id)
        await asyncio.to_thread(self.remove_files, record.id)
        if volumes:
            for point in record.mounts:
                if point.type == "volume" and self.volumes.is_anonymous(point.name):
                    with suppress(Conflict, NotFound):
                        await self.volumes.remove(point.name)

    def remove_files(self, container_id: str) -> None:
        """Bundle, logs and the files of /etc. Blocks."""
        shutil.rmtree(self.run.bundle(container_id), ignore_errors=True)
        shutil.rmtree(self.paths.container(container_id), ignore_errors=True)


def _plainly_read_only(mount: MountPlan) -> MountPlan:
    """A file has nothing mounted below it, and crun before 1.9 can't make one read-only recursively."""
    if mount.tmpfs or not mount.read_only or Path(mount.source).is_dir():
        return mount
    return replace(mount, read_only_recursive=False)


def _runtime_environment() -> dict[str, str]:
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def exit_of(info: ProcessInfo) -> Any:
    """The monitor's news in the engine's terms."""
    from sampan.engine.containers.lifecycle import Exit

    return Exit(info.status, info.oom, info.exited_at)
