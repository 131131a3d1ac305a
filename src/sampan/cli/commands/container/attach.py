"""`sampan container attach`."""

from __future__ import annotations

from sampan.cli import streams
from sampan.cli.command import Command
from sampan.cli.commands.container.attaching import check_terminal, detach_keys, exit_code
from sampan.cli.flags import Exit, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.wire.containers import ContainerState

COMMAND = Command(
    "[OPTIONS] CONTAINER",
    (
        Flag("detach-keys", "string", "Override the key sequence for detaching a container"),
        Flag("no-stdin", "bool", "Do not attach STDIN"),
        Flag("sig-proxy", "bool", "Proxy all received signals to the process", default=True, shown="true"),
    ),
    1,
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    containers = cli.engine.containers
    container = cli.run(containers.inspect(arguments.words[0]))
    _check(container.state)
    id, tty = container.id, container.config.tty
    stdin = not arguments.truth("no-stdin") and container.config.open_stdin
    check_terminal(cli, stdin, tty)
    keys = detach_keys(cli, arguments.text("detach-keys"))
    if arguments.truth("sig-proxy") and not tty:
        streams.forward_signals(lambda signal: containers.kill(id, signal))
    pending = cli.run(containers.wait(id))
    duplex = cli.run(containers.attach(id, stdin, detach_keys=arguments.text("detach-keys")))
    if tty and cli.stdout_is_terminal:
        streams.follow_size(lambda height, width: containers.resize(id, height, width), again=True)
    if not streams.copy(duplex, tty, stdin, keys):
        cli.err("read escape sequence")
        return 1
    return exit_code(cli, pending)


def _check(state: ContainerState) -> None:
    if not state.running:
        raise Exit(1, "You cannot attach to a stopped container, start it first")
    if state.paused:
        raise Exit(1, "You cannot attach to a paused container, unpause it first")
    if state.restarting:
        raise Exit(1, "You cannot attach to a restarting container, wait until it is running")
