"""`sampan container exec`."""

from __future__ import annotations

from sampan.cli import streams
from sampan.cli.command import Command
from sampan.cli.commands.container import readers
from sampan.cli.commands.container.attaching import check_terminal, detach_keys
from sampan.cli.commands.container.request import environment
from sampan.cli.flags import Flag
from sampan.cli.terminal import size
from sampan.wire.exec import ExecCreateRequest, ExecStartRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    (
        Flag("detach", "bool", "Detached mode: run command in the background", "d"),
        Flag("detach-keys", "string", "Override the key sequence for detaching a container"),
        Flag("env", "list", "Set environment variables", "e", read=readers.env),
        Flag("env-file", "list", "Read in a file of environment variables"),
        Flag("interactive", "bool", "Keep STDIN open even if not attached", "i"),
        Flag("privileged", "bool", "Give extended privileges to the command"),
        Flag("tty", "bool", "Allocate a pseudo-TTY", "t"),
        Flag("user", "string", 'Username or UID (format: "<name|uid>[:<group|gid>]")', "u"),
        Flag("workdir", "string", "Working directory inside the container", "w"),
    ),
    2,
    interspersed=False,
)


def run(cli: Cli, arguments: Arguments) -> int:
    ref, *command = arguments.words
    request = _request(cli, arguments, command)
    cli.run(cli.engine.containers.inspect(ref))
    detached = arguments.truth("detach")
    if not detached:
        check_terminal(cli, request.attach_stdin, request.tty)
    keys = detach_keys(cli, arguments.text("detach-keys"))
    console = list(size(1)) if request.tty and cli.stdout_is_terminal and not detached else None
    request.console_size = console
    id = cli.run(cli.engine.exec.create(ref, request))
    if detached:
        cli.run(cli.engine.exec.start(id, ExecStartRequest(detach=True, tty=request.tty)))
        return 0
    duplex = cli.run(cli.engine.exec.attach(id, ExecStartRequest(tty=request.tty, console_size=console)))
    if request.tty and cli.stdin_is_terminal:
        streams.follow_size(lambda height, width: cli.engine.exec.resize(id, height, width))
    if not streams.copy(duplex, request.tty, request.attach_stdin, keys):
        cli.err("read escape sequence")
        return 1
    return cli.run(cli.engine.exec.inspect(id)).exit_code or 0


def _request(cli: Cli, arguments: Arguments, command: list[str]) -> ExecCreateRequest:
    attached = not arguments.truth("detach")
    return ExecCreateRequest(
        user=arguments.text("user"),
        privileged=arguments.truth("privileged"),
        tty=arguments.truth("tty"),
        attach_stdin=attached and arguments.truth("interactive"),
        attach_stdout=attached,
        attach_stderr=attached,
        detach_keys=arguments.text("detach-keys") or cli.config.text("detachKeys"),
        env=environment(arguments, cli.environ) or None,
        working_dir=arguments.text("workdir"),
        cmd=command,
    )
