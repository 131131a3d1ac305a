"""`sampan container create`, and what run shares with it."""

from __future__ import annotations

import os

from sampan.cli import reference
from sampan.cli.command import Command
from sampan.cli.commands.container.options import FLAGS
from sampan.cli.commands.container.request import build
from sampan.cli.flags import Exit
from sampan.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.wire.containers import CreateRequest

COMMAND = Command("[OPTIONS] IMAGE [COMMAND] [ARG...]", FLAGS, 1, interspersed=False)
PULL = ("always", "missing", "never")


def run(cli: Cli, arguments: Arguments) -> int:
    cli.out(create(cli, arguments, requested(cli, arguments, "create")) + "\n")
    return 0


def requested(cli: Cli, arguments: Arguments, verb: str) -> CreateRequest:
    """Return the request that the flags ask for; leave with 125 when they make no sense together."""
    try:
        if arguments.text("pull") not in PULL:
            raise InvalidArgument(
                f'invalid pull option: \'{arguments.text("pull")}\': must be one of "always", "missing" or "never"'
            )
        if not arguments.truth("disable-content-trust"):
            raise InvalidArgument("there is no content trust: leave out --disable-content-trust=false")
        return build(arguments, cli.environ)
    except InvalidArgument as error:
        raise Exit(125, f"sampan: {error}\n\nRun 'sampan {verb} --help' for more information") from None


def create(cli: Cli, arguments: Arguments, request: CreateRequest) -> str:
    """Create the container, pulling its image where that is wanted; return its id."""
    cidfile = arguments.text("cidfile")
    if cidfile and os.path.exists(cidfile):
        raise InvalidArgument(
            f"container ID file found, make sure the other container isn't running or delete {cidfile}"
        )
    pull = arguments.text("pull")
    if pull == "always":
        _pull(cli, arguments, request.image)
    name, platform = arguments.text("name"), arguments.text("platform")
    try:
        created = cli.run(cli.engine.containers.create(request, name, platform))
    except NotFound as error:
        if pull != "missing" or not str(error).startswith("No such image"):
            raise
        if not arguments.truth("quiet"):
            cli.err(f"Unable to find image '{_with_tag(request.image)}' locally")
        _pull(cli, arguments, request.image)
        created = cli.run(cli.engine.containers.create(request, name, platform))
    for warning in created.warnings:
        cli.err(f"WARNING: {warning}")
    if cidfile:
        with open(cidfile, "x") as file:  # noqa: PTH123
            file.write(created.id)
    return created.id


def _pull(cli: Cli, arguments: Arguments, image: str) -> None:
    import sys

    from sampan.cli.commands.image.pull import pull

    pull(cli, image, arguments.text("platform"), sys.stderr, arguments.truth("quiet"))


def _with_tag(image: str) -> str:
    try:
        found = reference.parse(image)
    except InvalidArgument:
        return image
    return image if found.tag or found.digest else f"{image}:latest"
