"""The daemon and its machine, on the wire. Engine API 1.51, definitions SystemVersion and SystemInfo."""

# ruff: noqa: RUF012

from __future__ import annotations

from typing import Any

from sampan.wire.base import Document, Int, always, always_new, pascal


class PlatformName(Document, kw_only=True, rename=pascal()):
    """The product."""

    name: str = always("")


class Component(Document, kw_only=True, rename=pascal()):
    """A program that the daemon is made of or uses."""

    name: str = always("")
    version: str = always("")
    details: dict[str, str] = {}


class Version(Document, kw_only=True, rename=pascal(min_api_version="MinAPIVersion")):
    """Answer of GET /version."""

    platform: PlatformName = always_new(PlatformName)
    components: list[Component] = []
    version: str = always("")
    api_version: str = always("")
    min_api_version: str = ""
    git_commit: str = always("")
    go_version: str = always("")
    os: str = always("")
    arch: str = always("")
    kernel_version: str = ""
    experimental: bool = False
    build_time: str = ""


class PluginsInfo(Document, kw_only=True, rename=pascal()):
    """Drivers by kind."""

    volume: list[str] | None = always_new(list)
    network: list[str] | None = always_new(list)
    authorization: list[str] | None = always(None)
    log: list[str] | None = always_new(list)


class IndexInfo(Document, kw_only=True, rename=pascal()):
    """A registry the daemon knows."""

    mirrors: list[str] | None = always_new(list)
    name: str = always("")
    official: bool = always(False)
    secure: bool = always(False)


class RegistryServiceConfig(Document, kw_only=True, rename=pascal(insecure_registry_cidrs="InsecureRegistryCIDRs")):
    """How the daemon reaches registries."""

    index_configs: dict[str, IndexInfo] | None = always_new(dict)
    insecure_registry_cidrs: list[str] | None = always_new(list)
    mirrors: list[str] | None = always(None)


class Runtime(
    Document,
    kw_only=True,
    rename={"runtime_args": "runtimeArgs", "runtime_type": "runtimeType"},
):
    """An OCI runtime."""

    path: str = ""
    runtime_args: list[str] = []
    runtime_type: str = ""
    options: dict[str, Any] = {}
    status: dict[str, str] = {}


class SwarmInfo(Document, kw_only=True, rename=pascal(node_id="NodeID")):
    """Swarm mode, which there is none of."""

    node_id: str = always("")
    node_addr: str = always("")
    local_node_state: str = always("inactive")
    control_available: bool = always(False)
    error: str = always("")
    remote_managers: list[dict[str, Any]] | None = always(None)
    nodes: Int = 0
    managers: Int = 0
    cluster: dict[str, Any] | None = None


class Commit(Document, kw_only=True, rename=pascal(id="ID")):
    """The version of a helper program."""

    id: str = always("")
    expected: str = ""


class AddressPool(Document, kw_only=True, rename=pascal()):
    """Addresses that networks are cut from; `size` is a prefix length."""

    base: str = always("")
    size: Int = always(0)


class FirewallInfo(Document, kw_only=True, rename=pascal()):
    """How the firewall is driven."""

    driver: str = always("")
    info: list[list[str]] = []


class DeviceInfo(Document, kw_only=True, rename=pascal(id="ID")):
    """A device that a driver found."""

    source: str = always("")
    id: str = always("")


class ContainerdNamespaces(Document, kw_only=True, rename=pascal()):
    """Namespaces in containerd."""

    containers: str = ""
    plugins: str = ""


class ContainerdInfo(Document, kw_only=True, rename=pascal()):
    """Where containerd is, for daemons that have one."""

    address: str = ""
    namespaces: ContainerdNamespaces = always_new(ContainerdNamespaces)


class Info(
    Document,
    kw_only=True,
    rename=pascal(
        id="ID",
        kernel_memory_tcp="KernelMemoryTCP",
        cpu_shares="CPUShares",
        cpu_set="CPUSet",
        ipv4_forwarding="IPv4Forwarding",
        n_goroutines="NGoroutines",
        os_version="OSVersion",
        os_type="OSType",
        ncpu="NCPU",
        nfd="NFd",
        cdi_spec_dirs="CDISpecDirs",
        n_events_listener="NEventsListener",
    ),
):
    """Answer of GET /info."""

    id: str = always("")
    containers: Int = always(0)
    containers_running: Int = always(0)
    containers_paused: Int = always(0)
    containers_stopped: Int = always(0)
    images: Int = always(0)
    driver: str = always("")
    driver_status: list[list[str]] | None = always_new(list)
    system_status: list[list[str]] = []
    plugins: PluginsInfo = always_new(PluginsInfo)
    memory_limit: bool = always(False)
    swap_limit: bool = always(False)
    kernel_memory: bool = False
    kernel_memory_tcp: bool = False
    cpu_cfs_period: bool = always(False)
    cpu_cfs_quota: bool = always(False)
    cpu_shares: bool = always(False)
    cpu_set: bool = always(False)
    pids_limit: bool = always(False)
    ipv4_forwarding: bool = always(False)
    debug: bool = always(False)
    nfd: Int = always(0)
    oom_kill_disable: bool = always(False)
    n_goroutines: Int = always(0)
    system_time: str = always("")
    logging_driver: str = always("")
    cgroup_driver: str = always("")
    cgroup_version: str = ""
    n_events_listener: Int = always(0)
    kernel_version: str = always("")
    operating_system: str = always("")
    os_version: str = always("")
    os_type: str = always("")
    architecture: str = always("")
    index_server_address: str = always("")
    registry_config: RegistryServiceConfig | None = always_new(RegistryServiceConfig)
    ncpu: Int = always(0)
    mem_total: Int = always(0)
    generic_resources: list[dict[str, Any]] | None = always(None)
    docker_root_dir: str = always("")
    http_proxy: str = always("")
    https_proxy: str = always("")
    no_proxy: str = always("")
    name: str = always("")
    labels: list[str] | None = always_new(list)
    experimental_build: bool = always(False)
    server_version: str = always("")
    runtimes: dict[str, Runtime] | None = always_new(dict)
    default_runtime: str = always("")
    swarm: SwarmInfo = always_new(SwarmInfo)
    live_restore_enabled: bool = always(False)
    isolation: str = always("")
    init_binary: str = always("")
    containerd_commit: Commit = always_new(Commit)
    runc_commit: Commit = always_new(Commit)
    init_commit: Commit = always_new(Commit)
    security_options: list[str] | None = always_new(list)
    product_license: str = ""
    default_address_pools: list[AddressPool] = []
    firewall_backend: FirewallInfo | None = None
    cdi_spec_dirs: list[str] | None = always_new(list)
    discovered_devices: list[DeviceInfo] = []
    containerd: ContainerdInfo | None = None
    warnings: list[str] | None = always(None)
