"""`sampan container run`: create, wait, attach, start, and be its terminal until it ends."""

from __future__ import annotations

from sampan.cli import streams
from sampan.cli.command import Command
from sampan.cli.commands import describe
from sampan.cli.commands.container.attaching import (
    check_terminal,
    converse,
    detach_keys,
    exit_code,
    start_exit_code,
)
from sampan.cli.commands.container.create import create, requested
from sampan.cli.commands.container.options import FLAGS
from sampan.cli.flags import Exit, Flag
from sampan.cli.terminal import size
from sampan.errors import SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.wire.containers import CreateRequest

COMMAND = Command(
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    (
        *FLAGS,
        Flag("detach", "bool", "Run container in background and print container ID", "d"),
        Flag("detach-keys", "string", "Override the key sequence for detaching a container"),
        Flag("sig-proxy", "bool", "Proxy received signals to the process", default=True, shown="true"),
    ),
    1,
    interspersed=False,
)


def run(cli: Cli, arguments: Arguments) -> int:
    request = requested(cli, arguments, "run")
    if arguments.truth("detach"):
        return _detached(cli, arguments, request)
    check_terminal(cli, request.attach_stdin, request.tty)
    keys = detach_keys(cli, arguments.text("detach-keys"))
    if request.tty and request.host_config and cli.stdout_is_terminal:
        request.host_config.console_size = list(size(1))
    return _foreground(cli, arguments, request, create(cli, arguments, request), keys)


def _detached(cli: Cli, arguments: Arguments, request: CreateRequest) -> int:
    if arguments.texts("attach"):
        raise Exit(1, "conflicting options: cannot specify both --attach and --detach")
    request.attach_stdin = request.attach_stdout = request.attach_stderr = request.stdin_once = False
    id = create(cli, arguments, request)
    _start(cli, id)
    cli.out(f"{id}\n")
    return 0


def _foreground(cli: Cli, arguments: Arguments, request: CreateRequest, id: str, keys: bytes) -> int:
    containers = cli.engine.containers
    pending = cli.run(containers.wait(id, "removed" if arguments.truth("rm") else "next-exit"))
    if arguments.truth("sig-proxy"):
        streams.forward_signals(lambda signal: containers.kill(id, signal))
    if not (request.attach_stdin or request.attach_stdout or request.attach_stderr):
        _start(cli, id)
        cli.out(f"{id}\n")
        return 0
    output = (request.attach_stdout, request.attach_stderr)
    duplex = cli.run(containers.attach(id, request.attach_stdin, *output, detach_keys=arguments.text("detach-keys")))

    def start() -> None:
        try:
            _start(cli, id)
        except Exit:
            if arguments.truth("rm"):
                exit_code(cli, pending)  # Once this is answered, the name is free again.
            raise

    stayed = converse(cli, id, duplex, request.tty, request.attach_stdin, keys, start, output)
    return exit_code(cli, pending) if stayed else 0


def _start(cli: Cli, id: str) -> None:
    try:
        cli.run(cli.engine.containers.start(id))
    except SampanError as error:
        raise Exit(
            start_exit_code(str(error)),
            f"sampan: {describe(error)}\n\nRun 'sampan run --help' for more information",
        ) from None
