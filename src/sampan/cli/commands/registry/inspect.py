"""`sampan registry inspect`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands.registry.remoting import FLAGS, client_of, domain_of, run_remote
from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.images.remote import RegistryClient, Remote, RemoteManifest

COMMAND = Command(
    "[OPTIONS] IMAGE[:TAG|@DIGEST]",
    (
        *FLAGS,
        Flag("config", "bool", "Show the image's config instead"),
        Flag("raw", "bool", "Show the document's bytes as they are"),
        Flag("referrers", "bool", "List what refers to it (signatures, SBOMs) as well"),
    ),
    1,
    1,
    long="Display what a registry has under a name",
)
CONFIG_LIMIT = 16 << 20


def run(cli: Cli, arguments: Arguments) -> int:
    text = arguments.words[0]

    async def work(remote: Remote) -> str:
        client = client_of(cli, arguments, remote, text)
        return await _shown(client, arguments)

    cli.out(run_remote(cli, arguments, [domain_of(text)], work))
    return 0


async def _shown(client: RegistryClient, arguments: Arguments) -> str:
    reference = client.reference
    found = await client.manifest(reference.digest or reference.tag or "latest")
    if arguments.truth("config"):
        content = await _config(client, found)
    elif arguments.truth("raw"):
        content = found.content
    else:
        referrers = await client.referrers(found.digest) if arguments.truth("referrers") else None
        return _pretty(_description(client, found, referrers))
    return content.decode() if arguments.truth("raw") else _pretty(_parsed(content))


async def _config(client: RegistryClient, found: RemoteManifest) -> bytes:
    from sampan.errors import InvalidArgument

    config = _parsed(found.content).get("config")
    if not config:
        raise InvalidArgument("an index has no config: name one of its manifests by digest")
    return await client.blob(config["digest"], CONFIG_LIMIT)


def _description(client: RegistryClient, found: RemoteManifest, referrers: Any) -> dict[str, Any]:
    described: dict[str, Any] = {
        "Name": client.reference.familiar_name,
        "Digest": found.digest,
        "MediaType": found.media_type,
        "Size": found.size,
        "Manifest": _parsed(found.content),
    }
    if referrers is not None:
        described["Referrers"] = [
            {"Digest": entry.digest, "MediaType": entry.media_type, "ArtifactType": entry.artifact_type}
            for entry in referrers
        ]
    return described


def _parsed(content: bytes) -> Any:
    import json

    return json.loads(content)


def _pretty(document: Any) -> str:
    import json

    return json.dumps(document, indent=4, ensure_ascii=False) + "\n"
