"""`sampan registry ls`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands.registry.remoting import FLAGS, client_of, run_remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("[OPTIONS] REGISTRY", FLAGS, 1, 1)


def run(cli: Cli, arguments: Arguments) -> int:
    domain = arguments.words[0].rstrip("/")
    # The catalog belongs to the registry; any repository's client can ask for it.
    names = run_remote(
        cli, arguments, [domain], lambda remote: client_of(cli, arguments, remote, f"{domain}/catalog").catalog()
    )
    cli.out("".join(f"{name}\n" for name in names))
    return 0
