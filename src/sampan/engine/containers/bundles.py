"""A container's bundle, and what the monitor is asked for: from a record to a StartRequest.

    record, attachment, user ─ files of containers/<id>/ ─ SpecPlan ─ bundles/<id>/config.json ─ StartRequest
    exec                     ─ the container's own process, changed ─ exec-<id>.json ───────── StartRequest

Blocking: called in a thread.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec

from sampan.engine.containers.execs import Exec
from sampan.engine.containers.filters import FilterCache
from sampan.engine.containers.links import Link, Links, with_hosts
from sampan.engine.containers.links import environment as environment_of
from sampan.engine.containers.logs import plan_log, tag_of
from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.spec.build import build, environment
from sampan.engine.containers.spec.devices import block_numbers, resolve_devices
from sampan.engine.containers.spec.mounts import plan_mounts
from sampan.engine.containers.spec.plan import MountPlan, NamespacePaths, SpecPlan
from sampan.engine.containers.spec.seccomp import Profile
from sampan.engine.containers.spec.users import User
from sampan.engine.containers.table import Container, Table
from sampan.errors import Conflict, Internal, InvalidArgument, NotFound
from sampan.kernel.facts import HostFacts
from sampan.kernel.mounts import within
from sampan.monitor.client import LogOptions, Mount, StartRequest
from sampan.store.overlay import OverlayMount
from sampan.store.paths import DataPaths, RunPaths
from sampan.wire.containers import MountPoint, Ulimit


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


class Mounts(Protocol):
    """Containers' layers, as a bundle needs them."""

    def mounts(self, key: str) -> OverlayMount: ...


@dataclass
class Bundles:
    """Makes bundles. `table` finds the containers whose namespaces are joined."""

    table: Table
    snapshots: Mounts
    paths: DataPaths
    run: RunPaths
    settings: RuntimeSettings
    links: Links
    filters: FilterCache = field(default_factory=FilterCache)

    def write(
        self, record: ContainerRecord, attachment: Attachment, user: User, namespaces: NamespacePaths
    ) -> StartRequest:
        links = self.links.of(record)
        files = self._write_files(record, attachment, links)
        bundle = self.run.bundle(record.id)
        self.run.rootfs(record.id).mkdir(parents=True, exist_ok=True)
        self._make_bind_sources(record)
        self._make_subpath_targets(record)
        plan = self._plan(record, user, namespaces, files)
        if links:
            env = [*environment_of(links), *(record.config.env or ())]
            plan = replace(plan, config=msgspec.structs.replace(record.config, env=env))
        spec = build(plan)
        if self._is_crun(record):
            self.filters.embed(spec)
        (bundle / "config.json").write_bytes(msgspec.json.encode(spec))
        return self.request(record, bundle)

    def namespaces(self, record: ContainerRecord, attachment: Attachment) -> NamespacePaths:
        """Those that the container joins. Raises Conflict, Internal where another is to share one and does not run."""
        host = record.host_config
        pid, ipc = self._joined(host.pid_mode, "PID"), self._joined(host.ipc_mode, "IPC")
        if ipc and ipc.record.host_config.ipc_mode in ("private", "none"):
            raise InvalidArgument(
                f"failed to join IPC namespace: container {ipc.id}: non-shareable IPC "
                "(hint: use IpcMode:shareable for the donor container)"
            )
        return NamespacePaths(
            network=attachment.namespace,
            pid=f"/proc/{pid.record.state.pid}/ns/pid" if pid else "",
            ipc=f"/proc/{ipc.record.state.pid}/ns/ipc" if ipc else "",
            shm=str(self.run.shared_memory(record.id)) if ipc else "",
        )

    def _joined(self, mode: str, kind: str) -> Container | None:
        """The container whose namespace is joined, if there is one. As docker has it, its absence is a failure of the
        daemon where processes are to be shared."""
        if not mode.startswith("container:"):
            return None
        try:
            other = self.table.find(mode.removeprefix("container:"))
        except NotFound as error:
            raise InvalidArgument(f"failed to join {kind} namespace: {error}") from None
        if not other.running:
            words = f"failed to join {kind} namespace: container {other.id} is not running"
            raise Internal(words) if kind == "PID" else Conflict(words)
        return other

    def _write_files(self, record: ContainerRecord, attachment: Attachment, links: Sequence[Link]) -> dict[str, str]:
        """hostname, hosts and resolv.conf; rewritten at each start, as docker does. Returns their paths."""
        folder = self.paths.container(record.id)
        folder.mkdir(mode=0o710, parents=True, exist_ok=True)
        hosts = with_hosts(attachment.hosts, links) if links else attachment.hosts
        contents = {"hosts": hosts, "resolv.conf": attachment.resolv_conf}
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

    def _subpath_mounts(self, record: ContainerRecord) -> list[Mount]:
        """Parts of volumes. A link that changes while we look must not lead out of the volume, so that they are bound
        where no path is looked at again: in the runtime's own mount namespace, to a place from which it binds them."""
        return [
            Mount(subpath, str(self.run.subpath(record.id, number)), None, within=point.source)
            for number, point in enumerate(record.mounts)
            if (subpath := record.subpaths.get(point.destination))
        ]

    def _sources(self, record: ContainerRecord) -> list[MountPoint]:
        """The mounts as the runtime is to make them."""
        places = {mount.target for mount in self._subpath_mounts(record)}
        numbered = [(str(self.run.subpath(record.id, number)), point) for number, point in enumerate(record.mounts)]
        return [msgspec.structs.replace(point, source=place) if place in places else point for place, point in numbered]

    def _make_subpath_targets(self, record: ContainerRecord) -> None:
        for mount in self._subpath_mounts(record):
            folder, target = mount.within or "", Path(mount.target)
            try:
                with within(folder, mount.source) as source:
                    is_folder = os.path.isdir(source)
            except OSError as error:
                if error.errno == errno.EXDEV:
                    raise InvalidArgument(
                        f"path concatenation escapes the base directory, base: {folder}, subpath: {mount.source}"
                    ) from None
                raise NotFound(
                    f"cannot access path {folder}/{mount.source}: {os.strerror(error.errno or 0).lower()}"
                ) from None
            if target.exists() and target.is_dir() != is_folder:
                target.rmdir() if target.is_dir() else target.unlink()
            target.mkdir(exist_ok=True) if is_folder else target.touch()

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
            mounts=tuple(
                _plainly_read_only(mount, record.shallow_read_only)
                for mount in plan_mounts(host, self._sources(record))
            ),
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

    def runtime_path(self, name: str) -> str:
        """The program of a runtime's name. Raises InvalidArgument for one that is not configured."""
        path = self.settings.runtimes.get(name)
        if path is None:
            raise InvalidArgument(f"unknown or invalid runtime name: {name}")
        return path

    def _is_crun(self, record: ContainerRecord) -> bool:
        return Path(self.runtime_path(record.host_config.runtime)).name == "crun"

    def runtime(self, record: ContainerRecord, bundle: Path) -> list[str]:
        """The runtime's command as far as the verb."""
        path = self.runtime_path(record.host_config.runtime)
        options = ["--root", str(self.run.runtime)]
        if self._is_crun(record):
            options += ["--cgroup-manager", "cgroupfs"]
        return [path, *options]

    def request(self, record: ContainerRecord, bundle: Path) -> StartRequest:
        config, runtime = record.config, self.runtime(record, bundle)
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
            mounts=[self._root_mount(record.id), *self._joined_memory(record), *self._subpath_mounts(record)],
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
        other = self.table.get(record.host_config.ipc_mode.removeprefix("container:"))
        if other and other.running:
            target = self.run.shared_memory(record.id)
            target.mkdir(exist_ok=True)
            yield Mount("/dev/shm", str(target), None, pid=other.record.state.pid)

    def _log(self, record: ContainerRecord) -> LogOptions | None:
        plan = plan_log(record.host_config.log_config, record.config)
        if plan.driver == "none":
            return None
        path = str(self.paths.container_log(record.id, plan.driver))
        attributes = dict(plan.attributes)
        if "tag" in attributes:
            attributes["tag"] = tag_of(record, attributes["tag"])
        return LogOptions(plan.driver, path, plan.max_size, plan.max_file, plan.compress, attributes)

    def exec_request(self, run: Exec, user: User, console_size: tuple[int, int] | None) -> StartRequest:
        record, wish = run.container.record, run.request
        bundle = self.run.bundle(record.id)
        process = self._exec_process(record, run, user, console_size)
        document, pid_file = bundle / f"exec-{run.id}.json", str(bundle / f"exec-{run.id}.pid")
        document.write_bytes(msgspec.json.encode(process))
        console = str(self.run.console(run.id)) if wish.tty else None
        # What goes wrong once the terminal is the process's stderr is told by the runtime's log alone.
        errors = str(bundle / f"exec-{run.id}.log") if wish.tty else None
        argv = [*self.runtime(record, bundle), *(["--log", errors] if errors else [])]
        argv += ["exec", "--detach", "--process", str(document), "--pid-file", pid_file]
        argv += ["--console-socket", console] if console else []
        return StartRequest(
            id=run.id,
            kind="exec",
            argv=[*argv, record.id],
            pid_file=pid_file,
            env=_runtime_environment(),
            cwd=str(bundle),
            console_socket=console,
            error_file=errors,
            unmount=self.settings.unmount,
            tty=wish.tty,
            open_stdin=wish.attach_stdin,
            stdin_once=True,
            size=console_size,
        )

    def remove_exec(self, container_id: str, exec_id: str) -> None:
        """The files of a command, which are of no use once it has started or failed to."""
        bundle = self.run.bundle(container_id)
        for kind in ("json", "pid", "log"):
            (bundle / f"exec-{exec_id}.{kind}").unlink(missing_ok=True)
        self.run.console(exec_id).unlink(missing_ok=True)

    def _exec_process(
        self, record: ContainerRecord, run: Exec, user: User, console_size: tuple[int, int] | None
    ) -> dict[str, Any]:
        """The OCI process: the container's own, with what this command changes."""
        wish = run.request
        base = msgspec.json.decode((self.run.bundle(record.id) / "config.json").read_bytes())["process"]
        linked = _linked_variables(record, base["env"]) if record.links else []
        env = [*linked, *(record.config.env or ()), *(wish.env or ())]
        config = msgspec.structs.replace(record.config, tty=wish.tty, env=env)
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


def _linked_variables(record: ContainerRecord, env: Sequence[str]) -> list[str]:
    """Those of the container's variables that its links brought when it was started."""
    prefixes = tuple(f"{alias.upper().replace('-', '_')}_" for alias in record.links)
    return [entry for entry in env if entry.startswith(prefixes)]


def _plainly_read_only(mount: MountPlan, shallow: bool) -> MountPlan:
    """A file has nothing mounted below it, and crun before 1.9 can't make one read-only recursively."""
    if mount.tmpfs or not mount.read_only or (not shallow and Path(mount.source).is_dir()):
        return mount
    return replace(mount, read_only_recursive=False)


def _runtime_environment() -> dict[str, str]:
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
