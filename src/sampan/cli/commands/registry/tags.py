"""`sampan registry tags`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands.registry.remoting import FLAGS, client_of, domain_of, run_remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("[OPTIONS] REPOSITORY", FLAGS, 1, 1)


def run(cli: Cli, arguments: Arguments) -> int:
    text = arguments.words[0]
    tags = run_remote(cli, arguments, [domain_of(text)], lambda remote: client_of(cli, arguments, remote, text).tags())
    cli.out("".join(f"{tag}\n" for tag in tags))
    return 0
