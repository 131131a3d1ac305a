"""`sampan context rm`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.flags import Flag
from sampan.errors import SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("CONTEXT [CONTEXT...]", (Flag("force", "bool", "Force the removal of a context in use", "f"),), 1)


def run(cli: Cli, arguments: Arguments) -> int:
    code = 0
    for name in arguments.words:
        problem = _remove(cli, name, arguments.truth("force"))
        if problem:
            cli.err(problem)
            code = 1
        else:
            cli.out(f"{name}\n")
    return code


def _remove(cli: Cli, name: str, force: bool) -> str:
    """Remove a context; return what is wrong, "" where nothing is."""
    import shutil

    if name == "default":
        return 'context "default" cannot be removed'
    current = cli.config.text("currentContext") == name
    if current and not force:
        return f'context "{name}" is in use, set -f flag to force remove'
    try:
        cli.config.context(name)
    except SampanError as error:
        return "" if force else str(error)
    shutil.rmtree(cli.config.context_folder(name))
    if current:
        cli.config.save({key: value for key, value in cli.config.values.items() if key != "currentContext"})
    return ""
