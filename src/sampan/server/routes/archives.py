"""Containers: their files, as archives."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Response
from sampan.server.call import Call
from sampan.server.replies import TAR, empty_reply, stream_reply
from sampan.server.table import Operation
from sampan.wire import codec
from sampan.wire.containers import Change, PathStat

STAT_FIELD = "X-Docker-Container-Path-Stat"


class ArchiveBackend(Protocol):
    """What the routes ask of containers' files; archives are tars, uncompressed on the way out."""

    async def changes(self, ref: str) -> Sequence[Change]: ...

    async def export(self, ref: str) -> AsyncIterator[bytes]: ...

    async def archive_stat(self, ref: str, path: str) -> PathStat: ...

    async def archive_get(self, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]: ...

    async def archive_put(
        self, ref: str, path: str, body: AsyncIterator[bytes], no_overwrite_dir_non_dir: bool, copy_uid_gid: bool
    ) -> None: ...


async def changes(containers: ArchiveBackend, call: Call) -> Response:
    """ContainerChanges."""
    return call.reply(await containers.changes(call["id"]) or None)


async def export(containers: ArchiveBackend, call: Call) -> Response:
    """ContainerExport."""
    return stream_reply(await containers.export(call["id"]), {"Content-Type": "application/octet-stream"})


async def archive_stat(containers: ArchiveBackend, call: Call) -> Response:
    """ContainerArchiveInfo."""
    return Response(200, _stat_field(await containers.archive_stat(call["id"], _path(call))))


async def archive_get(containers: ArchiveBackend, call: Call) -> Response:
    """ContainerArchive."""
    stat, content = await containers.archive_get(call["id"], _path(call))
    return stream_reply(content, {**TAR, **_stat_field(stat)})


async def archive_put(containers: ArchiveBackend, call: Call) -> Response:
    """PutContainerArchive."""
    await containers.archive_put(
        call["id"],
        _path(call),
        aiter(call.request.body),
        call.flag("noOverwriteDirNonDir"),
        call.flag("copyUIDGID"),
    )
    return empty_reply(200)


def _path(call: Call) -> str:
    path = call.text("path")
    if not path:
        raise InvalidArgument("bad parameter: path cannot be empty")
    return path


def _stat_field(stat: PathStat) -> dict[str, str]:
    return {STAT_FIELD: base64.b64encode(codec.encode(stat)).decode()}


OPERATIONS: tuple[Operation[ArchiveBackend], ...] = (
    Operation("GET", "/containers/{id}/changes", "ContainerChanges", changes),
    Operation("GET", "/containers/{id}/export", "ContainerExport", export),
    Operation("HEAD", "/containers/{id}/archive", "ContainerArchiveInfo", archive_stat),
    Operation("GET", "/containers/{id}/archive", "ContainerArchive", archive_get),
    Operation("PUT", "/containers/{id}/archive", "PutContainerArchive", archive_put),
)
