"""The one place where images and tags come into being: one durable transaction, then the events."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.images.catalog import NewImage, Tag, put_image, put_members, put_tag, touch
from sampan.oci.digest import Digest
from sampan.oci.reference import Reference
from sampan.store.db import Database
from sampan.wire import codec

__all__ = ["Events", "Registrar", "created_ns"]


class Events(Protocol):
    """Where events go. Called on any thread."""

    def emit(self, kind: str, action: str, actor_id: str, attributes: Mapping[str, str]) -> None: ...


class Registrar:
    """Writes images and tags."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self,
        images: Sequence[NewImage],
        chosen: NewImage,
        target: Digest,
        names: Iterable[Reference],
        tagged: bool = False,
    ) -> dict[Reference, Digest]:
        """Write images (all platforms of one target) and point `names` at `chosen`. Returns, for each name that was
        another image's, that image. `tagged` notes the time as that of the last tag. Durable. Blocks."""
        wanted = [name.key() for name in names]

        def write(rows: sqlite3.Connection) -> dict[Reference, Digest]:
            for image in images:
                put_image(rows, image, created_ns(image.config.created))
            if target != chosen.manifest:
                put_members(rows, target, [image.id for image in images])
            if tagged:
                touch(rows, chosen.id)
            replaced = {name: put_tag(rows, Tag(name, chosen.id, target)) for name in wanted}
            return {name: image for name, image in replaced.items() if image is not None}

        return self._database.write_blocking(write, durable=True, growing=True)

    def tag(self, image: Digest, target: Digest, name: Reference, by_hand: bool = True) -> Digest | None:
        """Point one name at an image; the image that had it before. `by_hand` notes the time. Durable. Blocks."""

        def write(rows: sqlite3.Connection) -> Digest | None:
            if by_hand:
                touch(rows, image)
            return put_tag(rows, Tag(name, image, target))

        return self._database.write_blocking(write, durable=True, growing=True)


def created_ns(text: str | None) -> int:
    """The time in an image config, nanoseconds since the epoch; 0 where there is none or it is no time."""
    try:
        return codec.parse_time(text) if text else 0
    except InvalidArgument:
        return 0
