"""`sampan image rm`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import describe
from sampan.cli.commands.platforms import platform_json
from sampan.cli.flags import Flag
from sampan.errors import NotFound, SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    (
        Flag("force", "bool", "Force removal of the image", "f"),
        Flag("no-prune", "bool", "Do not delete untagged parents"),
        Flag("platform", "strings", 'Remove only the given platform variant, as "os[/arch[/variant]]"'),
    ),
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    force, no_prune = arguments.truth("force"), arguments.truth("no-prune")
    platforms = [platform_json(text) for text in arguments.texts("platform")]
    code = 0
    for ref in arguments.words:
        try:
            items = cli.run(cli.engine.images.remove(ref, force, no_prune, platforms))
            lines = [f"Deleted: {item.deleted}" if item.deleted else f"Untagged: {item.untagged}" for item in items]
            cli.out("".join(f"{line}\n" for line in lines))
        except SampanError as error:
            cli.err(describe(error))
            if not (force and isinstance(error, NotFound)):
                code = 1
    return code
