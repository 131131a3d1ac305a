"""`sampan context use`."""

from __future__ import annotations

from sampan.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("CONTEXT", (), 1, 1)


def run(cli: Cli, arguments: Arguments) -> int:
    name = arguments.words[0]
    values = dict(cli.config.values)
    if name == "default":
        values.pop("currentContext", None)
    else:
        cli.config.context(name)
        values["currentContext"] = name
    cli.config.save(values)
    cli.out(f"{name}\n")
    cli.err(f'Current context is now "{name}"')
    if cli.environ.get("DOCKER_HOST") or cli.environ.get("SAMPAN_HOST"):
        cli.err("Warning: DOCKER_HOST or SAMPAN_HOST overrides the active context; unset it to use the context")
    return 0
