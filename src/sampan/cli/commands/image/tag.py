"""`sampan image tag`."""

from __future__ import annotations

from sampan.cli import reference
from sampan.cli.command import Command
from sampan.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", (), 2, 2)


def run(cli: Cli, arguments: Arguments) -> int:
    source, name = arguments.words
    try:
        target = reference.parse(name)
    except InvalidArgument as error:
        raise InvalidArgument(f'Error parsing reference: "{name}" is not a valid repository/tag: {error}') from None
    if target.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    cli.run(cli.engine.images.tag(source, target.repository, target.tag or "latest"))
    return 0
