"""`sampan registry serve`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands.registry.serving import FLAGS, configured
from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS]",
    (
        FLAGS[0],
        Flag("listen", "string", "Address to listen on, HOST:PORT", shown='"127.0.0.1:5000"'),
        Flag("quiet", "bool", "Write no access log", "q"),
        FLAGS[1],
        Flag("tls-cert", "string", "Certificate (PEM); with --tls-key, serve TLS"),
        Flag("tls-key", "string", "Key of the certificate (PEM)"),
    ),
    0,
    0,
    long="Serve a registry of images (OCI distribution specification 1.1)",
)


def run(cli: Cli, arguments: Arguments) -> int:
    import asyncio
    import logging
    import sys

    level = logging.DEBUG if cli.debug else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    if arguments.truth("quiet"):
        logging.getLogger("sampan.registry.access").setLevel(logging.WARNING)
    asyncio.run(_serve(cli, arguments))
    return 0


async def _serve(cli: Cli, arguments: Arguments) -> None:
    from sampan.errors import InvalidArgument
    from sampan.registry.config import Tls
    from sampan.registry.service import RegistryService

    config, root = configured(cli, arguments)
    config.listen = arguments.text("listen") or config.listen
    certificate, key = arguments.text("tls-cert"), arguments.text("tls-key")
    if bool(certificate) != bool(key):
        raise InvalidArgument("--tls-cert and --tls-key come together")
    if certificate:
        config.tls = Tls(certificate, key)
    service = RegistryService(config, root)
    await service.start()
    await service.run()
