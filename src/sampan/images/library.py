"""Finding and showing images: everything that only reads.

Reads take no lock and are immediate; what an answer says was true at one moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.errors import InvalidArgument, NotFound
from sampan.images import views
from sampan.images.catalog import Catalog, Image
from sampan.images.removal import Users
from sampan.images.selecting import Filters, select
from sampan.oci.digest import Digest
from sampan.oci.documents import Manifest, parse
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference, parse_any
from sampan.store.content import ContentStore
from sampan.store.snapshots import Snapshots
from sampan.wire.images import HistoryItem, ImageInspect, ImageSummary

__all__ = ["Library"]


class Library:
    """The images as they are. `users` tells the containers of an image."""

    def __init__(self, catalog: Catalog, content: ContentStore, snapshots: Snapshots, users: Users) -> None:
        self.catalog = catalog
        self.content = content
        self.snapshots = snapshots
        self.users = users

    def resolve(self, ref: str, platform: str | Platform | None = None) -> Image:
        """The image that a name, a digest reference, an id or the beginning of one stands for.

        Raises InvalidArgument for what can't be a reference, NotFound "No such image: ..." and where the image has no
        such platform.
        """
        parsed = parse_any(ref)
        image = self.catalog.get(parsed) if isinstance(parsed, str) else self._named(ref, parsed)
        if image is None:
            shown = parsed if isinstance(parsed, str) else parsed.with_default_tag().familiar
            raise NotFound(f"No such image: {shown}")
        return image if platform is None else self._on_platform(ref, parsed, image, platform)

    def platforms(self, ref: str) -> Sequence[Image]:
        """The image that `resolve` gives, and the other platforms of the index that it was named by."""
        image, parsed = self.resolve(ref), parse_any(ref)
        target = None if isinstance(parsed, str) else self.catalog.target(parsed.key())
        others = self.catalog.members(target) if target else ()
        return [image, *(other for other in others if other.id != image.id)]

    def list(
        self, everything: bool = False, filters: Filters | None = None, shared_size: bool = False
    ) -> Sequence[ImageSummary]:
        """The rows of GET /images/json. Raises InvalidArgument, NotFound for filters that can't be right."""
        images = self.catalog.all()
        hidden = self.catalog.hidden()
        shown = [image for image in images if image.id not in hidden]
        parents = {image.parent for image in images if image.parent}
        chosen = select(shown, filters or {}, everything, self.resolve, parents)
        return [
            views.summary(
                image, (tags, digests), len(self.users(image.id)), self._shared(image, images) if shared_size else -1
            )
            for image, tags, digests in chosen
        ]

    def inspect(self, ref: str, platform: str | Platform | None = None) -> ImageInspect:
        """The document of GET /images/{name}/json. Raises as `resolve`."""
        image = self.resolve(ref, platform)
        return views.inspect(image, self._graph(image))

    def history(self, ref: str, platform: str | Platform | None = None) -> Sequence[HistoryItem]:
        """The rows of GET /images/{name}/history, newest first. Raises as `resolve`."""
        image = self.resolve(ref, platform)
        return views.history(image, self._layer_size, self._ancestors(image))

    def size_of(self, image_id: str) -> int:
        """Bytes of an image's unpacked layers; 0 where it is gone."""
        image = self.catalog.get(Digest(image_id))
        return image.size if image else 0

    def descendants(self, ref: str) -> set[str]:
        """The ids of an image and of all that stand on its layers; empty where there is no such image."""
        try:
            top = self.resolve(ref)
        except (NotFound, InvalidArgument):
            return set()
        length = len(top.chain_ids)
        return {image.id for image in self.catalog.all() if image.chain_ids[:length] == top.chain_ids}

    def count(self) -> int:
        """How many images a list with all of them has."""
        return len(self.catalog.all()) - len(self.catalog.hidden())

    def existing(self, image_id: str) -> Image:
        """The image with that id. Raises NotFound."""
        image = self.catalog.get(Digest(image_id))
        if image is None:
            raise NotFound(f"No such image: {image_id}")
        return image

    def manifest(self, image: Image) -> Manifest:
        """The manifest that the image came with, or was made with."""
        return parse(self.content.read(image.manifest), Manifest, "manifest")

    def layer_blobs(self, image: Image) -> Sequence[Digest]:
        """The digests of the image's layers as they are stored, bottom first."""
        return [Digest(layer.digest) for layer in self.manifest(image).layers]

    def _named(self, ref: str, reference: Reference) -> Image | None:
        image = self.catalog.tagged(reference.key())
        if image is None:
            found = self.catalog.prefixed(ref if ref.startswith("sha256:") else f"sha256:{ref}")
            image = self.catalog.get(found[0]) if len(found) == 1 else None
        return image

    def _on_platform(self, ref: str, parsed: Reference | Digest, image: Image, platform: str | Platform) -> Image:
        wanted = Platform.parse(platform) if isinstance(platform, str) else platform
        if image.platform.matches(wanted):
            return image
        target = None if isinstance(parsed, str) else self.catalog.target(parsed.key())
        for member in self.catalog.members(target) if target else ():
            if member.platform.matches(wanted):
                return member
        raise NotFound(
            f"image with reference {ref} was found but its platform ({image.platform}) "
            f"does not match the specified platform ({wanted})"
        )

    def _graph(self, image: Image) -> dict[str, str]:
        layers = [layer for layer in map(self.snapshots.layer, reversed(image.chain_ids)) if layer]
        if not layers:
            return {}
        folder = layers[0].fs.parent
        graph = {
            "MergedDir": str(folder / "merged"),
            "UpperDir": str(layers[0].fs),
            "WorkDir": str(folder / "work"),
        }
        if len(layers) > 1:
            graph["LowerDir"] = ":".join(str(layer.fs) for layer in layers[1:])
        return graph

    def _layer_size(self, key: Digest) -> int:
        layer = self.snapshots.layer(key)
        return layer.size if layer else 0

    def _ancestors(self, image: Image) -> Sequence[Image]:
        found = []
        while image.parent and (parent := self.catalog.get(Digest(image.parent))):
            found.append(parent)
            image = parent
        return found

    def _shared(self, image: Image, images: Sequence[Image]) -> int:
        others = {key for other in images if other.id != image.id for key in other.chain_ids}
        return sum(self._layer_size(key) for key in image.chain_ids if key in others)
