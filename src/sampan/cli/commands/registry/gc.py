"""`sampan registry gc`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands.registry.serving import FLAGS, configured
from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.registry.gc import Report

COMMAND = Command(
    "[OPTIONS]",
    (
        FLAGS[0],
        Flag("dry-run", "bool", "List what would go, and let it be"),
        Flag("grace", "duration", "How old a thing must be to go (1h, 30m); pushes that take longer may fail"),
        FLAGS[1],
        Flag("untagged", "bool", "Remove manifests that no tag leads to as well"),
    ),
    0,
    0,
    long="Remove what nothing in a registry refers to; the registry may serve meanwhile",
)
NANO = 10**9


def run(cli: Cli, arguments: Arguments) -> int:
    import asyncio

    report = asyncio.run(_collect(cli, arguments))
    for name, digest in report.manifests:
        cli.out(f"manifest {name}@{digest}\n")
    for name, digest in report.links:
        cli.out(f"link {name}@{digest}\n")
    for digest, size in report.blobs:
        cli.out(f"blob {digest} {size}\n")
    for upload in report.uploads:
        cli.out(f"upload {upload}\n")
    _summary(cli, arguments.truth("dry-run"), report)
    return 0


async def _collect(cli: Cli, arguments: Arguments) -> Report:
    from sampan.registry.gc import Collection
    from sampan.registry.repositories import Registry
    from sampan.registry.service import make_storage

    config, root = configured(cli, arguments)
    storage = make_storage(config, root)
    grace = arguments.number("grace") / NANO if arguments.given("grace") else config.gc.grace
    try:
        return await Collection(
            Registry(storage),
            grace=grace,
            upload_grace=config.gc.upload_grace,
            untagged=arguments.truth("untagged") or config.gc.untagged,
            dry=arguments.truth("dry-run"),
        ).run()
    finally:
        await storage.close()


def _summary(cli: Cli, dry: bool, report: Report) -> None:
    from sampan.cli.render.units import human_size

    verb = "Would reclaim" if dry else "Reclaimed"
    cli.out(f"{verb}: {human_size(report.size)} in {len(report.blobs)} blobs\n")
