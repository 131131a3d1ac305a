"""What the commands that speak to registries share: flags, credentials, and running on an event loop."""

from __future__ import annotations

from sampan.cli.credentials import HUB, find
from sampan.cli.flags import Flag
from sampan.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeVar

    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.images.remote import Credentials, RegistryClient, Remote

    T = TypeVar("T")

CERTIFICATES = ("/etc/docker/certs.d",)
FLAGS = (
    Flag("cert-dir", "list", "Folder with certificates, in the certs.d layout (also read: /etc/docker/certs.d)"),
    Flag("creds", "string", "User and password for the registry, as USER:PASSWORD"),
    Flag("insecure", "bool", "Allow registries without TLS, or with certificates that nobody signed"),
)


def run_remote(cli: Cli, arguments: Arguments, domains: list[str], work: Callable[[Remote], Awaitable[T]]) -> T:
    """Return the result of `work` with a Remote that knows the command's flags and the user's proxies."""
    import asyncio
    from pathlib import Path

    from sampan import __version__
    from sampan.images.remote import Proxies, Remote, RemoteSettings

    settings = RemoteSettings(
        insecure=tuple(domains) if arguments.truth("insecure") else (),
        certificates=tuple(Path(folder) for folder in (*CERTIFICATES, *arguments.texts("cert-dir"))),
        proxies=Proxies.of(cli.environ),
        agent=f"sampan/{__version__}",
    )

    async def run() -> T:
        async with Remote(settings) as remote:
            return await work(remote)

    return asyncio.run(run())


def client_of(cli: Cli, arguments: Arguments, remote: Remote, text: str, flag: str = "creds") -> RegistryClient:
    """A client for the repository in `text`, with the credentials of the flag, else those of the user's config."""
    from sampan.images.remote import Reference

    reference = Reference.parse(text)
    return remote.repository(reference, credentials(cli, arguments, reference.domain, flag))


def credentials(cli: Cli, arguments: Arguments, domain: str, flag: str = "creds") -> Credentials | None:
    """Credentials for a registry, None where there are none. Raises InvalidArgument, Unavailable."""
    from sampan.images.remote import Credentials

    if given := arguments.text(flag):
        user, colon, password = given.partition(":")
        if not colon:
            raise InvalidArgument(f"--{flag} is USER:PASSWORD")
        return Credentials(user, password)
    found = find(cli, HUB if domain == "docker.io" else domain)
    known = Credentials(found.username, found.password, found.identity_token, found.registry_token)
    return None if known == Credentials() else known


def domain_of(text: str) -> str:
    """The registry that a reference names. Raises InvalidArgument."""
    from sampan.images.remote import Reference

    return Reference.parse(text).domain
