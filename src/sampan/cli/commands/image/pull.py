"""`sampan image pull`."""

from __future__ import annotations

import sys

from sampan.cli import progress, reference
from sampan.cli.command import Command
from sampan.cli.credentials import auth_header
from sampan.cli.flags import Exit, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    (
        Flag("all-tags", "bool", "Download all tagged images in the repository", "a"),
        Flag("disable-content-trust", "bool", "Skip image verification", default=True, hidden=True),
        Flag("platform", "string", "Set platform if server is multi-platform capable"),
        Flag("quiet", "bool", "Suppress verbose output", "q"),
    ),
    1,
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    image, all_tags, quiet = arguments.words[0], arguments.truth("all-tags"), arguments.truth("quiet")
    found = reference.parse(image)
    if all_tags and (found.tag or found.digest):
        raise Exit(1, "tag can't be used with --all-tags/-a")
    if not (all_tags or found.tag or found.digest or quiet):
        cli.out("Using default tag: latest\n")
    cli.out(f"{pull(cli, image, arguments.text('platform'), sys.stdout, quiet, all_tags)}\n")
    return 0


def pull(cli: Cli, image: str, platform: str, out: TextIO, quiet: bool = False, all_tags: bool = False) -> str:
    """Pull an image and show the progress on `out`; return its full name."""
    found = reference.parse(image)
    tag = "" if all_tags else found.digest or found.tag or "latest"
    response = cli.run(cli.engine.images.pull(found.repository, tag, platform, auth_header(cli, found.registry)))
    progress.show(response, out, quiet)
    return f"{found.repository}{'@' if found.digest else ':'}{tag}" if tag else found.repository
