"""`sampan container start`."""

from __future__ import annotations

from sampan.cli import streams
from sampan.cli.command import Command
from sampan.cli.commands import describe, settled
from sampan.cli.commands.container.attaching import check_terminal, converse, detach_keys, exit_code
from sampan.cli.flags import Exit, Flag
from sampan.errors import SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    (
        Flag("attach", "bool", "Attach STDOUT/STDERR and forward signals", "a"),
        Flag("detach-keys", "string", "Override the key sequence for detaching a container"),
        Flag("interactive", "bool", "Attach container's STDIN", "i"),
    ),
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    if not (arguments.truth("attach") or arguments.truth("interactive")):
        return _each(cli, arguments.words)
    if len(arguments.words) > 1:
        raise Exit(1, "you cannot start and attach multiple containers at once")
    return _attached(cli, arguments, arguments.words[0])


def _each(cli: Cli, refs: list[str]) -> int:
    failed: list[str] = []
    for ref in refs:
        try:
            cli.run(settled(cli.engine.containers.start(ref)))
            cli.out(f"{ref}\n")
        except SampanError as error:
            cli.err(describe(error))
            failed.append(ref)
    if failed:
        cli.err(f"Error: failed to start containers: {', '.join(failed)}")
    return 1 if failed else 0


def _attached(cli: Cli, arguments: Arguments, ref: str) -> int:
    containers = cli.engine.containers
    container = cli.run(containers.inspect(ref))
    id, tty = container.id, container.config.tty
    stdin = arguments.truth("interactive") and container.config.open_stdin
    check_terminal(cli, stdin, tty)
    keys = detach_keys(cli, arguments.text("detach-keys"))
    if not tty:
        streams.forward_signals(lambda signal: containers.kill(id, signal))
    duplex = cli.run(containers.attach(id, stdin, detach_keys=arguments.text("detach-keys")))
    pending = cli.run(containers.wait(id, "removed" if container.host_config.auto_remove else "next-exit"))
    stayed = converse(cli, id, duplex, tty, stdin, keys, lambda: cli.run(settled(containers.start(id))))
    return exit_code(cli, pending) if stayed else 0
