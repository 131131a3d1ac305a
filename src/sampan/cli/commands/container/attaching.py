"""What run, start and attach share: streams, keys, exit codes."""

from __future__ import annotations

from sampan.cli import streams
from sampan.cli.flags import Exit
from sampan.cli.terminal import DEFAULT_KEYS, parse_keys
from sampan.errors import SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.cli.context import Cli
    from sampan.client.containers import PendingWait
    from sampan.client.http1 import Duplex

NOT_FOUND = ("executable file not found", "no such file or directory", "system cannot find the file specified")
NOT_ALLOWED = ("permission denied", "is a directory")


def detach_keys(cli: Cli, given: str) -> bytes:
    """Return the bytes that detach: the flag's, the settings', or ctrl-p ctrl-q. Raises InvalidArgument."""
    return parse_keys(given or cli.config.text("detachKeys") or DEFAULT_KEYS)


def check_terminal(cli: Cli, stdin: bool, tty: bool) -> None:
    """Refuse to give a container a terminal whose input is none."""
    if stdin and tty and not cli.stdin_is_terminal:
        raise Exit(1, "the input device is not a TTY")


def start_exit_code(message: str) -> int:
    """Return the exit code for a container that could not be started: 126, 127 or 125, by the engine's words."""
    if any(words in message for words in NOT_FOUND):
        return 127
    if any(words in message for words in NOT_ALLOWED):
        return 126
    return 125


def converse(
    cli: Cli,
    id: str,
    duplex: Duplex,
    tty: bool,
    stdin: bool,
    keys: bytes,
    before: Callable[[], None],
    output: tuple[bool, bool] = (True, True),
) -> bool:
    """Join the streams until the container's output ends; return False when the user detached.

    `before` starts it, where it does not run yet.
    """
    before()
    if tty and (cli.stdout_is_terminal or cli.stdin_is_terminal):
        streams.follow_size(lambda height, width: cli.engine.containers.resize(id, height, width))
    return streams.copy(duplex, tty, stdin, keys, *output)


def exit_code(cli: Cli, pending: PendingWait) -> int:
    """Return the code of a container that ended."""
    try:
        answer = cli.run(pending.result())
    except SampanError as error:
        cli.err(f"Error waiting for container: {error}")
        return 125
    if answer.error and answer.error.message:
        cli.err(f"Error waiting for container: {answer.error.message}")
        return 125
    return answer.status_code
