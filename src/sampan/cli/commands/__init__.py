"""The commands, one module each. What several of them need is here."""

from __future__ import annotations

import sys

from sampan.cli.flags import Flag
from sampan.client.errors import Answered
from sampan.errors import InvalidArgument, NotModified, SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from sampan.cli.context import Cli

FORMAT_HELP = "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template"


def read_filter(text: str) -> tuple[str, str]:
    """Return (name, value) of a filter. Raises InvalidArgument."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidArgument("bad format of filter (expected name=value)")
    return name.strip().lower(), value.strip()


FILTER = Flag("filter", "filter", "Filter output based on conditions provided", "f", read=read_filter)
FORMAT = Flag("format", "string", FORMAT_HELP)
INSPECT_FORMAT = Flag("format", "string", "Format output using a custom template: 'json' or a Go template", "f")


def filters(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return filters as the client takes them."""
    made: dict[str, list[str]] = {}
    for name, value in pairs:
        made.setdefault(name, []).append(value)
    return made


def describe(error: SampanError) -> str:
    """Return the line to print for an error."""
    return f"Error response from daemon: {error}" if isinstance(error, Answered) else str(error)


async def settled(work: Coroutine[Any, Any, object]) -> None:
    """Do `work`; what already is as asked is as good as done."""
    try:
        await work
    except NotModified:
        pass


def each(cli: Cli, refs: list[str], work: Callable[[str], Coroutine[Any, Any, object]]) -> int:
    """Do `work` for each; print the names of those that went well, then the errors. Return the exit code."""
    errors: list[str] = []
    for ref in refs:
        try:
            cli.run(settled(work(ref)))
            cli.out(f"{ref}\n")
            sys.stdout.flush()
        except SampanError as error:
            errors.append(describe(error))
    for message in errors:
        cli.err(message)
    return 1 if errors else 0


def confirm(cli: Cli, question: str) -> bool:
    """Ask on standard output; only y or yes agrees."""
    cli.out(f"{question} [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
