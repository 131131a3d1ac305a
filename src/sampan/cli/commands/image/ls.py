"""`sampan image ls`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import FILTER, FORMAT, filters
from sampan.cli.commands.container.ls import created_at
from sampan.cli.flags import Flag
from sampan.cli.render.listing import Listing, short_id
from sampan.cli.render.units import age, human_size
from sampan.wire.images import ImageSummary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] [REPOSITORY[:TAG]]",
    (
        Flag("all", "bool", "Show all images (default hides intermediate images)", "a"),
        Flag("digests", "bool", "Show digests"),
        FILTER,
        FORMAT,
        Flag("no-trunc", "bool", "Don't truncate output"),
        Flag("quiet", "bool", "Only show image IDs", "q"),
    ),
    0,
    1,
)
NONE = "<none>"


class Named:
    """An image under one of its names."""

    def __init__(self, image: ImageSummary, repository: str, tag: str, digest: str) -> None:
        self.image, self.repository, self.tag, self.digest = image, repository, tag, digest


def run(cli: Cli, arguments: Arguments) -> int:
    wanted = filters(arguments.values("filter"))
    if arguments.words:
        wanted.setdefault("reference", []).append(arguments.words[0])
    images = cli.run(cli.engine.images.ls(arguments.truth("all"), wanted))
    whole, form = arguments.truth("no-trunc"), arguments.text("format")
    if arguments.truth("quiet") and not form:
        cli.out("".join(f"{one.image.id if whole else short_id(one.image.id)}\n" for one in named(images, False)))
        return 0
    form = form or cli.config.text("imagesFormat")
    digests = arguments.truth("digests")
    cli.out(listing(whole, digests).render(named(images, digests or ".Digest" in form), form))
    return 0


def named(images: list[ImageSummary], digests: bool) -> list[Named]:
    """Return a line for each name of each image."""
    return [line for image in images for line in _names(image, digests)]


def _names(image: ImageSummary, digests: bool) -> list[Named]:
    tags = [tag for tag in image.repo_tags or () if tag != f"{NONE}:{NONE}"]
    by_repository: dict[str, list[str]] = {}
    for reference in image.repo_digests or ():
        repository, _, digest = reference.partition("@")
        if repository != NONE:
            by_repository.setdefault(repository, []).append(digest)
    lines: list[Named] = []
    for reference in tags:
        repository, _, tag = reference.rpartition(":")
        known = by_repository.pop(repository, []) if digests else by_repository.pop(repository, [])[:1]
        lines += [Named(image, repository, tag, digest) for digest in known or [NONE]]
    for repository, known in by_repository.items():
        lines += [Named(image, repository, NONE, digest) for digest in (known if digests else known[:1])]
    return lines or [Named(image, NONE, NONE, NONE)]


def listing(whole: bool, digests: bool) -> Listing:
    """Return the fields of an image; `whole` does not shorten ids, `digests` adds the column."""
    columns = ["Repository", "Tag", *(["Digest"] if digests else []), "ID", "CreatedSince", "Size"]
    return Listing(
        {
            "Containers": ("CONTAINERS", lambda n: _count(n.image.containers)),
            "CreatedAt": ("CREATED AT", lambda n: created_at(n.image.created)),
            "CreatedSince": ("CREATED", lambda n: age(n.image.created) if n.image.created else "N/A"),
            "Digest": ("DIGEST", lambda n: n.digest),
            "ID": ("IMAGE ID", lambda n: n.image.id if whole else short_id(n.image.id)),
            "Repository": ("REPOSITORY", lambda n: n.repository),
            "SharedSize": ("SHARED SIZE", lambda n: _bytes(n.image.shared_size)),
            "Size": ("SIZE", lambda n: human_size(n.image.size, 3)),
            "Tag": ("TAG", lambda n: n.tag),
            "UniqueSize": ("UNIQUE SIZE", lambda n: _unique(n.image)),
            "VirtualSize": ("SIZE", lambda n: human_size(n.image.size)),
        },
        "\t".join(f"{{{{.{name}}}}}" for name in columns),
        "*formatter.imageContext",
    )


def _count(number: int) -> str:
    return "N/A" if number == -1 else str(number)


def _bytes(size: int) -> str:
    return "N/A" if size == -1 else human_size(size)


def _unique(image: ImageSummary) -> str:
    return "N/A" if image.shared_size == -1 else human_size(image.size - image.shared_size)
