"""Containers on the wire: what a client sends to make one, and what the daemon tells about it.

    CreateRequest = ContainerConfig + HostConfig + NetworkingConfig          POST /containers/create
    HostConfig    = Resources + ...          UpdateRequest = Resources + RestartPolicy
    ContainerInspect, ContainerSummary       GET /containers/{id}/json, GET /containers/json

Engine API 1.51, definitions ContainerConfig, HostConfig, Resources, ContainerInspectResponse and so on; where the
definitions and dockerd 28.5 differ (null, [], {}, what is left out), dockerd is followed.
"""

# ruff: noqa: RUF012

from __future__ import annotations

from sampan.wire.base import Document, Empty, Int, StrSlice, UInt16, always, always_new, pascal
from sampan.wire.distribution import Descriptor
from sampan.wire.images import DriverData
from sampan.wire.networks import EndpointSettings


class HealthConfig(Document, kw_only=True, rename=pascal()):
    """How to check health; durations in nanoseconds."""

    test: list[str] = []
    interval: Int = 0
    timeout: Int = 0
    start_period: Int = 0
    start_interval: Int = 0
    retries: Int = 0


class ContainerConfig(Document, kw_only=True, rename=pascal()):
    """The part of a container's configuration that does not depend on the host."""

    hostname: str = always("")
    domainname: str = always("")
    user: str = always("")
    attach_stdin: bool = always(False)
    attach_stdout: bool = always(False)
    attach_stderr: bool = always(False)
    exposed_ports: dict[str, Empty] = {}
    tty: bool = always(False)
    open_stdin: bool = always(False)
    stdin_once: bool = always(False)
    env: list[str] | None = always(None)
    cmd: StrSlice | None = always(None)
    healthcheck: HealthConfig | None = None
    args_escaped: bool = False
    image: str = always("")
    volumes: dict[str, Empty] | None = always(None)
    working_dir: str = always("")
    entrypoint: StrSlice | None = always(None)
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = always(None)
    labels: dict[str, str] | None = always(None)
    stop_signal: str = ""
    stop_timeout: Int | None = None
    shell: StrSlice = []


class LogConfig(Document, kw_only=True, rename=pascal()):
    """A log driver and its options."""

    type: str = always("")
    config: dict[str, str] | None = always(None)


class RestartPolicy(Document, kw_only=True, rename=pascal()):
    """`name` is "", no, always, unless-stopped or on-failure."""

    name: str = always("")
    maximum_retry_count: Int = always(0)


class PortBinding(Document, kw_only=True, rename=pascal()):
    """A host address and port; both strings, both may be empty."""

    host_ip: str = always("")
    host_port: str = always("")


class Ulimit(Document, kw_only=True, rename=pascal()):
    """A resource limit; -1 is unlimited."""

    name: str = always("")
    hard: Int = always(0)
    soft: Int = always(0)


class DeviceMapping(Document, kw_only=True, rename=pascal()):
    """A host device and where it appears in the container."""

    path_on_host: str = always("")
    path_in_container: str = always("")
    cgroup_permissions: str = always("")


class DeviceRequest(Document, kw_only=True, rename=pascal(device_ids="DeviceIDs")):
    """A wish for devices that a driver fulfils (GPUs)."""

    driver: str = always("")
    count: Int = always(0)
    device_ids: list[str] | None = always(None)
    capabilities: list[list[str] | None] | None = always(None)
    options: dict[str, str] | None = always(None)


class WeightDevice(Document, kw_only=True, rename=pascal()):
    """Relative block I/O weight of a device."""

    path: str = always("")
    weight: UInt16 = always(0)


class ThrottleDevice(Document, kw_only=True, rename=pascal()):
    """Rate limit of a device, bytes or operations a second."""

    path: str = always("")
    rate: int = always(0)


class DriverConfig(Document, kw_only=True, rename=pascal()):
    """A volume driver and its options."""

    name: str = ""
    options: dict[str, str] = {}


class BindOptions(Document, kw_only=True, rename=pascal()):
    """Options of a mount of type bind."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class VolumeOptions(Document, kw_only=True, rename=pascal()):
    """Options of a mount of type volume."""

    no_copy: bool = False
    labels: dict[str, str] = {}
    subpath: str = ""
    driver_config: DriverConfig | None = None


class ImageOptions(Document, kw_only=True, rename=pascal()):
    """Options of a mount of type image."""

    subpath: str = ""


class TmpfsOptions(Document, kw_only=True, rename=pascal()):
    """Options of a mount of type tmpfs; `mode` is the numeric file mode."""

    size_bytes: Int = 0
    mode: Int = 0
    options: list[list[str]] = []


class Mount(Document, kw_only=True, rename=pascal()):
    """A mount as it is asked for (HostConfig.Mounts)."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    cluster_options: Empty | None = None


RESOURCE_KEYS = {
    "blkio_device_read_iops": "BlkioDeviceReadIOps",
    "blkio_device_write_iops": "BlkioDeviceWriteIOps",
    "kernel_memory_tcp": "KernelMemoryTCP",
    "io_maximum_iops": "IOMaximumIOps",
    "io_maximum_bandwidth": "IOMaximumBandwidth",
}


class Resources(Document, kw_only=True, rename=pascal(**RESOURCE_KEYS)):
    """Limits; sizes in bytes, times in microseconds, 0 means unset."""

    cpu_shares: Int = always(0)
    memory: Int = always(0)
    nano_cpus: Int = always(0)
    cgroup_parent: str = always("")
    blkio_weight: UInt16 = always(0)
    blkio_weight_device: list[WeightDevice] | None = always(None)
    blkio_device_read_bps: list[ThrottleDevice] | None = always(None)
    blkio_device_write_bps: list[ThrottleDevice] | None = always(None)
    blkio_device_read_iops: list[ThrottleDevice] | None = always(None)
    blkio_device_write_iops: list[ThrottleDevice] | None = always(None)
    cpu_period: Int = always(0)
    cpu_quota: Int = always(0)
    cpu_realtime_period: Int = always(0)
    cpu_realtime_runtime: Int = always(0)
    cpuset_cpus: str = always("")
    cpuset_mems: str = always("")
    devices: list[DeviceMapping] | None = always(None)
    device_cgroup_rules: list[str] | None = always(None)
    device_requests: list[DeviceRequest] | None = always(None)
    kernel_memory: Int = 0
    kernel_memory_tcp: Int = 0
    memory_reservation: Int = always(0)
    memory_swap: Int = always(0)
    memory_swappiness: Int | None = always(None)
    oom_kill_disable: bool | None = always(None)
    pids_limit: Int | None = always(None)
    ulimits: list[Ulimit] | None = always(None)
    cpu_count: Int = always(0)
    cpu_percent: Int = always(0)
    io_maximum_iops: Int = always(0)
    io_maximum_bandwidth: Int = always(0)


HOST_KEYS = RESOURCE_KEYS | {"container_id_file": "ContainerIDFile", "uts_mode": "UTSMode"}


class HostConfig(Resources, kw_only=True, rename=pascal(**HOST_KEYS)):
    """The part of a container's configuration that depends on the host."""

    binds: list[str] | None = always(None)
    container_id_file: str = always("")
    log_config: LogConfig = always_new(LogConfig)
    network_mode: str = always("")
    port_bindings: dict[str, list[PortBinding] | None] | None = always(None)
    restart_policy: RestartPolicy = always_new(RestartPolicy)
    auto_remove: bool = always(False)
    volume_driver: str = always("")
    volumes_from: list[str] | None = always(None)
    console_size: list[Int] = always_new(lambda: [0, 0])
    annotations: dict[str, str] = {}
    cap_add: StrSlice | None = always(None)
    cap_drop: StrSlice | None = always(None)
    cgroupns_mode: str = always("")
    dns: list[str] | None = always(None)
    dns_options: list[str] | None = always(None)
    dns_search: list[str] | None = always(None)
    extra_hosts: list[str] | None = always(None)
    group_add: list[str] | None = always(None)
    ipc_mode: str = always("")
    cgroup: str = always("")
    links: list[str] | None = always(None)
    oom_score_adj: Int = always(0)
    pid_mode: str = always("")
    privileged: bool = always(False)
    publish_all_ports: bool = always(False)
    readonly_rootfs: bool = always(False)
    security_opt: list[str] | None = always(None)
    storage_opt: dict[str, str] = {}
    tmpfs: dict[str, str] = {}
    uts_mode: str = always("")
    userns_mode: str = always("")
    shm_size: Int = always(0)
    sysctls: dict[str, str] = {}
    runtime: str = ""
    isolation: str = always("")
    mounts: list[Mount] = []
    masked_paths: list[str] | None = always(None)
    readonly_paths: list[str] | None = always(None)
    init: bool | None = None


class NetworkingConfig(Document, kw_only=True, rename=pascal()):
    """The networks a new container joins, by name or id."""

    endpoints_config: dict[str, EndpointSettings | None] | None = always(None)


class CreateRequest(ContainerConfig, kw_only=True, rename=pascal()):
    """Body of POST /containers/create."""

    host_config: HostConfig | None = always(None)
    networking_config: NetworkingConfig | None = always(None)


class CreateResponse(Document, kw_only=True, rename=pascal()):
    """The new container's id."""

    id: str = always("")
    warnings: list[str] = always_new(list)


class UpdateRequest(Resources, kw_only=True, rename=pascal(**RESOURCE_KEYS)):
    """Body of POST /containers/{id}/update."""

    restart_policy: RestartPolicy = always_new(RestartPolicy)


class UpdateResponse(Document, kw_only=True, rename=pascal()):
    """What the daemon thought odd about an update."""

    warnings: list[str] | None = always(None)


class HealthResult(Document, kw_only=True, rename=pascal()):
    """One run of a health check; times RFC 3339."""

    start: str = always("")
    end: str = always("")
    exit_code: Int = always(0)
    output: str = always("")


class Health(Document, kw_only=True, rename=pascal()):
    """`status` is none, starting, healthy or unhealthy."""

    status: str = always("")
    failing_streak: Int = always(0)
    log: list[HealthResult] | None = always(None)


class ContainerState(Document, kw_only=True, rename=pascal(oom_killed="OOMKilled")):
    """`status` is created, running, paused, restarting, removing, exited or dead; times RFC 3339."""

    status: str = always("")
    running: bool = always(False)
    paused: bool = always(False)
    restarting: bool = always(False)
    oom_killed: bool = always(False)
    dead: bool = always(False)
    pid: Int = always(0)
    exit_code: Int = always(0)
    error: str = always("")
    started_at: str = always("")
    finished_at: str = always("")
    health: Health | None = None


class MountPoint(Document, kw_only=True, rename=pascal(rw="RW")):
    """A mount as it is."""

    type: str = ""
    name: str = ""
    source: str = always("")
    destination: str = always("")
    driver: str = ""
    mode: str = always("")
    rw: bool = always(False)
    propagation: str = always("")


class Address(Document, kw_only=True, rename=pascal()):
    """A secondary address of a container."""

    addr: str = always("")
    prefix_len: Int = always(0)


class NetworkSettings(
    Document,
    kw_only=True,
    rename=pascal(
        sandbox_id="SandboxID",
        link_local_ipv6_address="LinkLocalIPv6Address",
        link_local_ipv6_prefix_len="LinkLocalIPv6PrefixLen",
        secondary_ip_addresses="SecondaryIPAddresses",
        secondary_ipv6_addresses="SecondaryIPv6Addresses",
        endpoint_id="EndpointID",
        global_ipv6_address="GlobalIPv6Address",
        global_ipv6_prefix_len="GlobalIPv6PrefixLen",
        ip_address="IPAddress",
        ip_prefix_len="IPPrefixLen",
        ipv6_gateway="IPv6Gateway",
    ),
):
    """How a container is connected; the addresses outside `networks` are those on the default bridge."""

    bridge: str = always("")
    sandbox_id: str = always("")
    sandbox_key: str = always("")
    ports: dict[str, list[PortBinding] | None] | None = always_new(dict)
    hairpin_mode: bool = always(False)
    link_local_ipv6_address: str = always("")
    link_local_ipv6_prefix_len: Int = always(0)
    secondary_ip_addresses: list[Address] | None = always(None)
    secondary_ipv6_addresses: list[Address] | None = always(None)
    endpoint_id: str = always("")
    gateway: str = always("")
    global_ipv6_address: str = always("")
    global_ipv6_prefix_len: Int = always(0)
    ip_address: str = always("")
    ip_prefix_len: Int = always(0)
    ipv6_gateway: str = always("")
    mac_address: str = always("")
    networks: dict[str, EndpointSettings] | None = always_new(dict)


class ContainerInspect(Document, kw_only=True, rename=pascal(exec_ids="ExecIDs", size_root_fs="SizeRootFs")):
    """Answer of GET /containers/{id}/json."""

    id: str = always("")
    created: str = always("")
    path: str = always("")
    args: list[str] = always_new(list)
    state: ContainerState = always_new(ContainerState)
    image: str = always("")
    resolv_conf_path: str = always("")
    hostname_path: str = always("")
    hosts_path: str = always("")
    log_path: str = always("")
    name: str = always("")
    restart_count: Int = always(0)
    driver: str = always("")
    platform: str = always("")
    mount_label: str = always("")
    process_label: str = always("")
    app_armor_profile: str = always("")
    exec_ids: list[str] | None = always(None)
    host_config: HostConfig = always_new(HostConfig)
    graph_driver: DriverData = always_new(DriverData)
    size_rw: Int | None = None
    size_root_fs: Int | None = None
    mounts: list[MountPoint] = always_new(list)
    config: ContainerConfig = always_new(ContainerConfig)
    network_settings: NetworkSettings = always_new(NetworkSettings)
    image_manifest_descriptor: Descriptor | None = None


class Port(Document, kw_only=True, rename=pascal(ip="IP")):
    """A port in a container list: exposed, or published when `public_port` is not 0."""

    ip: str = ""
    private_port: UInt16 = always(0)
    public_port: UInt16 = 0
    type: str = always("")


class SummaryHostConfig(Document, kw_only=True, rename=pascal()):
    """The little that a list tells of the host configuration."""

    network_mode: str = ""
    annotations: dict[str, str] = {}


class SummaryNetworkSettings(Document, kw_only=True, rename=pascal()):
    """The networks of a container in a list."""

    networks: dict[str, EndpointSettings] | None = always_new(dict)


class ContainerSummary(Document, kw_only=True, rename=pascal(image_id="ImageID")):
    """A row of GET /containers/json; `created` in seconds since 1970."""

    id: str = always("")
    names: list[str] | None = always_new(list)
    image: str = always("")
    image_id: str = always("")
    image_manifest_descriptor: Descriptor | None = None
    command: str = always("")
    created: Int = always(0)
    ports: list[Port] = always_new(list)
    size_rw: Int = 0
    size_root_fs: Int = 0
    labels: dict[str, str] | None = always_new(dict)
    state: str = always("")
    status: str = always("")
    host_config: SummaryHostConfig = always_new(SummaryHostConfig)
    network_settings: SummaryNetworkSettings | None = always_new(SummaryNetworkSettings)
    mounts: list[MountPoint] = always_new(list)


class WaitError(Document, kw_only=True, rename=pascal()):
    """Why a wait failed."""

    message: str = ""


class WaitResponse(Document, kw_only=True, rename=pascal()):
    """Answer of POST /containers/{id}/wait."""

    error: WaitError | None = None
    status_code: Int = always(0)


class TopResponse(Document, kw_only=True, rename=pascal()):
    """Answer of GET /containers/{id}/top."""

    processes: list[list[str]] = always_new(list)
    titles: list[str] = always_new(list)


class Change(Document, kw_only=True, rename=pascal()):
    """A path that differs from the image: `kind` 0 modified, 1 added, 2 deleted."""

    path: str = always("")
    kind: Int = always(0)


class PathStat(
    Document,
    kw_only=True,
    rename=pascal(link_target="linkTarget", name="name", size="size", mode="mode", mtime="mtime"),
):
    """Header X-Docker-Container-Path-Stat: `mode` is Go's os.FileMode, `mtime` RFC 3339."""

    name: str = always("")
    size: Int = always(0)
    mode: Int = always(0)
    mtime: str = always("")
    link_target: str = always("")


class PruneReport(Document, kw_only=True, rename=pascal()):
    """Answer of POST /containers/prune."""

    containers_deleted: list[str] | None = always(None)
    space_reclaimed: int = always(0)
