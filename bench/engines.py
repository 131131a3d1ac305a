"""The engines that are measured, each with its data on an ext4 of its own over RAM and in a network of its own."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rig import image
from rig.engines import PEERS, Engine, GenuineDockerd, Sampand
from rig.ramdisk import RamDisk

DISK_MEGABYTES = 6000
IMAGE = "docker.io/library/busybox:latest"


class Podman(Engine):
    """podman's API service, which speaks the same API through its compatibility layer."""

    def __init__(self, home: Path | None = None, flags: tuple[str, ...] = ()) -> None:
        super().__init__(home, flags)
        roots = [f"--root={self.home}/root", f"--runroot={self.home}/run", f"--tmpdir={self.home}/tmp"]
        options = ["--cgroup-manager=cgroupfs", f"--network-config-dir={self.home}/net"]
        service = ["system", "service", "--time=0", self.host]
        registries = self.home / "registries.conf"
        registries.write_text('[[registry]]\nlocation = "127.0.0.1:5000"\ninsecure = true\n')
        environment = ["env", f"CONTAINERS_REGISTRIES_CONF={registries}"]
        self.command = [*environment, str(PEERS), "run", "podman", *roots, *options, *service]


KINDS: dict[str, tuple[type[Engine], tuple[str, ...]]] = {
    "sampand": (Sampand, ()),
    "dockerd": (GenuineDockerd, ()),
    "dockerd, containerd store": (GenuineDockerd, ("--feature=containerd-snapshotter=true",)),
    "podman": (Podman, ()),
}


class Bench:
    """One engine under measurement: started, with the busybox image."""

    def __init__(self, name: str) -> None:
        self.name = name
        kind, flags = KINDS[name]
        home = Path(tempfile.mkdtemp(prefix="sampan-bench-", dir="/tmp"))
        self.disk = RamDisk(home, DISK_MEGABYTES)
        try:
            self.engine = kind(home, flags)
            self.engine.start()
            with self.engine.client() as client:
                headers = {"Content-Type": "application/x-tar"}
                answer = client.request("POST", "/images/load?quiet=1", image.busybox_archive(IMAGE), headers)
                assert answer.status == 200 and b'"error"' not in answer.body, answer.message
        except BaseException:
            self.close()
            raise

    def recover(self) -> None:
        """What runs is removed, after a start where the engine has ended."""
        if self.engine.process is None or self.engine.process.poll() is not None:
            self.engine.start()
        self.remove_running()

    def remove_running(self) -> None:
        """Containers that don't run hold nothing that outlasts the disk."""
        with self.engine.client(timeout=300) as client:
            for container in client.get("/containers/json").json():
                client.post(f"/containers/{container['Id']}/kill")  # podman's forced removal waits ten seconds first
                client.delete(f"/containers/{container['Id']}?force=1&v=1")

    def close(self) -> None:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.disk.path, ignore_errors=True)
            stack.callback(self.disk.close)
            if hasattr(self, "engine"):
                stack.callback(self.engine.network.close)
                if self.engine.process is not None and self.engine.process.poll() is None:
                    stack.callback(self.engine.terminate)
                    self.remove_running()
