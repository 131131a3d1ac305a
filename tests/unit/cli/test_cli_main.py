"""Finding commands, help, errors that need no engine, and what start-up may import."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from sampan.cli import table, usage
from sampan.cli.main import run

ENVIRON = {"HOME": "/nonexistent", "SAMPAN_HOST": "unix:///nonexistent/sock"}


def test_every_command_can_be_loaded_and_helps(capsys):
    for path, (module, summary) in table.COMMANDS.items():
        loaded = import_module(f"sampan.cli.commands.{module}")
        flags = [flag.name for flag in loaded.COMMAND.flags] + [f.short for f in loaded.COMMAND.flags if f.short]
        assert len(flags) == len(set(flags)), path
        assert callable(loaded.run)
        assert run([*path.split(), "--help"], ENVIRON) == 0
        assert (loaded.COMMAND.long or summary) in capsys.readouterr().out


def test_short_and_other_names_lead_to_commands():
    assert set(table.SHORT.values()) | set(table.ALIASES.values()) <= set(table.COMMANDS)
    assert table.find(["ps", "-a"]) == ("ps", "container ls", ["-a"])
    assert table.find(["container", "ps"]) == ("container ps", "container ls", [])
    assert table.find(["image", "rm", "x"]) == ("image rm", "image rm", ["x"])
    assert table.find(["nosuch"]) == ("", "", ["nosuch"])


def test_help_of_everything(capsys):
    assert run([], ENVIRON) == run(["--help"], ENVIRON) == run(["help"], ENVIRON) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in ("run", "ps", "container", "volume", "inspect"))


@pytest.mark.parametrize("group", table.GROUPS)
def test_help_of_a_group(group, capsys):
    assert run([group], ENVIRON) == run([group, "--help"], ENVIRON) == 0
    assert f"sampan {group} COMMAND" in capsys.readouterr().out


def test_wrapped_help_fits_a_terminal():
    flags = import_module("sampan.cli.commands.container.run").COMMAND.flags
    assert all(len(line) <= 80 for line in usage.of_flags(flags).splitlines())


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["nosuch"], 1, "sampan: unknown command: sampan nosuch"),
        (["container", "nosuch"], 1, "sampan: unknown command: sampan container nosuch"),
        (["--nosuch", "ps"], 125, "unknown flag: --nosuch"),
        (["ps", "--nosuch"], 125, "unknown flag: --nosuch\n\nUsage:  sampan ps [OPTIONS]\n\nRun 'sampan ps --help'"),
        (
            ["stop"],
            1,
            "sampan: 'sampan stop' requires at least 1 argument\n\n"
            "Usage:  sampan stop [OPTIONS] CONTAINER [CONTAINER...]\n\nSee 'sampan stop --help'",
        ),
        (["rename", "a"], 1, "sampan: 'sampan rename' requires 2 arguments"),
        (["ps", "x"], 1, "sampan: 'sampan ps' accepts no arguments"),
        (["images", "a", "b"], 1, "sampan: 'sampan images' requires at most 1 argument"),
        (["commit"], 1, "sampan: 'sampan commit' requires at least 1 and at most 2 arguments"),
        (["ps"], 1, "cannot connect to unix:///nonexistent/sock"),
        (["run", "x"], 125, "sampan: cannot connect to unix:///nonexistent/sock"),
        (["run", "--rm", "--restart", "always", "x"], 125, "sampan: conflicting options"),
        (["-H", "ssh://x", "ps"], 1, "can't connect to 'ssh://x'"),
        (["-c", "nosuch", "ps"], 1, 'context "nosuch": context not found'),
        (["--tls", "ps"], 125, "TLS is not there yet"),
        (["load", "-i", "/nosuch"], 1, "open /nosuch: no such file or directory"),
        (["cp", "a", "b"], 1, "must specify at least one container source"),
        (["update", "x"], 1, "you must provide one or more flags"),
    ],
)
def test_errors(argv, code, message, capsys):
    assert run(argv, ENVIRON) == code
    assert capsys.readouterr().err.startswith(message)


def test_version_without_an_engine_shows_the_client(capsys):
    assert run(["version"], ENVIRON) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("Client:\n Version:")
    assert "cannot connect" in shown.err
    assert run(["--version"], ENVIRON) == 0


def imported_by(*argv: str) -> set[str]:
    call = f"from sampan.cli.main import run; run({list(argv)!r}, {ENVIRON!r})"
    code = f"{call}; import sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split("\n")[-2].split())


def test_plain_commands_start_small():
    heavy = {
        "asyncio",
        "rich",
        "ssl",
        "socket",
        "urllib",
        "argparse",
        "dataclasses",
        "threading",
        "aiohttp",
        "httptools",
    }
    assert not imported_by("ps") & (heavy | {"sampan.engine", "sampan.server"})
    assert not imported_by("version") & (heavy | {"typing", "msgspec", "sampan.wire"})
