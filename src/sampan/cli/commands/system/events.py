"""`sampan system events`."""

from __future__ import annotations

import sys
import time

from sampan.cli.command import Command
from sampan.cli.commands import FILTER, FORMAT, filters
from sampan.cli.commands.times import to_unix
from sampan.cli.flags import Flag
from sampan.client.blocking import iterate
from sampan.errors import InvalidArgument
from sampan.wire import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.templates.template import Template
    from sampan.wire.events import Event

COMMAND = Command(
    "[OPTIONS]",
    (
        FILTER,
        FORMAT,
        Flag("since", "string", "Show all events created since timestamp"),
        Flag("until", "string", "Stream events until this timestamp"),
    ),
    0,
    0,
)


def run(cli: Cli, arguments: Arguments) -> int:
    template = _template(arguments.text("format"))
    events = cli.engine.system.events(
        to_unix(arguments.text("since")),
        to_unix(arguments.text("until")),
        filters(arguments.values("filter")),
    )
    for event in iterate(events):
        cli.out(f"{template.render(event) if template else _line(event)}\n")
        sys.stdout.flush()
    return 0


def _template(form: str) -> Template | None:
    if not form:
        return None
    from sampan.templates.template import Template, TemplateError

    try:
        return Template("{{json .}}" if form == "json" else form)
    except TemplateError as error:
        raise InvalidArgument(f"template parsing error: {error}") from None


def _line(event: Event) -> str:
    ns = event.time_nano or event.time * codec.SECOND
    seconds, fraction = divmod(ns, codec.SECOND)
    moment = time.localtime(seconds)
    zone = time.strftime("%z", moment)
    shown = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{fraction:09d}{shown}"
    attributes = ", ".join(f"{key}={value}" for key, value in sorted((event.actor.attributes or {}).items()))
    words = f"{stamp} {event.type} {event.action} {event.actor.id}"
    return f"{words} ({attributes})" if attributes else words
