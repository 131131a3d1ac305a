"""`sampan registry rm`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import describe
from sampan.cli.commands.registry.remoting import FLAGS, client_of, domain_of, run_remote
from sampan.cli.flags import Flag
from sampan.errors import InvalidArgument, SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.images.remote import Remote

COMMAND = Command(
    "[OPTIONS] IMAGE:TAG|IMAGE@DIGEST [...]",
    (
        *FLAGS,
        Flag("manifest", "bool", "Of a tag, remove the manifest it points to, with all tags that do", "m"),
    ),
    1,
    long="Remove tags or manifests from a registry; their bytes go with its next collection",
)


def run(cli: Cli, arguments: Arguments) -> int:
    domains = [domain_of(text) for text in arguments.words]

    async def work(remote: Remote) -> int:
        code = 0
        for text in arguments.words:
            try:
                cli.out(f"{await _remove(cli, arguments, remote, text)}\n")
            except SampanError as error:
                cli.err(describe(error))
                code = 1
        return code

    return run_remote(cli, arguments, domains, work)


async def _remove(cli: Cli, arguments: Arguments, remote: Remote, text: str) -> str:
    client = client_of(cli, arguments, remote, text)
    reference = client.reference
    if reference.is_name_only:
        raise InvalidArgument(f"{text} names a whole repository: give a tag or a digest")
    wanted = reference.digest or reference.tag or ""
    if arguments.truth("manifest") and not reference.digest:
        wanted = (await client.head(wanted)).digest
    await client.delete_manifest(wanted)
    return f"{reference.familiar_name}{'@' if ':' in wanted else ':'}{wanted}"
