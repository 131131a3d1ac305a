"""Containers: making, reading, and their life cycle."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Response
from sampan.server.call import Call
from sampan.server.filters import Filters
from sampan.server.replies import JSON, Begun, empty_reply, stream_reply
from sampan.server.table import Operation
from sampan.wire import codec
from sampan.wire.containers import (
    ContainerInspect,
    ContainerSummary,
    CreateRequest,
    CreateResponse,
    PruneReport,
    WaitResponse,
)

WAIT_CONDITIONS = ("not-running", "next-exit", "removed")


class ContainerBackend(Protocol):
    """What the routes ask of containers; `ref` is a name, an id or the beginning of one."""

    async def create(
        self, request: CreateRequest, name: str | None, platform: str | None, shallow_read_only: bool
    ) -> CreateResponse:
        """With `shallow_read_only` a read-only bind leaves alone what is mounted below it."""

    def list(self, all: bool, limit: int, filters: Filters) -> Sequence[ContainerSummary]: ...

    async def list_with_sizes(self, all: bool, limit: int, filters: Filters) -> Sequence[ContainerSummary]: ...

    async def inspect(self, ref: str, size: bool = False) -> ContainerInspect: ...

    async def start(self, ref: str, detach_keys: str = "") -> None: ...

    async def stop(self, ref: str, timeout: int | None, signal: str | None) -> None:
        """`timeout` in seconds: None is the container's own, -1 for ever."""

    async def restart(self, ref: str, timeout: int | None, signal: str | None) -> None: ...

    async def kill(self, ref: str, signal: str) -> None: ...

    async def rename(self, ref: str, new: str) -> None: ...

    async def resize(self, ref: str, height: int, width: int) -> None: ...

    async def wait(self, ref: str, condition: str) -> Awaitable[WaitResponse]:
        """The first await finds the container and registers, the second is the exit."""

    async def remove(self, ref: str, force: bool, volumes: bool, link: bool) -> None: ...

    async def prune(self, filters: Filters) -> PruneReport: ...


async def list_containers(containers: ContainerBackend, call: Call) -> Response:
    """ContainerList."""
    everything, limit, filters = call.flag("all"), call.number("limit") or 0, call.filters()
    if call.flag("size"):
        return call.reply(await containers.list_with_sizes(everything, limit, filters))
    return call.reply(containers.list(everything, limit, filters))


async def create(containers: ContainerBackend, call: Call) -> Response:
    """ContainerCreate."""
    request = await call.json(CreateRequest)
    if request == CreateRequest(host_config=request.host_config, networking_config=request.networking_config):
        raise InvalidArgument("config cannot be empty in order to create a container")
    platform = call.text("platform") if call.version >= (1, 41) else ""
    shallow = call.version < (1, 44)
    created = await containers.create(request, call.text("name") or None, platform or None, shallow)
    return call.reply(created, 201)


async def inspect(containers: ContainerBackend, call: Call) -> Response:
    """ContainerInspect."""
    return call.reply(await containers.inspect(call["id"], call.flag("size")))


async def start(containers: ContainerBackend, call: Call) -> Response:
    """ContainerStart. Below API 1.24 it took a HostConfig; `{}` and `null` may still be sent."""
    length = call.request.body.length
    if length is None or length > len("{}\r\n..."):
        raise InvalidArgument(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
        )
    if call.text("checkpoint"):
        raise InvalidArgument("checkpoint is only supported in experimental mode")
    await containers.start(call["id"], call.text("detachKeys"))
    return empty_reply()


async def stop(containers: ContainerBackend, call: Call) -> Response:
    """ContainerStop."""
    await containers.stop(call["id"], _seconds(call), _signal(call))
    return empty_reply()


async def restart(containers: ContainerBackend, call: Call) -> Response:
    """ContainerRestart."""
    await containers.restart(call["id"], _seconds(call), _signal(call))
    return empty_reply()


def _seconds(call: Call) -> int | None:
    return call.number("t")


def _signal(call: Call) -> str | None:
    return call.text("signal") or None if call.version >= (1, 42) else None


async def kill(containers: ContainerBackend, call: Call) -> Response:
    """ContainerKill."""
    await containers.kill(call["id"], call.text("signal"))
    return empty_reply()


async def rename(containers: ContainerBackend, call: Call) -> Response:
    """ContainerRename."""
    await containers.rename(call["id"], call.text("name"))
    return empty_reply()


async def resize(containers: ContainerBackend, call: Call) -> Response:
    """ContainerResize."""
    await containers.resize(call["id"], *terminal_size(call))
    return empty_reply(200)


def terminal_size(call: Call) -> tuple[int, int]:
    """Height and width in characters, of the query. Raises InvalidArgument."""
    return _characters(call, "h", "height"), _characters(call, "w", "width")


def _characters(call: Call, key: str, word: str) -> int:
    text = call.text(key)
    if not re.fullmatch(r"-?\d+", text, re.ASCII):
        raise InvalidArgument(f'invalid resize {word} "{text}": invalid syntax')
    digits = text.lstrip("0") or "0"
    if digits[0] == "-" or len(digits) > 10 or int(digits) >= 2**32:
        raise InvalidArgument(f'invalid resize {word} "{text}": value out of range')
    return int(digits)


async def wait(containers: ContainerBackend, call: Call) -> Response:
    """ContainerWait: the head leaves once the wait is registered, the body at the exit."""
    condition = call.text("condition") or WAIT_CONDITIONS[0] if call.version >= (1, 30) else WAIT_CONDITIONS[0]
    if condition not in WAIT_CONDITIONS:
        raise InvalidArgument(f'invalid condition: "{condition}": use one of {", ".join(WAIT_CONDITIONS)}')
    return stream_reply(await Begun.begin(_exit(await containers.wait(call["id"], condition))), JSON)


async def _exit(exit: Awaitable[WaitResponse]) -> AsyncIterator[bytes]:
    yield codec.encode(await exit) + b"\n"


async def remove(containers: ContainerBackend, call: Call) -> Response:
    """ContainerDelete."""
    await containers.remove(call["id"], call.flag("force"), call.flag("v"), call.flag("link"))
    return empty_reply()


async def prune(containers: ContainerBackend, call: Call) -> Response:
    """ContainerPrune."""
    return call.reply(await containers.prune(call.filters()))


OPERATIONS: tuple[Operation[ContainerBackend], ...] = (
    Operation("GET", "/containers/json", "ContainerList", list_containers),
    Operation("POST", "/containers/create", "ContainerCreate", create),
    Operation("POST", "/containers/prune", "ContainerPrune", prune),
    Operation("GET", "/containers/{id}/json", "ContainerInspect", inspect),
    Operation("POST", "/containers/{id}/start", "ContainerStart", start),
    Operation("POST", "/containers/{id}/stop", "ContainerStop", stop),
    Operation("POST", "/containers/{id}/restart", "ContainerRestart", restart),
    Operation("POST", "/containers/{id}/kill", "ContainerKill", kill),
    Operation("POST", "/containers/{id}/rename", "ContainerRename", rename),
    Operation("POST", "/containers/{id}/resize", "ContainerResize", resize),
    Operation("POST", "/containers/{id}/wait", "ContainerWait", wait),
    Operation("DELETE", "/containers/{id}", "ContainerDelete", remove),
)
