"""What the tests of the monitor share: a busybox root, runtime specs, a client that collects what it is told."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from sampan.kernel import syscalls
from sampan.monitor.client import Channel, LogOptions, MonitorClient, Mount, ProcessInfo, StartRequest
from sampan.monitor.logs import LogQuery
from sampan.monitor.logs.reader import LogReader
from sampan.store.paths import RunPaths

HYBRID = Path("/sys/fs/cgroup/unified").is_dir()
NAMESPACES = ("pid", "network", "ipc", "uts", "mount")


class Kit:
    """A temporary exec root with a monitor, and short ways to start things in it."""

    def __init__(self) -> None:
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        self.root = Path(tempfile.mkdtemp(prefix="monitor-", dir="/tmp"))
        self.paths = RunPaths(self.root / "run")
        self._mount_point = next(str(path) for path in self.root.parents if path.is_mount())
        self.image = self.root / "image"
        self._make_image()
        self.exits: dict[str, asyncio.Future[ProcessInfo]] = {}
        self.deletions: dict[str, asyncio.Future[str | None]] = {}
        self.client = self.new_client()
        self._count = 0

    def new_client(self) -> MonitorClient:
        return MonitorClient(self.paths, self._on_exit, self._on_deleted)

    def _make_image(self) -> None:
        (self.image / "bin").mkdir(parents=True)
        for name in ("proc", "dev", "sys", "tmp"):
            (self.image / name).mkdir()
        shutil.copy("/bin/busybox", self.image / "bin/busybox")
        for name in (
            "sh",
            "true",
            "cat",
            "echo",
            "sleep",
            "yes",
            "head",
            "stty",
            "kill",
            "seq",
            "stat",
            "printf",
            "dd",
        ):
            (self.image / "bin" / name).symlink_to("busybox")

    def _on_exit(self, info: ProcessInfo) -> None:
        self._future(self.exits, info.id).set_result(info)

    def _on_deleted(self, name: str, error: str | None) -> None:
        self._future(self.deletions, name).set_result(error)

    def _future(self, futures, name):
        if name not in futures:
            futures[name] = asyncio.get_running_loop().create_future()
        return futures[name]

    async def exited(self, name: str) -> ProcessInfo:
        return await asyncio.wait_for(self._future(self.exits, name), 60)

    async def deleted(self, name: str) -> str | None:
        return await asyncio.wait_for(self._future(self.deletions, name), 60)

    def log_path(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def read_log(self, name: str, driver: str) -> bytes:
        """A container's log, read back whole."""
        reader = LogReader(self.log_path(name), driver, LogQuery(raw=True))
        parts = []
        while (batch := reader.read()) is not None:
            parts.append(batch)
        reader.close()
        return b"".join(parts)

    def request(self, *args: str, name: str | None = None, driver: str | None = "json-file", **options) -> StartRequest:
        """A start of `args` in a new container; log options go in as `log_options`."""
        self._count += 1
        name = name or f"c{self._count}"
        bundle = self.paths.bundle(name)
        for part in ("rootfs", "upper", "work"):
            (bundle / part).mkdir(parents=True, exist_ok=True)
        self.log_path(name).parent.mkdir(exist_ok=True)
        spec = self.spec(list(args), bundle, options.get("tty", False))
        (bundle / "config.json").write_text(json.dumps(spec))
        log_options = options.pop("log_options", {})
        crun = ["/usr/bin/crun", "--root", str(self.root / "crun"), "--cgroup-manager", "cgroupfs"]
        log = [f"--log={bundle}/error", "--log-format=text"]
        console = ["--console-socket", str(bundle / "console.sock")] if options.get("tty") else []
        run = ["run", "--detach", "--pid-file", f"{bundle}/pid", *console, "-b", str(bundle), name]
        data = f"lowerdir={self.image},upperdir=upper,workdir=work"
        return StartRequest(
            id=name,
            kind="container",
            argv=[*crun, *log, *run],
            pid_file=f"{bundle}/pid",
            console_socket=str(bundle / "console.sock") if options.get("tty") else None,
            mounts=[Mount("overlay", f"{bundle}/rootfs", "overlay", 0, data, str(bundle))],
            unmount=["/sys/fs/cgroup/unified"] if HYBRID else [],
            slave=[self._mount_point],
            delete_argv=[*crun, "delete", "-f", name],
            error_file=f"{bundle}/error",
            log=LogOptions(driver, str(self.log_path(name)), **log_options) if driver else None,
            **options,
        )

    def exec_request(self, container: str, *args: str, tty: bool = False, **options) -> StartRequest:
        self._count += 1
        name = f"x{self._count}"
        base = self.paths.bundle(container)
        process = {"args": list(args), "cwd": "/", "env": ["PATH=/bin"], "terminal": tty}
        (base / f"{name}.json").write_text(json.dumps(process))
        crun = ["/usr/bin/crun", "--root", str(self.root / "crun"), "--cgroup-manager", "cgroupfs"]
        console = ["--console-socket", str(base / f"{name}.sock")] if tty else []
        run = ["exec", "--detach", "--pid-file", f"{base}/{name}.pid", *console, "--process", f"{base}/{name}.json"]
        return StartRequest(
            id=name,
            kind="exec",
            argv=[*crun, f"--log={base}/{name}.error", "--log-format=text", *run, container],
            pid_file=f"{base}/{name}.pid",
            console_socket=str(base / f"{name}.sock") if tty else None,
            unmount=["/sys/fs/cgroup/unified"] if HYBRID else [],
            error_file=f"{base}/{name}.error",
            tty=tty,
            **options,
        )

    def spec(self, args: list[str], bundle: Path, tty: bool) -> dict:
        return {
            "ociVersion": "1.0.0",
            "process": {
                "terminal": tty,
                "user": {"uid": 0, "gid": 0},
                "args": args,
                "env": ["PATH=/bin"],
                "cwd": "/",
                "oomScoreAdj": 0,
            },
            "root": {"path": str(bundle / "rootfs")},
            "hostname": "box",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {
                    "destination": "/dev",
                    "type": "tmpfs",
                    "source": "tmpfs",
                    "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
                },
                {
                    "destination": "/dev/pts",
                    "type": "devpts",
                    "source": "devpts",
                    "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
                },
            ],
            "linux": {
                "cgroupsPath": f"/monitor-test/{self.root.name}-{bundle.name}",
                "namespaces": [{"type": kind} for kind in NAMESPACES],
            },
        }

    async def run(self, *args: str, channels: list[Channel] = [], **options) -> ProcessInfo:  # noqa: B006
        """Start, wait for the end and for the deletion."""
        request = self.request(*args, **options)
        await self.client.start(request, channels)
        info = await self.exited(request.id)
        await self.deleted(request.id)
        return info

    async def kill_monitor(self) -> None:
        """SIGKILL, and wait until a successor has taken over."""
        dead = self.client.pid
        os.kill(dead, 9)
        while self.client.pid == dead:  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.001)
        await self.client.ensure()

    async def stop(self) -> None:
        """End the monitor and all of its processes by pid, and remove the root."""
        for info in await self.client.ensure():
            if info.state == "running":
                with suppress(ProcessLookupError):
                    os.kill(info.pid, 9)
        for info in await self.client.ensure():
            await self.exited(info.id)
            if info.id[0] != "x" and not self.client.info(info.id).deleted:
                await self.deleted(info.id)
            await self.client.forget(info.id)
        await self.client.quit_when_empty()
        self.client.close()
        remove_busy_tree(self.root)
        for parent in Path("/sys/fs/cgroup").glob("*/monitor-test"):
            with suppress(OSError):
                parent.rmdir()


async def read_all(channel: Channel) -> bytes:
    """What comes until end of file."""
    loop = asyncio.get_running_loop()
    parts = []
    while part := await asyncio.wait_for(loop.sock_recv(channel.socket, 1 << 20), 60):
        parts.append(part)
    channel.close()
    return b"".join(parts)


def unframe(data: bytes) -> dict[int, bytes]:
    """The bytes of each stream in docker's frames."""
    streams: dict[int, bytearray] = {}
    position = 0
    while position < len(data):
        stream, size = data[position], int.from_bytes(data[position + 4 : position + 8], "big")
        assert data[position + 1 : position + 4] == b"\0\0\0"
        streams.setdefault(stream, bytearray()).extend(data[position + 8 : position + 8 + size])
        position += 8 + size
    return {stream: bytes(part) for stream, part in streams.items()}


def logged(path: Path) -> dict[str, bytes]:
    """The bytes of each stream in a json-file log."""
    streams: dict[str, bytearray] = {}
    for line in path.read_bytes().splitlines():
        record = json.loads(line)
        streams.setdefault(record["stream"], bytearray()).extend(record["log"].encode("utf-8", "surrogateescape"))
    return {stream: bytes(part) for stream, part in streams.items()}


def remove_busy_tree(root: Path) -> None:
    """Remove a folder in which a compression may just be renaming its file."""
    for _ in range(100):
        try:
            shutil.rmtree(root)
        except FileNotFoundError:
            continue
        return
    raise AssertionError(f"{root} can't be removed")
