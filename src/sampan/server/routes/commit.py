"""A container's changes become an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Response
from sampan.server.call import Call
from sampan.server.table import Operation
from sampan.wire.containers import ContainerConfig
from sampan.wire.images import CommitResponse


class CommitBackend(Protocol):
    """What the route asks. `changes` are Dockerfile instructions, `config` replaces the container's where not None."""

    async def commit(
        self,
        ref: str,
        *,
        repo: str,
        tag: str,
        comment: str,
        author: str,
        pause: bool,
        changes: Sequence[str],
        config: ContainerConfig | None,
    ) -> CommitResponse: ...


async def commit(containers: CommitBackend, call: Call) -> Response:
    """ImageCommit."""
    has_body = call.request.body.length != 0 or call.request.headers.get("content-type")
    config = await call.json(ContainerConfig, ContainerConfig()) if has_body else None
    ref = call.text("container")
    if not ref:
        raise InvalidArgument('invalid name or ID supplied: ""')
    committed = await containers.commit(
        ref,
        repo=call.text("repo"),
        tag=call.text("tag"),
        comment=call.text("comment"),
        author=call.text("author"),
        pause=call.flag("pause", default=True),
        changes=call.texts("changes"),
        config=None if config == ContainerConfig() else config,
    )
    return call.reply(committed, 201)


OPERATIONS: tuple[Operation[CommitBackend], ...] = (Operation("POST", "/commit", "ImageCommit", commit),)
