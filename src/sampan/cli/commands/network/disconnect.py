"""`sampan network disconnect`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.flags import Flag
from sampan.wire.networks import NetworkDisconnectRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] NETWORK CONTAINER",
    (Flag("force", "bool", "Force the container to disconnect from a network", "f"),),
    2,
    2,
)


def run(cli: Cli, arguments: Arguments) -> int:
    network, container = arguments.words
    request = NetworkDisconnectRequest(container=container, force=arguments.truth("force"))
    cli.run(cli.engine.networks.disconnect(network, request))
    return 0
