"""`sampan container port`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.flags import Exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.wire.containers import PortBinding

COMMAND = Command("CONTAINER [PRIVATE_PORT[/PROTO]]", (), 1, 2)


def run(cli: Cli, arguments: Arguments) -> int:
    container = cli.run(cli.engine.containers.inspect(arguments.words[0]))
    ports = container.network_settings.ports or {}
    if len(arguments.words) == 1:
        lines = [f"{key} -> {_address(binding)}" for key in ports for binding in ports[key] or ()]
        cli.out("".join(f"{line}\n" for line in sorted(lines)))
        return 0
    number, _, protocol = arguments.words[1].partition("/")
    if not number.isdigit():
        raise Exit(1, f"Error: invalid port '{number}'")
    bindings = ports.get(f"{number}/{protocol or 'tcp'}")
    if not bindings:
        raise Exit(1, f"Error: No public port '{number}/{protocol or 'tcp'}' published for {arguments.words[0]}")
    cli.out("".join(f"{_address(binding)}\n" for binding in bindings))
    return 0


def _address(binding: PortBinding) -> str:
    host = f"[{binding.host_ip}]" if ":" in binding.host_ip else binding.host_ip
    return f"{host}:{binding.host_port}"
