"""`sampan image load`."""

from __future__ import annotations

from sampan.cli import progress
from sampan.cli.command import Command
from sampan.cli.commands.input import open_file, pieces
from sampan.cli.commands.platforms import platform_json
from sampan.cli.flags import Exit, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("input", "string", "Read from tar archive file, instead of STDIN", "i"),
        Flag("platform", "string", 'Load only the given platform variant, as "os[/arch[/variant]]"'),
        Flag("quiet", "bool", "Suppress the load output", "q"),
    ),
    0,
    0,
)


def run(cli: Cli, arguments: Arguments) -> int:
    path = arguments.text("input")
    if not path and cli.stdin_is_terminal:
        raise Exit(1, "requested load from stdin, but stdin is empty")
    source = open_file(path) if path else 0
    quiet = arguments.truth("quiet") or not cli.stdout_is_terminal
    platform = platform_json(arguments.text("platform"))
    progress.show(cli.run(cli.engine.images.load(pieces(source), quiet, platform)))
    return 0
