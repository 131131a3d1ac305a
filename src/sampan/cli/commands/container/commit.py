"""`sampan container commit`."""

from __future__ import annotations

from sampan.cli import reference
from sampan.cli.command import Command
from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    (
        Flag("author", "string", 'Author (e.g., "Jo <jo@example.org>")', "a"),
        Flag("change", "list", "Apply Dockerfile instruction to the created image", "c"),
        Flag("message", "string", "Commit message", "m"),
        Flag("pause", "bool", "Pause container during commit", "p", True, "true"),
    ),
    1,
    2,
)


def run(cli: Cli, arguments: Arguments) -> int:
    container, *names = arguments.words
    target = reference.parse(names[0]) if names else None
    id = cli.run(
        cli.engine.images.commit(
            container,
            target.repository if target else "",
            target.tag if target else "",
            arguments.text("message"),
            arguments.text("author"),
            arguments.texts("change"),
            arguments.truth("pause"),
        )
    )
    cli.out(f"{id}\n")
    return 0
