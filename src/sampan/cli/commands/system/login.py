"""`sampan login`."""

from __future__ import annotations

import sys

from sampan.cli import credentials
from sampan.cli.command import Command
from sampan.cli.flags import Exit, Flag
from sampan.wire.distribution import AuthConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] [SERVER]",
    (
        Flag("password", "string", "Password or Personal Access Token (PAT)", "p"),
        Flag("password-stdin", "bool", "Take the Password or Personal Access Token (PAT) from stdin"),
        Flag("username", "string", "Username", "u"),
    ),
    0,
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    server = server_of(arguments.words)
    if arguments.given("password"):
        cli.err("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    name, password = _ask(cli, arguments)
    wanted = AuthConfig(username=name, password=password, server_address=server)
    answer = cli.run(cli.engine.images.log_in(wanted))
    if answer.identity_token:
        wanted.identity_token = answer.identity_token
    warning = credentials.store(cli, wanted)
    if warning:
        cli.err(warning)
    cli.out(f"{answer.status or 'Login Succeeded'}\n")
    return 0


def server_of(words: list[str]) -> str:
    """Return the server's key: the hub's when none is named, else without scheme and path."""
    if not words or words[0] in ("docker.io", "index.docker.io", credentials.HUB):
        return credentials.HUB
    return words[0].removeprefix("https://").removeprefix("http://").partition("/")[0]


def _ask(cli: Cli, arguments: Arguments) -> tuple[str, str]:
    name, password = arguments.text("username"), arguments.text("password")
    if arguments.truth("password-stdin"):
        if arguments.given("password"):
            raise Exit(1, "--password and --password-stdin are mutually exclusive")
        if not name:
            raise Exit(1, "Must provide --username with --password-stdin")
        return name, sys.stdin.read().rstrip("\r\n")
    if (not name or not password) and not cli.stdin_is_terminal:
        raise Exit(1, "Error: Cannot perform an interactive login from a non TTY device")
    import getpass

    return name or input("Username: ").strip(), password or getpass.getpass("Password: ")
