"""Containers' files as archives: `docker cp` both ways, diff and export.

HEAD, GET   root of the container ─ located ─ stat, pack_one ─> tar
PUT         tar, compressed or not ─ Extraction ─> a directory of the container
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from sampan.engine.containers.extracting import Extraction
from sampan.engine.containers.filepaths import absolute, located, stat_of
from sampan.engine.containers.lifecycle import Emit
from sampan.engine.containers.pieces import Pieces
from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.rootfs import read_text
from sampan.engine.containers.roots import Roots
from sampan.engine.containers.spec.users import resolve_user
from sampan.engine.containers.table import Container, Table
from sampan.errors import Conflict, InvalidArgument, NotFound
from sampan.images import diff
from sampan.images.bridge import Inlet, pumping
from sampan.images.pack import pack, pack_one
from sampan.images.streams import decompressed
from sampan.kernel import syscalls
from sampan.oci.bytesource import ByteSource
from sampan.oci.tar import TarReader
from sampan.wire.containers import Change, PathStat


class Archives:
    """One per daemon. `changes` compares a container's layer with its image, and blocks."""

    def __init__(self, table: Table, roots: Roots, changes: Callable[[str], Sequence[diff.Change]], emit: Emit) -> None:
        self._table = table
        self._roots = roots
        self._changes = changes
        self._emit = emit

    async def changes(self, ref: str) -> Sequence[Change]:
        """GET .../changes. Raises NotFound."""
        container = self._table.find(ref)
        with self._table.standing(container, ref):
            found = await asyncio.to_thread(self._changes, container.id)
        return [Change(path=change.path, kind=change.kind) for change in found]

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        """GET .../export: the container's file system without its volumes. Raises NotFound, Conflict."""
        container = self._table.find(ref)
        if container.removing:
            raise Conflict(f"You cannot export container {container.id} which is being removed")
        with self._table.standing(container, ref), ExitStack() as stack:
            root = await asyncio.to_thread(stack.enter_context, self._roots.layers(container.record))
            chunks = stack.enter_context(closing(pack(root, overlay=False)))
            self._emit(container, "export")
            return Pieces(chunks, stack.pop_all())

    async def archive_stat(self, ref: str, path: str) -> PathStat:
        """HEAD .../archive. Raises NotFound, InvalidArgument."""
        container = self._table.find(ref)
        with self._table.standing(container, ref):
            return await asyncio.to_thread(self._stat, container.record, ref, path)

    def _stat(self, record: ContainerRecord, ref: str, path: str) -> PathStat:
        with _finding(ref, path), self._roots.to_read(record) as root, located(root, path) as place:
            return stat_of(root, place)

    async def archive_get(self, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """GET .../archive. Raises NotFound, InvalidArgument."""
        container = self._table.find(ref)
        with self._table.standing(container, ref):
            stat, pieces = await asyncio.to_thread(self._open_archive, container.record, ref, path)
        self._emit(container, "archive-path")
        return stat, pieces

    def _open_archive(self, record: ContainerRecord, ref: str, path: str) -> tuple[PathStat, Pieces]:
        with ExitStack() as stack, _finding(ref, path):
            root = stack.enter_context(self._roots.to_read(record))
            place = stack.enter_context(located(root, path))
            stat = stat_of(root, place)
            chunks = stack.enter_context(closing(pack_one(place.parent, place.name, place.shown)))
            return stat, Pieces(chunks, stack.pop_all())

    async def archive_put(
        self, ref: str, path: str, body: AsyncIterator[bytes], no_overwrite_dir_non_dir: bool, copy_uid_gid: bool
    ) -> None:
        """PUT .../archive. Raises NotFound, InvalidArgument, Denied, Exhausted."""
        container = self._table.find(ref)
        with self._table.standing(container, ref):
            if container.running:
                await self._put(container, ref, path, body, no_overwrite_dir_non_dir, copy_uid_gid)
            else:
                # It must not be started, nor be removed, on files that are just being written.
                async with container.queue:
                    await self._put(container, ref, path, body, no_overwrite_dir_non_dir, copy_uid_gid)
        self._emit(container, "extract-to-dir")

    async def _put(
        self, container: Container, ref: str, path: str, body: AsyncIterator[bytes], keep_kinds: bool, as_user: bool
    ) -> None:
        record = container.record
        refuse_read_only(record, path)
        inlet = Inlet(lambda _: anext(body, b""))

        def work() -> None:
            with _finding(ref, path), self._roots.to_write(record) as root:
                owner = _owner(record.config.user, root) if as_user and record.config.user else None
                with _extraction_point(root, path) as folder:
                    archive = TarReader(ByteSource(decompressed(inlet.more)))
                    Extraction(folder, owner, keep_kinds, path).run(archive)

        async with pumping(inlet):
            await asyncio.to_thread(work)


def refuse_read_only(record: ContainerRecord, path: str) -> None:
    """Raise InvalidArgument where nothing can be written: a read-only volume, or a read-only root."""
    wanted = absolute(path).rstrip("/.") or "/"
    points = [p for p in record.mounts if wanted == p.destination or wanted.startswith(f"{p.destination}/")]
    if points:
        if not max(points, key=lambda point: len(point.destination)).rw:
            raise InvalidArgument("mounted volume is marked read-only")
    elif record.host_config.readonly_rootfs:
        raise InvalidArgument("container rootfs is marked read-only")


@contextmanager
def _finding(ref: str, path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"Could not find the file {path} in container {ref}") from None


@contextmanager
def _extraction_point(root: int, path: str) -> Iterator[int]:
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY
        folder = syscalls.openat2(root, absolute(path), flags, 0, syscalls.RESOLVE_IN_ROOT)
    except NotADirectoryError:
        raise InvalidArgument("extraction point is not a directory") from None
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise InvalidArgument(f"lstat {path}: {(error.strerror or '').lower()}") from None
    try:
        yield folder
    finally:
        os.close(folder)


def _owner(spec: str, root: int) -> tuple[int, int]:
    try:
        user = resolve_user(spec, read_text(root, "/etc/passwd"), read_text(root, "/etc/group"))
    except InvalidArgument as error:
        reason = str(error).rpartition(": ")[2]
        raise InvalidArgument(f'failed to look up user "{spec}" in container: {reason}') from None
    return user.uid, user.gid
