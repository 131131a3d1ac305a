"""The volumes service (driver `local`).

A volume is a row and a directory `volumes/<name>/_data`. Making: directory first, then the row (a directory without a
row is swept at start); removing: the row first, then the bytes. A row whose bytes are gone is listed and removable.
Anonymous volumes (made for a container that named none) carry the label `com.docker.volume.anonymous`.

Worked use:

    volume = await volumes.acquire("data", driver="", options={}, labels={})     made, or found
    ... mount volume.mountpoint ...
    await volumes.remove(volume.name, force=False)
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from sampan.engine.volumes.names import check_volume_name
from sampan.errors import Conflict, InvalidArgument, NotFound, NotImplementedYet, SampanError
from sampan.store.db import Database
from sampan.store.paths import DataPaths
from sampan.store.trees import measure, sweep_tree
from sampan.wire.codec import format_time
from sampan.wire.filters import has_label, refuse_unknown
from sampan.wire.volumes import PruneReport, UsageData, Volume, VolumeCreateRequest, VolumeList

ANONYMOUS = "com.docker.volume.anonymous"
Filters = Mapping[str, list[str]]
Names = list[str]


class Emit(Protocol):
    """Records an event."""

    def __call__(self, kind: str, action: str, actor_id: str, attributes: Mapping[str, str]) -> None: ...


class Row(msgspec.Struct, kw_only=True):
    """The document of a volume's row; `created` in nanoseconds since 1970."""

    name: str
    created: int
    labels: dict[str, str] | None
    options: dict[str, str] | None


class Volumes:
    """One per daemon. `users` tells the ids of the containers that mount a volume."""

    def __init__(self, database: Database, paths: DataPaths, emit: Emit, users: Callable[[str], list[str]]) -> None:
        self._database = database
        self._paths = paths
        self._emit = emit
        self._users = users
        self._lock = asyncio.Lock()
        self._rows = {row.name: row for row in database.read(_load)}

    def recover(self) -> None:
        """At start: remove directories that no row names (an interrupted making or removal)."""
        self._paths.volumes.mkdir(mode=0o711, parents=True, exist_ok=True)
        for entry in self._paths.volumes.iterdir():
            if entry.name not in self._rows:
                sweep_tree(entry)

    def mountpoint(self, name: str) -> Path:
        """Where a volume's bytes lie."""
        return self._paths.volumes / name / "_data"

    async def create(self, request: VolumeCreateRequest) -> Volume:
        """POST /volumes/create: makes it, or answers the one that is there. Raises InvalidArgument, Conflict."""
        if request.cluster_volume_spec:
            raise NotImplementedYet("cluster volumes need a swarm, which Sampan has none of")
        name = request.name or secrets.token_hex(32)
        return await self.acquire(name, request.driver, request.driver_opts, request.labels, not request.name)

    async def acquire(
        self,
        name: str,
        driver: str,
        options: Mapping[str, str],
        labels: Mapping[str, str] | None,
        anonymous: bool = False,
    ) -> Volume:
        """The volume of that name, made if it isn't there. Raises InvalidArgument, NotFound for an unknown driver."""
        if driver not in ("", "local"):
            raise NotFound(f'error looking up volume plugin {driver}: plugin "{driver}" not found')
        if options:
            raise NotImplementedYet("options of the local volume driver are not there yet")
        check_volume_name(name)
        async with self._lock:
            if name not in self._rows:
                made = dict(labels) if labels is not None else None
                if anonymous:
                    made = (made or {}) | {ANONYMOUS: ""}
                await self._make(Row(name=name, created=time.time_ns(), labels=made, options=None))
        return self._render(self._rows[name])

    async def _make(self, row: Row) -> None:
        data = self.mountpoint(row.name)
        document = msgspec.json.encode(row)
        insert = "INSERT INTO volumes VALUES (?, ?)"
        try:
            await asyncio.to_thread(_make_directory, data)
            await self._database.write(
                lambda rows: rows.execute(insert, (row.name, document)), durable=True, growing=True
            )
        except (SampanError, OSError):
            await asyncio.to_thread(sweep_tree, data.parent)
            raise
        self._rows[row.name] = row
        self._emit("volume", "create", row.name, {"driver": "local"})

    def inspect(self, name: str) -> Volume:
        """GET /volumes/{name}. Raises NotFound."""
        return self._render(self._row(name))

    def list(self, filters: Filters) -> VolumeList:
        """GET /volumes. Raises InvalidArgument for an unknown filter."""
        return VolumeList(volumes=[self._render(row) for row in self._select(filters)])

    async def remove(self, name: str, force: bool = False) -> None:
        """DELETE /volumes/{name}. Raises NotFound (unless forced) and Conflict while a container mounts it."""
        async with self._lock:
            if name not in self._rows and force:
                return
            await self._forget_unused(name)
            await self._sweep(name)

    async def forget(self, name: str) -> None:
        """Remove a volume that nobody can ask for by name, but for its bytes, which `sweep` removes later.

        Raises NotFound and Conflict while a container mounts it.
        """
        async with self._lock:
            await self._forget_unused(name)

    async def sweep(self, name: str) -> None:
        """Remove the bytes of a volume that was forgotten; one that is there keeps them."""
        async with self._lock:
            if name not in self._rows:
                await self._sweep(name)

    async def _forget_unused(self, name: str) -> None:
        self._row(name)
        users = self._users(name)
        if users:
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        await self._forget(name)

    async def _forget(self, name: str) -> None:
        await self._database.write(lambda rows: rows.execute("DELETE FROM volumes WHERE name = ?", (name,)))
        del self._rows[name]
        self._emit("volume", "destroy", name, {"driver": "local"})

    async def _sweep(self, name: str) -> None:
        await asyncio.to_thread(sweep_tree, self.mountpoint(name).parent)

    def is_anonymous(self, name: str) -> bool:
        """Whether a volume was made for a container that gave it no name."""
        row = self._rows.get(name)
        return row is not None and ANONYMOUS in (row.labels or {})

    async def prune(self, filters: Filters) -> PruneReport:
        """POST /volumes/prune: removes unused anonymous volumes, or all unused ones with the filter `all`."""
        every = [_boolean(value) for value in filters.get("all", [])]
        chosen = {k: v for k, v in filters.items() if k != "all"}
        refuse_unknown(chosen, ("label", "label!"))
        deleted: Names = []
        reclaimed = 0
        async with self._lock:
            for row in self._select(chosen):
                if self._users(row.name) or not (any(every) or self.is_anonymous(row.name)):
                    continue
                reclaimed += (await asyncio.to_thread(measure, self.mountpoint(row.name))).size
                await self._forget(row.name)
                await self._sweep(row.name)
                deleted.append(row.name)
        self._emit("volume", "prune", "", {"reclaimed": str(reclaimed)})
        return PruneReport(volumes_deleted=deleted, space_reclaimed=reclaimed)

    async def usage(self) -> Sequence[Volume]:
        """Every volume with its size and the number of containers that mount it."""
        found = []
        for row in list(self._rows.values()):
            volume = self._render(row)
            found_size = await asyncio.to_thread(measure, self.mountpoint(row.name))
            volume.usage_data = UsageData(ref_count=len(self._users(row.name)), size=found_size.size)
            found.append(volume)
        return found

    def _row(self, name: str) -> Row:
        row = self._rows.get(name)
        if row is None:
            raise NotFound(f"get {name}: no such volume")
        return row

    def _select(self, filters: Filters) -> Sequence[Row]:
        refuse_unknown(filters, ("dangling", "driver", "label", "label!", "name"))
        return [row for row in sorted(self._rows.values(), key=lambda r: r.name) if self._matches(row, filters)]

    def _matches(self, row: Row, filters: Filters) -> bool:
        labels = row.labels or {}
        dangling = filters.get("dangling")
        return (
            (not dangling or _boolean(dangling[0]) != bool(self._users(row.name)))
            and ("driver" not in filters or "local" in filters["driver"])
            and ("name" not in filters or any(part in row.name for part in filters["name"]))
            and all(has_label(labels, label) for label in filters.get("label", []))
            and not any(has_label(labels, label) for label in filters.get("label!", []))
        )

    def _render(self, row: Row) -> Volume:
        return Volume(
            created_at=format_time(row.created // 1_000_000_000 * 1_000_000_000),
            driver="local",
            labels=row.labels,
            mountpoint=str(self.mountpoint(row.name)),
            name=row.name,
            options=row.options,
            scope="local",
        )


def _load(rows: object) -> list[Row]:
    cursor = rows.execute("SELECT document FROM volumes")  # type: ignore[attr-defined]
    return [msgspec.json.decode(document, type=Row) for (document,) in cursor]


def _make_directory(data: Path) -> None:
    data.parent.mkdir(mode=0o701, parents=True, exist_ok=True)
    data.mkdir(mode=0o755, exist_ok=True)


def _boolean(text: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise InvalidArgument(f"invalid filter: {text!r} is neither true nor false")
