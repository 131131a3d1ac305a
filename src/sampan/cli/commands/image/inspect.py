"""`sampan image inspect`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import INSPECT_FORMAT
from sampan.cli.commands.inspecting import inspect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("[OPTIONS] IMAGE [IMAGE...]", (INSPECT_FORMAT,), 1)


def run(cli: Cli, arguments: Arguments) -> int:
    from sampan.wire.images import ImageInspect

    return inspect(
        cli,
        arguments.words,
        arguments.text("format"),
        lambda ref: (cli.run(cli.engine.images.inspect_raw(ref)), ImageInspect),
    )
