"""Where everything lies. The only module that forms paths below the two roots.

data-root/                       durable
  sampan.db                      rows (SQLite, WAL)
  room.bin                       space held back for rows that make room on a full disk
  blobs/<algorithm>/<hex>        content, as received
  ingest/<name>                  content on its way in
  snapshots/<n>/fs, work         unpacked layers and container layers
  containers/<id>/               log files, hosts, hostname, resolv.conf
  volumes/<name>/_data
exec-root/                       may vanish at a boot
  monitor.sock, monitor/         the monitor's socket and its own state
  runtime/                       the OCI runtime's --root
  bundles/<id>/config.json, rootfs/, exec-<id>.json
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DataPaths:
    """Paths below the data root."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "sampan.db"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def ingest(self) -> Path:
        return self.root / "ingest"

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def containers(self) -> Path:
        return self.root / "containers"

    def container(self, container_id: str) -> Path:
        return self.containers / container_id

    def container_log(self, container_id: str, driver: str) -> Path:
        """The current log file: docker's name for json-file, ours for local."""
        name = f"{container_id}-json.log" if driver == "json-file" else "container.log"
        return self.container(container_id) / name


@dataclass(frozen=True)
class RunPaths:
    """Paths below the exec root."""

    root: Path

    @property
    def monitor_socket(self) -> Path:
        return self.root / "monitor.sock"

    @property
    def monitor_state(self) -> Path:
        return self.root / "monitor"

    @property
    def runtime(self) -> Path:
        return self.root / "runtime"

    @property
    def bundles(self) -> Path:
        return self.root / "bundles"

    @property
    def consoles(self) -> Path:
        return self.root / "tty"

    def console(self, process_id: str) -> Path:
        """The socket to which the runtime sends the terminal of a process."""
        return self.consoles / process_id[:16]

    def bundle(self, container_id: str) -> Path:
        return self.bundles / container_id

    def rootfs(self, container_id: str) -> Path:
        """The mount target of a container's root, used only inside its own mount namespace."""
        return self.bundle(container_id) / "rootfs"

    def subpath(self, container_id: str, number: int) -> Path:
        """Where a part of a volume is mounted, likewise."""
        return self.bundle(container_id) / f"volume-{number}"

    def shared_memory(self, container_id: str) -> Path:
        """Where another container's /dev/shm is mounted, likewise, for one that joins its ipc namespace."""
        return self.bundle(container_id) / "shm"
