"""The text of --help."""

from __future__ import annotations

from sampan.cli.table import COMMANDS, COMMON, GROUPS, SHORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.cli.command import Command
    from sampan.cli.flags import Flag

WIDTH = 80


def line(typed: str, command: Command) -> str:
    """Return the usage line of a command."""
    return f"Usage:  sampan {typed} {command.usage}".rstrip()


def of_command(typed: str, path: str, command: Command) -> str:
    """Return a command's help."""
    parts = [line(typed, command), "", command.long or COMMANDS[path][1]]
    shorts = [short for short, target in SHORT.items() if target == path]
    if shorts:
        parts += ["", "Aliases:", "  " + ", ".join(f"sampan {name}" for name in (path, *shorts))]
    visible = [flag for flag in command.flags if not flag.hidden]
    if visible:
        parts += ["", "Options:", of_flags(visible)]
    return "\n".join(parts) + "\n"


def of_group(group: str) -> str:
    """Return the help of a word that stands before others."""
    rows = [(path.split()[1], text) for path, (_, text) in COMMANDS.items() if path.startswith(f"{group} ")]
    parts = [f"Usage:  sampan {group} COMMAND", "", GROUPS[group], "", "Commands:", _columns(rows), ""]
    return "\n".join([*parts, f"Run 'sampan {group} COMMAND --help' for more information on a command."]) + "\n"


def of_program(flags: Sequence[Flag]) -> str:
    """Return the help of everything."""
    singles = {name: COMMANDS[path][1] for name, path in SHORT.items()}
    singles |= {path: text for path, (_, text) in COMMANDS.items() if " " not in path}
    common = [(name, singles[name]) for name in COMMON]
    others = [(name, text) for name, text in sorted(singles.items()) if name not in COMMON]
    parts = ["Usage:  sampan [OPTIONS] COMMAND", "", "Containers, images, networks and volumes"]
    parts += ["", "Common Commands:", _columns(common), "", "Management Commands:", _columns(list(GROUPS.items()))]
    parts += ["", "Commands:", _columns(others), "", "Global Options:", of_flags(flags), ""]
    return "\n".join([*parts, "Run 'sampan COMMAND --help' for more information on a command."]) + "\n"


def of_flags(flags: Sequence[Flag]) -> str:
    """Return the table of flags, wrapped to 80 columns."""
    heads = [_head(flag) for flag in flags]
    indent = max(len(head) for head in heads) + 3
    return "\n".join(_wrapped(head, _help(flag), indent) for head, flag in zip(heads, flags, strict=True))


def _head(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    kind = "" if flag.kind == "bool" else f" {flag.kind}"
    return f"  {short}--{flag.name}{kind}"


def _help(flag: Flag) -> str:
    return f"{flag.help} (default {flag.shown})" if flag.shown else flag.help


def _wrapped(head: str, text: str, indent: int) -> str:
    lines, current = [], ""
    for word in text.split():
        if current and len(current) + 1 + len(word) > max(WIDTH - indent, 24):
            lines.append(current)
            current = word
        else:
            current = f"{current} {word}".strip()
    lines.append(current)
    return head.ljust(indent) + ("\n" + " " * indent).join(lines)


def _columns(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"  {name.ljust(width)}{text}" for name, text in rows)
