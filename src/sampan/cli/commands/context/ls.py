"""`sampan context ls`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import FORMAT
from sampan.cli.context import DEFAULT_HOST
from sampan.cli.flags import Flag
from sampan.cli.render.listing import Listing, yes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command("[OPTIONS]", (FORMAT, Flag("quiet", "bool", "Only show context names", "q")), 0, 0)

LISTING = Listing(
    {
        "Current": ("", lambda c: yes(c["Current"])),
        "Description": ("DESCRIPTION", lambda c: c["Description"]),
        "DockerEndpoint": ("DOCKER ENDPOINT", lambda c: c["DockerEndpoint"]),
        "Error": ("ERROR", lambda c: ""),
        "Name": ("NAME", lambda c: c["Name"]),
        "Marked": ("NAME", lambda c: c["Name"] + (" *" if c["Current"] else "")),
    },
    "{{.Marked}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
)


def run(cli: Cli, arguments: Arguments) -> int:
    found = [_default(cli), *(_row(cli, context) for context in cli.config.contexts())]
    if arguments.truth("quiet"):
        cli.out("".join(f"{context['Name']}\n" for context in found))
        return 0
    cli.out(LISTING.render(sorted(found, key=lambda context: str(context["Name"])), arguments.text("format")))
    return 0


def _default(cli: Cli) -> dict[str, Any]:
    current = cli.context_name == "default"
    return {
        "Name": "default",
        "Description": "Current DOCKER_HOST based configuration",
        "DockerEndpoint": cli.host if current else DEFAULT_HOST,
        "Current": current,
    }


def _row(cli: Cli, context: dict[str, Any]) -> dict[str, Any]:
    return {
        "Name": context["Name"],
        "Description": (context.get("Metadata") or {}).get("Description", ""),
        "DockerEndpoint": context.get("Endpoints", {}).get("docker", {}).get("Host", ""),
        "Current": cli.context_name == context["Name"],
    }
