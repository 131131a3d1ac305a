"""`sampan context inspect`."""

from __future__ import annotations

import json

from sampan.cli.command import Command
from sampan.cli.commands import INSPECT_FORMAT
from sampan.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("[OPTIONS] [CONTEXT] [CONTEXT...]", (INSPECT_FORMAT,))


def run(cli: Cli, arguments: Arguments) -> int:
    found = [_document(cli, name) for name in arguments.words or [cli.context_name]]
    form = arguments.text("format")
    if form in ("", "json"):
        cli.out(json.dumps(found, indent=4) + "\n")
        return 0
    from sampan.templates.template import Template, TemplateError

    try:
        cli.out("".join(Template(form).render(document) + "\n" for document in found))
    except TemplateError as error:
        raise InvalidArgument(f"template parsing error: {error}") from None
    return 0


def _document(cli: Cli, name: str) -> dict[str, Any]:
    if name == "default":
        document = {
            "Name": "default",
            "Metadata": {},
            "Endpoints": {"docker": {"Host": cli.host, "SkipTLSVerify": False}},
        }
        return document | {"TLSMaterial": {}, "Storage": {"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"}}
    folder = cli.config.context_folder(name)
    tls = folder.replace("/contexts/meta/", "/contexts/tls/")
    return cli.config.context(name) | {"TLSMaterial": {}, "Storage": {"MetadataPath": folder, "TLSPath": tls}}
