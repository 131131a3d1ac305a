"""`sampan image history`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import FORMAT
from sampan.cli.commands.platforms import platform_json
from sampan.cli.flags import Flag
from sampan.cli.render.listing import Listing, ellipsis, short_id
from sampan.cli.render.units import age, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] IMAGE",
    (
        FORMAT,
        Flag("human", "bool", "Print sizes and dates in human readable format", "H", True, "true"),
        Flag("no-trunc", "bool", "Don't truncate output"),
        Flag("platform", "string", 'Show history for the given platform, as "os[/arch[/variant]]"'),
        Flag("quiet", "bool", "Only show image IDs", "q"),
    ),
    1,
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    platform = platform_json(arguments.text("platform"))
    items = cli.run(cli.engine.images.history(arguments.words[0], platform))
    whole = arguments.truth("no-trunc")
    if arguments.truth("quiet") and not arguments.text("format"):
        cli.out("".join(f"{item.id if whole else short_id(item.id)}\n" for item in items))
        return 0
    cli.out(_listing(whole, arguments.truth("human")).render(items, arguments.text("format")))
    return 0


def _listing(whole: bool, human: bool) -> Listing:
    since = "CREATED" if human else "CREATED AT"
    return Listing(
        {
            "Comment": ("COMMENT", lambda item: item.comment),
            "CreatedAt": ("CREATED AT", lambda item: _time(item.created)),
            "CreatedBy": ("CREATED BY", lambda item: _command(item.created_by, whole)),
            "CreatedSince": (since, lambda item: _since(item.created, human)),
            "ID": ("IMAGE", lambda item: item.id if whole else short_id(item.id)),
            "Size": ("SIZE", lambda item: human_size(item.size, 3) if human else str(item.size)),
        },
        "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
        "*formatter.historyContext",
    )


def _command(text: str, whole: bool) -> str:
    text = text.replace("\t", " ")
    return text if whole else ellipsis(text, 45)


def _since(created: int, human: bool) -> str:
    if not human:
        return _time(created)
    return age(created) if created > -62135596800 else "N/A"


def _time(created: int) -> str:
    import time

    moment = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(created))
    return moment.removesuffix("+0000") + "Z" if moment.endswith("+0000") else f"{moment[:-2]}:{moment[-2:]}"
