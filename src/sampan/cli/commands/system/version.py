"""`sampan version`. The one command whose start-up time is a target: JSON stays plain, no wire types."""

from __future__ import annotations

import os
import sys

from sampan import __version__
from sampan.cli.command import Command
from sampan.cli.commands import INSPECT_FORMAT, describe
from sampan.client.session import API_VERSION
from sampan.errors import InvalidArgument, SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("[OPTIONS]", (INSPECT_FORMAT,), 0, 0)
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def run(cli: Cli, arguments: Arguments) -> int:
    form = arguments.text("format")
    server, problem = None, ""
    try:
        server = _server(cli)
    except SampanError as error:
        problem = describe(error)
    both = {"Client": _client(cli), "Server": server}
    if form in ("", "text"):
        cli.out(_text(both))
    else:
        cli.out(_formatted(both, form))
    if problem:
        cli.err(problem)
    return 1 if problem else 0


def _server(cli: Cli) -> dict[str, Any]:
    import json

    server: dict[str, Any] = json.loads(cli.run(cli.engine.system.version_raw()))
    for component in server.get("Components") or ():
        details = component.get("Details") or {}
        if "BuildTime" in details:
            details["BuildTime"] = _built(details["BuildTime"])
    return server


def _client(cli: Cli) -> dict[str, Any]:
    system, machine = os.uname().sysname.lower(), os.uname().machine
    return {
        "Version": __version__,
        "ApiVersion": cli.engine.session.version or API_VERSION,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": sys.version.partition(" ")[0],
        "Os": system,
        "Arch": MACHINES.get(machine, machine),
        "Context": cli.context_name,
    }


def _formatted(both: dict[str, Any], form: str) -> str:
    if form == "json":
        import json

        return json.dumps(both, separators=(",", ":")) + "\n"
    from sampan.templates.template import Template, TemplateError

    try:
        return Template(form).render(both) + "\n"
    except TemplateError as error:
        raise InvalidArgument(f"template parsing error: {error}") from None


def _text(both: dict[str, Any]) -> str:
    client = both["Client"]
    api = client["ApiVersion"]
    shown_api = api if api == API_VERSION else f"{api} (downgraded from {API_VERSION})"
    lines = ["Client:"]
    lines += _rows(
        (
            ("Version:", client["Version"]),
            ("API version:", shown_api),
            ("Python version:", client["PythonVersion"]),
            ("OS/Arch:", f"{client['Os']}/{client['Arch']}"),
            ("Context:", client["Context"]),
        ),
        " ",
        19,
    )
    if both["Server"]:
        lines += _server_lines(both["Server"])
    return "\n".join(lines) + "\n"


def _server_lines(server: dict[str, Any]) -> list[str]:
    platform = (server.get("Platform") or {}).get("Name", "")
    lines = ["", f"Server: {platform}".rstrip()]
    components = server.get("Components") or [
        {"Name": "Engine", "Version": server.get("Version", ""), "Details": server}
    ]
    for component in components:
        details = component.get("Details") or {}
        lines.append(f" {component['Name']}:")
        rows = [("Version:", component["Version"]), *_details(component["Name"], details)]
        lines += _rows(rows, "  ", 18)
    return lines


def _details(name: str, details: dict[str, Any]) -> list[tuple[str, str]]:
    if name != "Engine":
        return [(f"{key}:", value) for key, value in sorted(details.items())]
    api = f"{details.get('ApiVersion', '')} (minimum version {details.get('MinAPIVersion', '')})"
    rows = [
        ("API version:", api),
        ("Go version:", details.get("GoVersion", "")),
        ("Git commit:", details.get("GitCommit", "")),
        ("Built:", details.get("BuildTime", "")),
        ("OS/Arch:", f"{details.get('Os', '')}/{details.get('Arch', '')}"),
        ("Experimental:", str(details.get("Experimental", "false")).lower()),
    ]
    return [row for row in rows if row[1] or row[0] != "Go version:"]


def _rows(rows: Any, indent: str, width: int) -> list[str]:
    return [f"{indent}{name.ljust(width)}{value}" for name, value in rows]


def _built(text: str) -> str:
    """Return a build time as C's asctime shows it; what is not a time stays."""
    import time

    digits = text[:19].replace("T", "-").replace(":", "-").split("-")
    if len(digits) != 6 or not "".join(digits).isdigit():
        return text
    year, month, day, hour, minute, second = map(int, digits)
    moment = time.localtime(time.mktime((year, month, day, hour, minute, second, 0, 0, -1)))
    return time.strftime("%a %b %e %H:%M:%S %Y", moment)
