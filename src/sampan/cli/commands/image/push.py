"""`sampan image push`."""

from __future__ import annotations

from sampan.cli import progress, reference
from sampan.cli.command import Command
from sampan.cli.commands.platforms import platform_json
from sampan.cli.credentials import auth_header
from sampan.cli.flags import Exit, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] NAME[:TAG]",
    (
        Flag("all-tags", "bool", "Push all tags of an image to the repository", "a"),
        Flag("disable-content-trust", "bool", "Skip image signing", default=True, hidden=True),
        Flag("platform", "string", "Push a platform-specific manifest as a single-platform image"),
        Flag("quiet", "bool", "Suppress verbose output", "q"),
    ),
    1,
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    found = reference.parse(arguments.words[0])
    all_tags = arguments.truth("all-tags")
    if all_tags and found.tag:
        raise Exit(1, "tag can't be used with --all-tags/-a")
    tag = "" if all_tags else found.tag or "latest"
    if not (all_tags or found.tag or arguments.truth("quiet")):
        cli.out("Using default tag: latest\n")
    auth = auth_header(cli, found.registry) or "e30="
    response = cli.run(cli.engine.images.push(found.repository, tag, platform_json(arguments.text("platform")), auth))
    progress.show(response, quiet=arguments.truth("quiet"))
    if arguments.truth("quiet"):
        cli.out(f"{found.repository}:{tag}\n")
    return 0
