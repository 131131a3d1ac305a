"""`sampan volume create`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.flags import Exit, Flag
from sampan.wire.volumes import VolumeCreateRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] [VOLUME]",
    (
        Flag("driver", "string", "Specify volume driver name", "d", "local", '"local"'),
        Flag("label", "list", "Set metadata for a volume"),
        Flag("name", "string", "Specify volume name", hidden=True),
        Flag("opt", "map", "Set driver specific options", "o"),
    ),
    0,
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    if arguments.words and arguments.given("name"):
        raise Exit(1, "conflicting options: cannot specify a volume-name through both --name and as a positional arg")
    request = VolumeCreateRequest(
        name=arguments.words[0] if arguments.words else arguments.text("name"),
        driver=arguments.text("driver"),
        driver_opts=pairs(arguments.texts("opt")),
        labels=pairs(arguments.texts("label")),
    )
    cli.out(f"{cli.run(cli.engine.volumes.create(request)).name}\n")
    return 0


def pairs(items: list[str]) -> dict[str, str]:
    """Return key=value items as a dict; without "=" the value is ""."""
    split = (item.partition("=") for item in items)
    return {key: value for key, _, value in split}
