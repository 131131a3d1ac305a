"""Containers: their output and input."""

from __future__ import annotations

from typing import Protocol

from sampan.engine.containers.service import AttachOptions, LogOptions, LogStream
from sampan.errors import InvalidArgument, SampanError
from sampan.http import Response, Upgrade
from sampan.server.call import Call
from sampan.server.errors import status_of
from sampan.server.hijack import Session, raw_stream, stream_type, websocket_stream
from sampan.server.replies import RAW_STREAM, stream_reply
from sampan.server.table import Operation
from sampan.server.websocket import handshake
from sampan.wire import codec


class AttachBackend(Protocol):
    """What the routes ask of containers' streams."""

    async def logs(self, ref: str, options: LogOptions) -> LogStream: ...

    async def attach(self, ref: str, options: AttachOptions) -> Session: ...


async def logs(containers: AttachBackend, call: Call) -> Response:
    """ContainerLogs."""
    options = LogOptions(
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        follow=call.flag("follow"),
        since=_moment(call, "since"),
        until=_moment(call, "until"),
        tail=_tail(call),
        timestamps=call.flag("timestamps"),
        details=call.flag("details"),
    )
    if not (options.stdout or options.stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    stream = await containers.logs(call["id"], options)
    return stream_reply(aiter(stream), {"Content-Type": stream_type(call.version, stream.tty)})


def _moment(call: Call, key: str) -> int | None:
    """Nanoseconds since 1970; docker's 0 is none."""
    text = call.text(key)
    return None if text in ("", "0") else codec.parse_time(text)


def _tail(call: Call) -> int | None:
    if call.text("tail") == "all":
        return None
    number = call.number("tail")
    return None if number is None or number < 0 else number


def _attach_options(call: Call) -> AttachOptions:
    return AttachOptions(
        stdin=call.flag("stdin"),
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        stream=call.flag("stream"),
        logs=call.flag("logs"),
        detach_keys=call.text("detachKeys"),
    )


async def attach(containers: AttachBackend, call: Call) -> Response | Upgrade:
    """ContainerAttach. Its errors are plain text in the type of a raw stream, as dockerd's are."""
    try:
        session = await containers.attach(call["id"], _attach_options(call))
    except SampanError as error:
        return Response(status_of(error), {"Content-Type": RAW_STREAM}, f"{error}\r\n".encode())
    return raw_stream(call, session)


async def attach_websocket(containers: AttachBackend, call: Call) -> Upgrade:
    """ContainerAttachWebsocket: output as it is, without frames, in binary messages."""
    fields = handshake(call.request)
    return websocket_stream(fields, await containers.attach(call["id"], _attach_options(call)))


OPERATIONS: tuple[Operation[AttachBackend], ...] = (
    Operation("GET", "/containers/{id}/logs", "ContainerLogs", logs),
    Operation("GET", "/containers/{id}/attach/ws", "ContainerAttachWebsocket", attach_websocket),
    Operation("POST", "/containers/{id}/attach", "ContainerAttach", attach),
)
