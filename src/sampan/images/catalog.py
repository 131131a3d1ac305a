"""Images and tags: the rows, and an image as an immutable view.

An image's id is the digest of its config. A tag (canonical `name:tag` or `name@digest`) refers to one image, the one of
this host's platform, and remembers the manifest or index it came from; the platform images of an index are its members.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from sampan.oci.digest import Digest, short_id
from sampan.oci.documents import ImageConfig, parse
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference
from sampan.store.db import Database

__all__ = ["Catalog", "Image", "NewImage", "Tag", "keep_blobs", "put_image", "put_members", "put_tag", "touch"]

_COLUMNS = "id, manifest, parent, created, tagged, top, config"
_SIZE = """
    WITH RECURSIVE chain (id, parent, size) AS (
        SELECT id, parent, size FROM snapshots WHERE key = ?
        UNION ALL SELECT s.id, s.parent, s.size FROM snapshots s JOIN chain ON s.id = chain.parent
    ) SELECT coalesce(sum(size), 0) FROM chain
"""


@dataclass(frozen=True)
class Image:
    """One platform's image as it was when it was looked up. Times in nanoseconds since the epoch (0: none), `size` the
    bytes of its unpacked layers."""

    id: Digest
    manifest: Digest
    parent: str
    created: int
    tagged: int
    top: Digest | None
    document: bytes = field(repr=False)
    references: tuple[Reference, ...]
    size: int

    @cached_property
    def config(self) -> ImageConfig:
        return parse(self.document, ImageConfig, "image config")

    @property
    def short_id(self) -> str:
        return short_id(self.id)

    @cached_property
    def chain_ids(self) -> list[Digest]:
        return self.config.chain_ids

    @property
    def platform(self) -> Platform:
        return self.config.platform

    @property
    def repo_tags(self) -> list[str]:
        """Familiar `name:tag`, in the order of the canonical names."""
        return [reference.familiar for reference in self.references if reference.tag]

    @property
    def repo_digests(self) -> list[str]:
        """Familiar `name@digest`, in the order of the canonical names."""
        return [reference.familiar for reference in self.references if reference.digest]


@dataclass(frozen=True)
class NewImage:
    """An image to be written: its config's document and what it keeps."""

    id: Digest
    document: bytes
    manifest: Digest
    blobs: frozenset[Digest]
    parent: str = ""

    @cached_property
    def config(self) -> ImageConfig:
        return parse(self.document, ImageConfig, "image config")

    @property
    def top(self) -> Digest | None:
        chain = self.config.chain_ids
        return chain[-1] if chain else None


@dataclass(frozen=True)
class Tag:
    """A reference and what it stands for."""

    reference: Reference
    image: Digest
    target: Digest


class Catalog:
    """Reads rows on any thread; the functions that take `rows` belong in a write transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, image: Digest) -> Image | None:
        return self._one("WHERE id = ?", image)

    def tagged(self, reference: Reference) -> Image | None:
        """The image that a tag or digest reference names."""
        return self._one("WHERE id = (SELECT image FROM tags WHERE reference = ?)", str(reference))

    def prefixed(self, prefix: str) -> list[Digest]:
        """The ids that begin with `prefix` (`sha256:` and hex digits); two are enough to be ambiguous."""
        query = "SELECT id FROM images WHERE id >= ? AND id < ? LIMIT 2"
        rows = self._database.read(lambda rows: rows.execute(query, (prefix, prefix + "g")).fetchall())
        return [Digest(identity) for (identity,) in rows]

    def all(self) -> list[Image]:
        """Every image, newest first."""
        return self._many("ORDER BY created DESC, id")

    def members(self, target: Digest) -> list[Image]:
        """The platform images of an index."""
        return self._many("WHERE id IN (SELECT image FROM members WHERE target = ?)", target)

    def children(self, image: Digest) -> list[Image]:
        """The images whose parent it is."""
        return self._many("WHERE parent = ?", image)

    def tags(self) -> list[Tag]:
        """Every reference, sorted."""
        query = "SELECT reference, image, target FROM tags ORDER BY reference"
        found = self._database.read(lambda rows: rows.execute(query).fetchall())
        return [Tag(Reference.parse(reference), Digest(image), Digest(target)) for reference, image, target in found]

    def target(self, reference: Reference) -> Digest | None:
        """The manifest or index that a reference came from."""
        query = "SELECT target FROM tags WHERE reference = ?"
        row = self._database.read(lambda rows: rows.execute(query, (str(reference),)).fetchone())
        return Digest(row[0]) if row else None

    def origins(self, blob: Digest) -> list[Reference]:
        """The repositories, by digest references, from which images with this blob came or to which they went."""
        query = """
            SELECT DISTINCT reference FROM tags JOIN image_blobs USING (image)
            WHERE digest = ? AND reference LIKE '%@%' ORDER BY reference
        """
        found = self._database.read(lambda rows: rows.execute(query, (blob,)).fetchall())
        return [Reference.parse(reference) for (reference,) in found]

    def hidden(self) -> set[Digest]:
        """Images that are only other platforms of a tagged one, which lists do not show."""
        query = """
            SELECT image FROM members WHERE image NOT IN (SELECT image FROM tags)
            AND target IN (SELECT target FROM tags)
        """
        return {Digest(image) for (image,) in self._database.read(lambda rows: rows.execute(query).fetchall())}

    def _one(self, condition: str, *values: str) -> Image | None:
        found = self._many(condition, *values)
        return found[0] if found else None

    def _many(self, condition: str, *values: str) -> list[Image]:
        query = f"SELECT {_COLUMNS} FROM images {condition}"
        return self._database.read(lambda rows: [_image(rows, row) for row in rows.execute(query, values).fetchall()])


def put_image(rows: sqlite3.Connection, image: NewImage, created: int) -> bool:
    """Insert an image; False where it was there already (what it keeps is then added)."""
    values = (image.id, image.manifest, image.parent, created, 0, image.top or "", image.document)
    new = rows.execute(
        f"INSERT INTO images ({_COLUMNS}) VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING", values
    ).rowcount
    keep_blobs(rows, image.id, image.blobs)
    return new > 0


def keep_blobs(rows: sqlite3.Connection, image: Digest, blobs: Iterable[Digest]) -> None:
    """Note that an image keeps these blobs."""
    insert = "INSERT INTO image_blobs VALUES (?, ?) ON CONFLICT DO NOTHING"
    rows.executemany(insert, [(image, digest) for digest in blobs])


def put_members(rows: sqlite3.Connection, target: Digest, images: Iterable[Digest]) -> None:
    """Note the platform images of an index."""
    insert = "INSERT INTO members VALUES (?, ?) ON CONFLICT DO NOTHING"
    rows.executemany(insert, [(target, image) for image in images])


def put_tag(rows: sqlite3.Connection, tag: Tag) -> Digest | None:
    """Point a reference at an image; the image that had it before, if another."""
    row = rows.execute("SELECT image FROM tags WHERE reference = ?", (str(tag.reference),)).fetchone()
    insert = (
        "INSERT INTO tags VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET image = excluded.image, target = excluded.target"
    )
    rows.execute(insert, (str(tag.reference), tag.image, tag.target))
    return Digest(row[0]) if row and row[0] != tag.image else None


def touch(rows: sqlite3.Connection, image: Digest) -> None:
    """Note that an image was tagged now."""
    rows.execute("UPDATE images SET tagged = ? WHERE id = ?", (time.time_ns(), image))


def _image(rows: sqlite3.Connection, row: tuple[str, str, str, int, int, str, bytes]) -> Image:
    identity, manifest, parent, created, tagged, top, document = row
    found = rows.execute("SELECT reference FROM tags WHERE image = ? ORDER BY reference", (identity,)).fetchall()
    references = tuple(Reference.parse(reference) for (reference,) in found)
    size: int = rows.execute(_SIZE, (top,)).fetchone()[0]
    return Image(
        Digest(identity), Digest(manifest), parent, created, tagged, Digest(top) or None, document, references, size
    )
