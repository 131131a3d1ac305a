"""`sampan context create`."""

from __future__ import annotations

import os
import re

from sampan.cli.command import Command
from sampan.cli.flags import Exit, Flag
from sampan.client.address import parse
from sampan.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] CONTEXT",
    (
        Flag("description", "string", "Description of the context"),
        Flag("docker", "string", "set the docker endpoint: host=unix:///path or host=tcp://host:port"),
    ),
    1,
    1,
)
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+")


def run(cli: Cli, arguments: Arguments) -> int:
    name = arguments.words[0]
    if name == "default" or not NAME.fullmatch(name):
        raise Exit(1, f'context name "{name}" is invalid: names are validated against "{NAME.pattern}"')
    if _exists(cli, name):
        raise Exit(1, f'context "{name}" already exists')
    host = _host(arguments.text("docker")) or cli.host
    document = {
        "Name": name,
        "Metadata": {"Description": arguments.text("description")} if arguments.text("description") else {},
        "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}},
    }
    _write(cli.config.context_folder(name), document)
    cli.out(f"{name}\n")
    cli.err(f'Successfully created context "{name}"')
    return 0


def _exists(cli: Cli, name: str) -> bool:
    try:
        cli.config.context(name)
    except NotFound:
        return False
    return True


def _host(text: str) -> str:
    if not text:
        return ""
    key, _, host = text.partition("=")
    if key != "host":
        raise InvalidArgument(f"unrecognized config key {key}: only host= is there yet")
    parse(host)
    return host


def _write(folder: str, document: Mapping[str, object]) -> None:
    import json

    os.makedirs(folder, mode=0o755, exist_ok=True)
    with open(f"{folder}/meta.json", "w") as file:  # noqa: PTH123
        json.dump(document, file, separators=(",", ":"))
