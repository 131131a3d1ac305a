"""All containers, in memory and in the database.

Reads go to memory and take no lock, ever. Verbs on one container take turns (`Container.queue`); what an exit changes
is applied at once, between two steps of whatever verb waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sampan.engine.containers.names import is_id_prefix
from sampan.engine.containers.record import ContainerRecord, decode, encode
from sampan.errors import Conflict, Exhausted, InvalidArgument, NotFound, SampanError
from sampan.monitor.client import Channel
from sampan.store.db import Database

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Container:
    """A container as the daemon holds it: the record, and what lives only as long as the daemon.

    `deleted` is set while the runtime has nothing of it, `idle` once the monitor has forgotten its last process too.
    """

    record: ContainerRecord
    queue: asyncio.Lock = field(default_factory=asyncio.Lock)
    deleted: asyncio.Event = field(default_factory=asyncio.Event)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    exited: list[asyncio.Future[int]] = field(default_factory=list)
    removed: list[asyncio.Future[int]] = field(default_factory=list)
    execs: list[str] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    starting: bool = False
    removing: bool = False
    keep: bool = False
    signals: set[int] = field(default_factory=set)
    early_exit: Any = None
    restarting: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.at_rest()

    def at_rest(self) -> None:
        """Nothing runs and nothing is left of what ran."""
        self.deleted.set()
        self.idle.set()

    def at_work(self) -> None:
        """A process is there, or about to be."""
        self.deleted.clear()
        self.idle.clear()

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def running(self) -> bool:
        return self.record.state.running


class Table:
    """The containers of this daemon by id and by name."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_id: dict[str, Container] = {}
        self._by_name: dict[str, str] = {}
        self._unwritten: set[str] = set()
        self.damaged: set[str] = set()
        """Ids of rows that can't be read. They keep their names and all their bytes."""
        for container_id, name, document in database.read(_load):
            try:
                self._enter(Container(decode(document)))
            except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
                log.error("the row of container %s (%s) can't be read and is left alone: %s", name, container_id, error)
                self.damaged.add(container_id)
                self._by_name[name] = container_id

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._by_id.values()))

    def __contains__(self, container_id: object) -> bool:
        return container_id in self._by_id

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, container_id: str) -> Container | None:
        """The container with that full id."""
        return self._by_id.get(container_id)

    def find(self, ref: str) -> Container:
        """The container that a full id, a name or an id's unique beginning names.

        Raises NotFound, or InvalidArgument for a beginning that several have.
        """
        container = self._by_id.get(ref) or self._by_id.get(self._by_name.get(ref.removeprefix("/"), ""))
        if container is not None:
            return container
        if "/" in ref and (linked := self._linked(ref)) is not None:
            return linked
        found = [c for i, c in self._by_id.items() if i.startswith(ref)] if is_id_prefix(ref) else []
        if len(found) > 1:
            raise InvalidArgument(f"multiple IDs found with provided prefix: {ref}")
        if not found:
            raise NotFound(f"No such container: {ref}")
        return found[0]

    @contextmanager
    def standing(self, container: Container, ref: str) -> Iterator[None]:
        """Work on a container's bytes: what fails since it was removed meanwhile is NotFound, as of `ref`."""
        try:
            yield
        except (OSError, SampanError):
            if self._by_id.get(container.id) is not container:
                raise NotFound(f"No such container: {ref}") from None
            raise

    def _linked(self, ref: str) -> Container | None:
        """The container that another calls by an alias: `owner/alias`."""
        owner, _, alias = ref.strip("/").rpartition("/")
        container = self._by_id.get(self._by_name.get(owner, ""))
        return self._by_id.get(container.record.links.get(alias, "")) if container else None

    def named(self, name: str) -> str | None:
        """The id of the container that has a name."""
        return self._by_name.get(name)

    def reserve(self, name: str, container_id: str) -> None:
        """Take a name, before the row is written. Raises Conflict."""
        owner = self._by_name.get(name)
        if owner is not None:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        self._by_name[name] = container_id

    def release(self, name: str, container_id: str) -> None:
        """Give back a name, if that container has it."""
        if self._by_name.get(name) == container_id:
            del self._by_name[name]

    async def insert(self, container: Container) -> None:
        """Write the first row; the name was reserved. The container is not listed before `enter`."""
        record = container.record
        values = (record.id, record.name, record.created, encode(record))
        insert = "INSERT INTO containers VALUES (?, ?, ?, ?)"
        await self._database.write(lambda rows: rows.execute(insert, values), growing=True)

    def enter(self, container: Container) -> None:
        """From now on the container is found and listed."""
        self._enter(container)

    async def save(self, container: Container) -> None:
        """Write the row as the record is now."""
        record = container.record
        values = (record.name, encode(record), record.id)
        await self._database.write(
            lambda rows: rows.execute("UPDATE containers SET name = ?, document = ? WHERE id = ?", values)
        )

    async def note(self, container: Container) -> None:
        """Write down what became of it. On a full disk that is done after the next removal."""
        self._unwritten.discard(container.id)
        try:
            await self.save(container)
        except Exhausted as error:
            log.error("the state of container %s can't be written down yet: %s", container.name, error)
            self._unwritten.add(container.id)

    async def rename(self, container: Container, name: str) -> None:
        """Give a container another name, which must be free. Raises Conflict."""
        old = container.record.name
        self.reserve(name, container.id)
        container.record.name = name
        try:
            await self.save(container)
        except BaseException:
            container.record.name = old
            self.release(name, container.id)
            raise
        self.release(old, container.id)

    async def delete(self, container: Container) -> None:
        """Remove the row; then id and name are free."""
        await self._database.write(lambda rows: rows.execute("DELETE FROM containers WHERE id = ?", (container.id,)))
        self._by_id.pop(container.id, None)
        self.release(container.name, container.id)
        self._unwritten.discard(container.id)
        for other in [self._by_id[known] for known in self._unwritten]:
            await self.note(other)

    def _enter(self, container: Container) -> None:
        self._by_id[container.id] = container
        self._by_name[container.name] = container.id


def _load(rows: sqlite3.Connection) -> list[tuple[str, str, bytes]]:
    return rows.execute("SELECT id, name, document FROM containers ORDER BY created").fetchall()
