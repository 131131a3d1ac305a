"""`sampan container diff`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import FORMAT
from sampan.cli.render.listing import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.wire.containers import Change

COMMAND = Command("CONTAINER", (FORMAT,), 1, 1)

KINDS = ("C", "A", "D")

LISTING = Listing(
    {"Type": ("CHANGE TYPE", lambda change: _kind(change)), "Path": ("PATH", lambda change: change.path)},
    "{{.Type}}\t{{.Path}}",
)


def run(cli: Cli, arguments: Arguments) -> int:
    changes = cli.run(cli.engine.containers.changes(arguments.words[0]))
    cli.out(LISTING.render(changes, arguments.text("format") or "{{.Type}} {{.Path}}"))
    return 0


def _kind(change: Change) -> str:
    return KINDS[change.kind] if 0 <= change.kind < len(KINDS) else str(change.kind)
