"""`sampan image save`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands.output import OUTPUT, save
from sampan.cli.commands.platforms import platform_json
from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    (OUTPUT, Flag("platform", "string", 'Save only the given platform variant, as "os[/arch[/variant]]"')),
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    platform = platform_json(arguments.text("platform"))
    return save(
        cli,
        arguments.text("output"),
        lambda: cli.engine.images.save(arguments.words, platform),
        "failed to save image",
    )
