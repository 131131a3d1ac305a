"""Removing images by docker's rules.

a name      loses that tag (and, with the repository's last tag, its digest references); the image goes with its
            last reference
an id       goes with its tags when they are all of one repository, else only by force
platforms   of an index: those images go, by force since every name of them loses them; a name that stood for one
            stands for another platform that is left. Whoever names all that are there removes the image
conflicts   hard: images made from it, running containers of it; soft (force overrules): further references,
            stopped containers of it
afterwards  parents that nothing refers to go too, unless noprune
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sampan.errors import Conflict, NotFound
from sampan.images.catalog import Catalog, Image, Tag
from sampan.images.register import Events
from sampan.oci.digest import Digest, short_id
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference
from sampan.store.snapshots import Layer
from sampan.wire.images import DeleteItem

# The image that the tag stood for is removed, or not, by the rules above.
_FORGET_PLATFORMS = """
    DELETE FROM images WHERE id IN (SELECT image FROM members WHERE target = ?)
    AND NOT EXISTS (SELECT 1 FROM tags WHERE target = ?) AND id <> ?
    AND id NOT IN (SELECT image FROM tags) AND id NOT IN (SELECT parent FROM images)
    AND id NOT IN (SELECT image FROM members WHERE target IN (SELECT target FROM tags))
"""
_FORGET_INDEX = "DELETE FROM members WHERE target = ? AND NOT EXISTS (SELECT 1 FROM tags WHERE target = ?)"

__all__ = ["ImageUser", "Remover", "Users"]


class ImageUser(Protocol):
    """A container that was made from an image."""

    @property
    def id(self) -> str: ...

    @property
    def running(self) -> bool: ...


Users = Callable[[str], Sequence[ImageUser]]
"""The containers of an image, by its id."""

Collect = Callable[[Callable[[sqlite3.Connection], None]], Awaitable[Sequence[Layer]]]
"""Makes a change and collects what it set free; the layers that are gone."""


@dataclass
class _Refusal:
    image: Digest
    reason: str
    hard: bool
    used: bool

    def error(self) -> Conflict:
        how = "cannot be forced" if self.hard else "must be forced"
        return Conflict(f"conflict: unable to delete {short_id(self.image)} ({how}) - {self.reason}")


@dataclass
class Remover:
    """One removal; `items` is what it did, in docker's order. Runs on the event loop; `collect` goes to a thread."""

    catalog: Catalog
    collect: Collect
    users: Users
    events: Events
    items: list[DeleteItem] = field(default_factory=list)

    async def remove(self, ref: str, image: Image, force: bool, prune: bool) -> None:
        """Raises Conflict, with docker's words."""
        if is_id_of(ref, image):
            await self._by_id(image, force, prune)
        else:
            await self._by_name(ref, image, force, prune)

    async def remove_platforms(self, chosen: Sequence[Image]) -> None:
        """Remove some platforms of a multi-platform image, by force. Raises Conflict."""
        for image in chosen:
            refusal = self._refusal(image.id, soft=False, references=False)
            if refusal is not None:
                raise refusal.error()
        gone = {image.id for image in chosen}
        untagged: list[Tag] = []

        def forget(rows: sqlite3.Connection) -> None:
            untagged[:] = self._pass_on(rows, gone)
            rows.executemany("DELETE FROM images WHERE id = ?", [(identity,) for identity in gone])

        layers = await self.collect(forget)
        labels = {image.id: image.config.run.labels or {} for image in chosen}
        for tag in untagged:
            self.items.append(DeleteItem(untagged=tag.reference.familiar))
            self.events.emit("image", "untag", tag.image, {**labels[tag.image], "name": tag.image})
        for image in chosen:
            self.items.append(DeleteItem(deleted=image.id))
            self.events.emit("image", "delete", image.id, {"name": image.id})
        self.items += [DeleteItem(deleted=layer.key) for layer in layers]

    def _pass_on(self, rows: sqlite3.Connection, gone: set[Digest]) -> list[Tag]:
        """Within a transaction: names of what goes stand for the best of what is left of their index; names of which
        nothing is left are deleted and returned."""
        untagged = []
        for tag in [tag for tag in self.catalog.tags() if tag.image in gone]:
            left = [member for member in self.catalog.members(tag.target) if member.id not in gone]
            if left:
                heir = min(left, key=_fitness)
                rows.execute("UPDATE tags SET image = ? WHERE reference = ?", (heir.id, str(tag.reference)))
            else:
                rows.execute("DELETE FROM tags WHERE reference = ?", (str(tag.reference),))
                untagged.append(tag)
        return untagged

    async def _by_name(self, ref: str, image: Image, force: bool, prune: bool) -> None:
        user = next(iter(self.users(image.id)), None)
        if user is not None and not force and is_single(image.references):
            raise Conflict(
                f'conflict: unable to remove repository reference "{ref}" (must force) - '
                f"container {short(user.id)} is using its referenced image {image.short_id}"
            )
        named = Reference.parse(ref).key()
        if named not in image.references:
            raise NotFound(f"No such image: {named.familiar}")
        left = await self._untag(image, named)
        if not left:
            await self._delete(image.id, force, prune, quiet=True)

    async def _untag(self, image: Image, named: Reference) -> list[Reference]:
        """Remove a reference, and its repository's digests with the last tag; what is left."""
        left = [reference for reference in image.references if reference != named]
        gone = [named]
        if named.digest is None and not any(one.tag and one.name == named.name for one in left):
            gone += [one for one in left if one.name == named.name]
        await self._remove_references(image, gone)
        return [one for one in left if one not in gone]

    async def _by_id(self, image: Image, force: bool, prune: bool) -> None:
        if is_single(image.references):
            refusal = self._refusal(image.id, soft=not force, references=False)
            if refusal is not None:
                raise refusal.error()
            await self._remove_references(image, list(image.references))
        await self._delete(image.id, force, prune, quiet=False)

    async def _delete(self, identity: Digest, force: bool, prune: bool, quiet: bool) -> None:
        image = self.catalog.get(identity)
        if image is None:
            return
        refusal = self._refusal(identity, soft=not force, references=True)
        if refusal is not None:
            if quiet and (refusal.used or image.references or self.catalog.children(identity)):
                return
            raise refusal.error()
        await self._remove_references(image, list(image.references))
        await self._delete_rows(image)
        if prune and image.parent:
            await self._delete(Digest(image.parent), False, True, quiet=True)

    async def _delete_rows(self, image: Image) -> None:
        def delete(rows: sqlite3.Connection) -> None:
            rows.execute("DELETE FROM images WHERE id = ?", (image.id,))

        gone = await self.collect(delete)
        self.events.emit("image", "delete", image.id, {"name": image.id})
        self.items.append(DeleteItem(deleted=image.id))
        self.items += [DeleteItem(deleted=layer.key) for layer in gone]

    async def _remove_references(self, image: Image, references: Sequence[Reference]) -> None:
        if not references:
            return
        await self.collect(lambda rows: _untag_rows(rows, references))
        for reference in references:
            self.items.append(DeleteItem(untagged=reference.familiar))
            self.events.emit("image", "untag", image.id, {**(image.config.run.labels or {}), "name": image.id})

    def _refusal(self, image: Digest, soft: bool, references: bool) -> _Refusal | None:
        if self.catalog.children(image):
            return _Refusal(image, "image has dependent child images", hard=True, used=False)
        users = self.users(image)
        running = next((user for user in users if user.running), None)
        if running is not None:
            reason = f"image is being used by running container {short(running.id)}"
            return _Refusal(image, reason, hard=True, used=True)
        return self._soft_refusal(image, users, references) if soft else None

    def _soft_refusal(self, image: Digest, users: Sequence[ImageUser], references: bool) -> _Refusal | None:
        found = self.catalog.get(image)
        if references and found is not None and found.references:
            return _Refusal(image, "image is referenced in multiple repositories", hard=False, used=False)
        if users:
            reason = f"image is being used by stopped container {short(users[0].id)}"
            return _Refusal(image, reason, hard=False, used=True)
        return None


def _fitness(image: Image) -> tuple[int, str]:
    """Smaller for what serves this host better."""
    rank = image.platform.rank(Platform.host())
    return (1 << 16 if rank is None else rank), image.id


def is_id_of(ref: str, image: Image) -> bool:
    """Whether `ref` is the image's id or a beginning of it, with or without `sha256:`."""
    return bool(ref) and (image.id.startswith(ref) or image.id.partition(":")[2].startswith(ref))


def is_single(references: Sequence[Reference]) -> bool:
    """Whether the references are at most one tag and digests, all of one repository."""
    tags = [reference for reference in references if reference.tag]
    return len(references) <= 1 or (len(tags) <= 1 and len({reference.name for reference in references}) == 1)


def short(container: str) -> str:
    return container[:12]


def _untag_rows(rows: sqlite3.Connection, references: Sequence[Reference]) -> None:
    """Delete tags, and the other platforms' images of those indexes that have no tag any more."""
    names = [(str(reference),) for reference in references]
    targets = [rows.execute("SELECT target, image FROM tags WHERE reference = ?", name).fetchone() for name in names]
    rows.executemany("DELETE FROM tags WHERE reference = ?", names)
    for target, chosen in {row for row in targets if row}:
        rows.execute(_FORGET_PLATFORMS, (target, target, chosen))
        rows.execute(_FORGET_INDEX, (target, target))
