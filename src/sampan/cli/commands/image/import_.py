"""`sampan image import`."""

from __future__ import annotations

from sampan.cli import progress, reference
from sampan.cli.command import Command
from sampan.cli.commands.input import open_file, pieces
from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    (
        Flag("change", "list", "Apply Dockerfile instruction to the created image", "c"),
        Flag("message", "string", "Set commit message for imported image", "m"),
        Flag("platform", "string", "Set platform if server is multi-platform capable"),
    ),
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    source, *names = arguments.words
    target = reference.parse(names[0]) if names else None
    remote = source.startswith(("http://", "https://"))
    tar = None if remote else pieces(0 if source == "-" else open_file(source))
    response = cli.run(
        cli.engine.images.import_(
            source if remote else "-",
            tar,
            target.repository if target else "",
            target.tag if target else "",
            arguments.text("message"),
            arguments.texts("change"),
            arguments.text("platform"),
        )
    )
    progress.show(response)
    return 0
