"""A container's durable record: what the user sent, and our own state. Inspect is rendered from it, never stored.

States (`State.status`) and what moves between them:

    created ──start──▶ running ──exit──▶ exited ──start──▶ running
       │                │  ▲                │
       │           pause│  │unpause         ├──restart policy──▶ restarting ──▶ running
       │                ▼  │                │
       │               paused ──exit──▶     │
       └───────────remove──▶ (removing) ◀───┘

`intent` is `create` until everything that a container needs is made; a start of the daemon that finds it undoes the
creating. Removing needs none: the row goes first, and bytes without a row are swept.
"""

from __future__ import annotations

import msgspec

from sampan.wire.containers import ContainerConfig, Health, HostConfig, MountPoint, NetworkingConfig


class State(msgspec.Struct, kw_only=True):
    """What became of the container's process. Times are nanoseconds since 1970, 0 for never."""

    status: str = "created"
    pid: int = 0
    pid_start_time: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0
    finished_at: int = 0
    stopped_by_hand: bool = False
    restart_count: int = 0
    health_report: Health | None = None

    @property
    def running(self) -> bool:
        """Whether a process lives, paused or not."""
        return self.status in ("running", "paused")


class ContainerRecord(msgspec.Struct, kw_only=True):
    """One row of the table `containers`.

    `config` is the user's merged with the image's, as dockerd's inspect shows it; `mounts` are the volumes and binds
    that were resolved at create; `subpaths` has, by their destinations, what of a volume is mounted where it isn't the
    whole; `log_path` is empty for a driver without a file; `links` has ids by alias; `shallow_read_only` where a
    read-only bind leaves alone what is mounted below it, as all did before API 1.44.
    """

    id: str
    name: str
    created: int
    image_id: str
    image_name: str
    platform: str
    config: ContainerConfig
    host_config: HostConfig
    networking: NetworkingConfig
    mounts: list[MountPoint]
    log_path: str
    subpaths: dict[str, str] = msgspec.field(default_factory=dict)
    links: dict[str, str] = msgspec.field(default_factory=dict)
    shallow_read_only: bool = False
    state: State = msgspec.field(default_factory=State)
    intent: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ContainerRecord)


def encode(record: ContainerRecord) -> bytes:
    """The column `document` of a row."""
    return _encoder.encode(record)


def decode(document: bytes) -> ContainerRecord:
    """The record of a row's `document`; raises msgspec.ValidationError when it is not one."""
    return _decoder.decode(document)
