"""`sampan info`."""

from __future__ import annotations

from sampan import __version__
from sampan.cli.command import Command
from sampan.cli.commands import INSPECT_FORMAT, describe
from sampan.cli.render.listing import yes
from sampan.cli.render.units import bytes_size
from sampan.errors import InvalidArgument, SampanError
from sampan.wire import codec
from sampan.wire.system import Info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("[OPTIONS]", (INSPECT_FORMAT,), 0, 0)


def run(cli: Cli, arguments: Arguments) -> int:
    form = arguments.text("format")
    if form:
        cli.out(_formatted(cli, form))
        return 0
    lines = ["Client:", f" Version:    {__version__}", f" Context:    {cli.context_name}"]
    lines += [f" Debug Mode: {yes(cli.debug)}", "", "Server:"]
    try:
        info = cli.run(cli.engine.system.info())
    except SampanError as error:
        cli.out("\n".join(lines) + "\n")
        cli.err(f"{describe(error)}\nerrors pretty printing info")
        return 1
    cli.out("\n".join([*lines, *_server(info)]) + "\n\n")
    for warning in info.warnings or ():
        cli.err(warning)
    return 0


def _formatted(cli: Cli, form: str) -> str:
    raw = cli.run(cli.engine.system.info_raw())
    if form == "json":
        return raw.decode().strip() + "\n"
    from sampan.templates.template import Template, TemplateError

    try:
        return Template(form).render(codec.decode(raw, Info)) + "\n"
    except TemplateError as error:
        raise InvalidArgument(f"template parsing error: {error}") from None


def _server(info: Info) -> list[str]:
    lines = [
        f" Containers: {info.containers}",
        f"  Running: {info.containers_running}",
        f"  Paused: {info.containers_paused}",
        f"  Stopped: {info.containers_stopped}",
        f" Images: {info.images}",
        f" Server Version: {info.server_version}",
        f" Storage Driver: {info.driver}",
        *(f"  {name}: {value}" for name, value, *_ in info.driver_status or ()),
        f" Logging Driver: {info.logging_driver}",
        f" Cgroup Driver: {info.cgroup_driver}",
        f" Cgroup Version: {info.cgroup_version}",
        " Plugins:",
        f"  Volume: {' '.join(info.plugins.volume or ())}",
        f"  Network: {' '.join(info.plugins.network or ())}",
    ]
    if info.plugins.authorization:
        lines.append(f"  Authorization: {' '.join(info.plugins.authorization)}")
    lines.append(f"  Log: {' '.join(info.plugins.log or ())}")
    if info.cdi_spec_dirs:
        lines += [" CDI spec directories:", *(f"  {folder}" for folder in info.cdi_spec_dirs)]
    lines.append(f" Swarm: {info.swarm.local_node_state}")
    return [*lines, *_runtimes(info), *_machine(info), *_registries(info)]


def _runtimes(info: Info) -> list[str]:
    return [
        f" Runtimes: {' '.join(sorted(info.runtimes or {}))}",
        f" Default Runtime: {info.default_runtime}",
        f" Init Binary: {info.init_binary}",
        f" containerd version: {info.containerd_commit.id}",
        f" runc version: {info.runc_commit.id}",
        f" init version: {info.init_commit.id}",
        *_security(info.security_options or []),
    ]


def _security(options: list[str]) -> list[str]:
    lines = [" Security Options:"] if options else []
    for option in options:
        for key, _, value in (part.partition("=") for part in option.split(",")):
            lines.append(f"  {value}" if key == "name" else f"   {key.capitalize()}: {value}")
    return lines


def _machine(info: Info) -> list[str]:
    lines = [
        f" Kernel Version: {info.kernel_version}",
        f" Operating System: {info.operating_system}",
        f" OSType: {info.os_type}",
        f" Architecture: {info.architecture}",
        f" CPUs: {info.ncpu}",
        f" Total Memory: {bytes_size(info.mem_total)}",
        f" Name: {info.name}",
        f" ID: {info.id}",
        f" Docker Root Dir: {info.docker_root_dir}",
        f" Debug Mode: {yes(info.debug)}",
    ]
    proxies = (("HTTP Proxy", info.http_proxy), ("HTTPS Proxy", info.https_proxy), ("No Proxy", info.no_proxy))
    lines += [f" {name}: {value}" for name, value in proxies if value]
    if info.labels:
        lines += [" Labels:", *(f"  {label}" for label in info.labels)]
    return [*lines, f" Experimental: {yes(info.experimental_build)}"]


def _registries(info: Info) -> list[str]:
    lines: list[str] = []
    config = info.registry_config
    if config:
        insecure = [f"  {name}" for name, index in (config.index_configs or {}).items() if not index.secure]
        insecure += [f"  {cidr}" for cidr in config.insecure_registry_cidrs or ()]
        lines += [" Insecure Registries:", *insecure] if insecure else []
        lines += [" Registry Mirrors:", *(f"  {mirror}" for mirror in config.mirrors)] if config.mirrors else []
    lines.append(f" Live Restore Enabled: {yes(info.live_restore_enabled)}")
    if info.default_address_pools:
        lines.append(" Default Address Pools:")
        lines += [f"   Base: {pool.base}, Size: {pool.size}" for pool in info.default_address_pools]
    if info.firewall_backend and info.firewall_backend.driver not in ("", "iptables"):
        lines.append(f" Firewall Backend: {info.firewall_backend.driver}")
    return lines
