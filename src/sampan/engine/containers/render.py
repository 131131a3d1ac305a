"""From a container's record to what the API shows. Pure: equal records give equal documents at equal times."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from sampan.engine.containers.record import ContainerRecord, State
from sampan.wire.codec import format_time
from sampan.wire.containers import (
    ContainerInspect,
    ContainerState,
    ContainerSummary,
    Health,
    NetworkSettings,
    Port,
    PortBinding,
    SummaryHostConfig,
    SummaryNetworkSettings,
)
from sampan.wire.images import DriverData
from sampan.wire.networks import EndpointSettings

SECOND = 1_000_000_000
Ports = dict[str, list[PortBinding] | None]


def command_of(record: ContainerRecord) -> list[str]:
    """The whole command line."""
    return [*(record.config.entrypoint or ()), *(record.config.cmd or ())]


def render_state(state: State, removing: bool, health: Health | None) -> ContainerState:
    """`State` of inspect."""
    return ContainerState(
        status=status_of(state, removing),
        running=state.running or state.status == "restarting",
        paused=state.status == "paused",
        restarting=state.status == "restarting",
        oom_killed=state.oom_killed,
        pid=state.pid,
        exit_code=state.exit_code,
        error=state.error,
        started_at=format_time(state.started_at),
        finished_at=format_time(state.finished_at),
        health=health,
    )


def status_of(state: State, removing: bool) -> str:
    """The one word: created, running, paused, restarting, removing or exited."""
    return "removing" if removing else state.status


def render_inspect(
    record: ContainerRecord,
    state: ContainerState,
    folder: PurePath,
    exec_ids: Sequence[str],
    graph: Mapping[str, str],
    network: NetworkSettings,
) -> ContainerInspect:
    """Answer of GET /containers/{id}/json; `folder` holds the container's files."""
    path, *arguments = command_of(record)
    started = record.state.started_at > 0 or bool(record.state.error)
    files = {name: str(folder / name) if started else "" for name in ("resolv.conf", "hostname", "hosts")}
    return ContainerInspect(
        id=record.id,
        created=format_time(record.created),
        path=path,
        args=arguments,
        state=state,
        image=record.image_id,
        resolv_conf_path=files["resolv.conf"],
        hostname_path=files["hostname"],
        hosts_path=files["hosts"],
        log_path=record.log_path if started else "",
        name=f"/{record.name}",
        restart_count=record.state.restart_count,
        driver="overlay2",
        platform="linux",
        exec_ids=list(exec_ids) or None,
        host_config=record.host_config,
        graph_driver=DriverData(name="overlay2", data=dict(graph)),
        mounts=record.mounts,
        config=record.config,
        network_settings=network,
    )


def render_summary(
    record: ContainerRecord,
    status: str,
    health: Health | None,
    image: str,
    endpoints: Mapping[str, EndpointSettings],
    ports: Ports,
    links: Sequence[str] = (),
) -> ContainerSummary:
    """A row of GET /containers/json; `image` is the name to show, `links` are names that others have for it."""
    return ContainerSummary(
        id=record.id,
        names=sorted([f"/{record.name}", *links]),
        image=image,
        image_id=record.image_id,
        command=" ".join(map(_quoted, command_of(record))),
        created=record.created // SECOND,
        ports=summary_ports(ports),
        labels=record.config.labels or {},
        state=status,
        status=describe(record.state, status, health, time.time_ns()),
        host_config=SummaryHostConfig(
            network_mode=record.host_config.network_mode, annotations=record.host_config.annotations
        ),
        network_settings=SummaryNetworkSettings(networks=dict(endpoints)),
        mounts=record.mounts,
    )


def _quoted(argument: str) -> str:
    return f"'{argument}'" if " " in argument else argument


def summary_ports(ports: Ports) -> list[Port]:
    """Ports of a list row, published ones once for each binding."""
    found = []
    for name, bindings in ports.items():
        number, _, protocol = name.partition("/")
        for binding in bindings or [PortBinding()]:
            public = int(binding.host_port or 0)
            found.append(Port(ip=binding.host_ip, private_port=int(number), public_port=public, type=protocol or "tcp"))
    return found


def describe(state: State, status: str, health: Health | None, now: int) -> str:
    """`Status` of a list row: `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`; `now` in nanoseconds."""
    if status == "removing":
        return "Removal In Progress"
    if status == "created":
        return "Created"
    if status == "restarting":
        return f"Restarting ({state.exit_code}) {human_duration(now - state.finished_at)} ago"
    if state.running:
        up = f"Up {human_duration(now - state.started_at)}"
        if state.status == "paused":
            return f"{up} (Paused)"
        note = {"starting": "health: starting"}.get(health.status, health.status) if health else ""
        return f"{up} ({note})" if note and note != "none" else up
    return f"Exited ({state.exit_code}) {human_duration(now - state.finished_at)} ago"


def human_duration(nanoseconds: int) -> str:
    """A duration in docker's words."""
    seconds = nanoseconds // SECOND
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = (seconds + 1800) // 3600
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{hours // 24 // 365} years"
