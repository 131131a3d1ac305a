"""`sampan search`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import FILTER, FORMAT, filters
from sampan.cli.credentials import auth_header
from sampan.cli.flags import Flag
from sampan.cli.render.listing import Listing, ellipsis

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] TERM",
    (
        FILTER,
        FORMAT,
        Flag("limit", "int", "Max number of search results"),
        Flag("no-trunc", "bool", "Don't truncate output"),
    ),
    1,
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    term = arguments.words[0]
    registry = term.partition("/")[0] if "/" in term and "." in term.partition("/")[0] else "docker.io"
    limit = arguments.number("limit") or None
    wanted = filters(arguments.values("filter"))
    found = cli.run(cli.engine.images.search(term, limit, wanted, auth_header(cli, registry)))
    cli.out(_listing(arguments.truth("no-trunc")).render(found, arguments.text("format")))
    return 0


def _listing(whole: bool) -> Listing:
    return Listing(
        {
            "Description": ("DESCRIPTION", lambda item: _text(item.description, whole)),
            "IsAutomated": ("AUTOMATED", lambda item: "[OK]" if item.is_automated else ""),
            "IsOfficial": ("OFFICIAL", lambda item: "[OK]" if item.is_official else ""),
            "Name": ("NAME", lambda item: item.name),
            "StarCount": ("STARS", lambda item: str(item.star_count)),
        },
        "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
        "*formatter.searchContext",
    )


def _text(description: str, whole: bool) -> str:
    line = description.replace("\n", " ").replace("\r", " ")
    return line if whole else ellipsis(line, 45)
