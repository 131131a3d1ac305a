"""The entry point: global flags, the command, and what an error means for the exit code.

125  a bad flag; for run and create, whatever the engine refused      1  any other error      130  interrupted
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from sampan.cli import table
from sampan.cli.context import Cli
from sampan.cli.flags import Exit, Flag, UsageError, parse
from sampan.client.errors import Answered
from sampan.errors import SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sampan.cli.command import Command

GLOBAL_FLAGS = (
    Flag("config", "string", "Location of client config files", shown='"~/.docker"'),
    Flag("context", "string", 'Name of the context to use (overrides DOCKER_HOST and "context use")', "c"),
    Flag("debug", "bool", "Enable debug mode", "D"),
    Flag("host", "list", "Daemon socket to connect to", "H"),
    Flag("log-level", "string", 'Set the logging level ("debug", "info", "warn", "error", "fatal")', "l", "info"),
    Flag("tls", "bool", "Use TLS; implied by --tlsverify"),
    Flag("tlscacert", "string", "Trust certs signed only by this CA"),
    Flag("tlscert", "string", "Path to TLS certificate file"),
    Flag("tlskey", "string", "Path to TLS key file"),
    Flag("tlsverify", "bool", "Use TLS and verify the remote"),
    Flag("version", "bool", "Print version information and quit", "v"),
    Flag("help", "bool", "Print usage", "h", hidden=True),
)


def main() -> None:
    """Run the command line of this process and exit, without the 5 ms that Python takes to free what it has."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    try:
        code = run(sys.argv[1:], os.environ)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 1
    os._exit(code)


def run(argv: list[str], environ: Mapping[str, str]) -> int:
    """Run one command; return its exit code."""
    try:
        flags = parse(GLOBAL_FLAGS, argv, interspersed=False)
    except UsageError as error:
        sys.stderr.write(
            f"{error}\n\nUsage:  sampan [OPTIONS] COMMAND [ARG...]\n\nRun 'sampan --help' for more information\n"
        )
        return 125
    if flags.truth("version"):
        from sampan import __version__

        sys.stdout.write(f"Sampan version {__version__}\n")
        return 0
    words = flags.words
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"] if words[1:] else []
    cli = Cli(
        environ, (flags.texts("host") or [""])[-1], flags.text("context"), flags.text("config"), flags.truth("debug")
    )
    typed, path, rest = table.find(words)
    if not path:
        return _no_command(words, flags.truth("help"))
    if flags.truth("help"):
        rest = ["--help"]
    if flags.truth("tls") or flags.truth("tlsverify") or environ.get("DOCKER_TLS_VERIFY"):
        cli.err("TLS is not there yet: use a unix socket or tcp without --tls and DOCKER_TLS_VERIFY")
        return 125
    return _command(cli, typed, path, rest)


def _command(cli: Cli, typed: str, path: str, argv: list[str]) -> int:
    module = _module(table.COMMANDS[path][0])
    command: Command = module.COMMAND
    shorts = {flag.short for flag in command.flags}
    helps = (Flag("help", "bool", "Print usage", "" if "h" in shorts else "h"),)
    try:
        arguments = parse(command.flags + helps, argv, command.interspersed)
        if arguments.truth("help"):
            from sampan.cli import usage

            cli.out(usage.of_command(typed, path, command))
            return 0
    except UsageError as error:
        return _misused(cli, typed, command, error, 125)
    try:
        command.check(f"sampan {typed}", arguments.words)
        result: int = module.run(cli, arguments)
        return result
    except UsageError as error:
        return _misused(cli, typed, command, error, 1)
    except SampanError as error:
        return _failed(cli, typed, path, error)
    except Exit as exit_:
        if exit_.message:
            cli.err(exit_.message)
        return exit_.code
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        cli.err(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return 1


def _module(name: str) -> Any:
    """Import a command's module, and with it msgspec, which would take what `typing` has from typing_extensions where
    that is installed: 6 ms for nothing."""
    hide = "typing_extensions" not in sys.modules
    if hide:
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    try:
        return import_module(f"sampan.cli.commands.{name}")
    finally:
        if hide:
            del sys.modules["typing_extensions"]


def _misused(cli: Cli, typed: str, command: Command, error: UsageError, code: int) -> int:
    from sampan.cli import usage

    message = str(error) if code == 125 else f"sampan: {error}"
    hint = f"{error.verb} 'sampan {typed} --help' for more information"
    cli.err(f"{message}\n\n{usage.line(typed, command)}\n\n{hint}")
    return code


def _failed(cli: Cli, typed: str, path: str, error: SampanError) -> int:
    message = f"Error response from daemon: {error}" if isinstance(error, Answered) else str(error)
    if path != "container run":
        cli.err(message)
        return 1
    cli.err(f"sampan: {message}\n\nRun 'sampan {typed} --help' for more information")
    return 125


def _no_command(words: list[str], wants_help: bool) -> int:
    from sampan.cli import usage

    group = words[0] if words and words[0] in table.GROUPS else ""
    rest = [word for word in words[1:] if word not in ("--help", "-h")]
    if group and not rest:
        sys.stdout.write(usage.of_group(group))
        return 0
    if not words or wants_help:
        sys.stdout.write(usage.of_program([flag for flag in GLOBAL_FLAGS if not flag.hidden]))
        return 0
    shown = " ".join(words[:2] if group else words[:1])
    hint = f"\n\nUsage:  sampan {group}" if group else ""
    name = f"sampan {group}".rstrip()
    sys.stderr.write(f"sampan: unknown command: sampan {shown}{hint}\n\nRun '{name} --help' for more information\n")
    return 1


if __name__ == "__main__":
    main()
