"""`sampan registry copy`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands.registry.remoting import FLAGS, client_of, domain_of, run_remote
from sampan.cli.flags import Flag
from sampan.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.images.remote import RegistryClient, Remote

COMMAND = Command(
    "[OPTIONS] SOURCE[:TAG|@DIGEST] TARGET[:TAG]",
    (
        Flag("all-tags", "bool", "Copy every tag of the source", "a"),
        *(flag for flag in FLAGS if flag.name != "creds"),
        Flag("platform", "string", "Of an index, copy only the image for this platform"),
        Flag("quiet", "bool", "Print digests only", "q"),
        Flag("source-creds", "string", "User and password for the source, as USER:PASSWORD"),
        Flag("target-creds", "string", "User and password for the target, as USER:PASSWORD"),
    ),
    2,
    2,
    long="Copy images from one registry to another, byte for byte, without a daemon",
)


def run(cli: Cli, arguments: Arguments) -> int:
    source, target = arguments.words

    async def work(remote: Remote) -> None:
        await _copy(
            cli,
            arguments,
            client_of(cli, arguments, remote, source, "source-creds"),
            client_of(cli, arguments, remote, target, "target-creds"),
        )

    run_remote(cli, arguments, [domain_of(source), domain_of(target)], work)
    return 0


async def _copy(cli: Cli, arguments: Arguments, source: RegistryClient, target: RegistryClient) -> None:
    from sampan.images.remote import Platform
    from sampan.images.remote.copy import copy

    platform = Platform.parse(arguments.text("platform")) if arguments.text("platform") else None
    for wanted, tag in await _pairs(arguments, source, target):
        digest = await copy(source, wanted, target, tag, platform=platform)
        if arguments.truth("quiet"):
            cli.out(f"{digest}\n")
        else:
            cli.out(f"{source.reference.familiar_name}:{wanted} -> {target.reference.familiar_name}:{tag} {digest}\n")


async def _pairs(arguments: Arguments, source: RegistryClient, target: RegistryClient) -> list[tuple[str, str]]:
    """What to copy, as (tag or digest of the source, tag of the target, "" for by digest)."""
    given, named = source.reference, target.reference
    if arguments.truth("all-tags"):
        if not (given.is_name_only and named.is_name_only):
            raise InvalidArgument("--all-tags/-a takes no tags: name two repositories")
        return [(tag, tag) for tag in await source.tags()]
    if named.digest:
        raise InvalidArgument("the target takes a tag: its digest is that of the source")
    if given.digest:
        return [(given.digest, named.tag or given.tag or "")]
    tag = given.tag or "latest"
    return [(tag, named.tag or tag)]
