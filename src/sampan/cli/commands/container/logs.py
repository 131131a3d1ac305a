"""`sampan container logs`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands.times import to_unix
from sampan.cli.flags import Flag
from sampan.cli.streams import show, write_all
from sampan.client.blocking import iterate
from sampan.client.stdcopy import Demultiplexer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] CONTAINER",
    (
        Flag("details", "bool", "Show extra details provided to logs"),
        Flag("follow", "bool", "Follow log output", "f"),
        Flag("since", "string", 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m")'),
        Flag("tail", "string", "Number of lines to show from the end of the logs", "n", "all", '"all"'),
        Flag("timestamps", "bool", "Show timestamps", "t"),
        Flag("until", "string", 'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m")'),
    ),
    1,
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    ref = arguments.words[0]
    container = cli.run(cli.engine.containers.inspect(ref))
    response = cli.run(
        cli.engine.containers.logs(
            container.id,
            follow=arguments.truth("follow"),
            since=to_unix(arguments.text("since"), "since"),
            until=to_unix(arguments.text("until"), "until"),
            tail=arguments.text("tail"),
            timestamps=arguments.truth("timestamps"),
            details=arguments.truth("details"),
        )
    )
    demultiplexer = Demultiplexer()
    for piece in iterate(response.chunks()):
        if container.config.tty:
            write_all(1, piece)
            continue
        for stream, part in demultiplexer.feed(piece):
            show(stream, part)
    return 0
