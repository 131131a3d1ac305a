"""Calls of the API without a socket, on services that record what they are asked."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any
from unittest.mock import MagicMock, create_autospec

import pytest

from sampan.http import FileBody, Headers, Request, Response, Upgrade
from sampan.http.body import NO_BODY, BodyReader
from sampan.http.buffer import ByteBuffer
from sampan.server import ApiServer, Backends, build_routes
from sampan.server.routes.archives import ArchiveBackend
from sampan.server.routes.attach import AttachBackend
from sampan.server.routes.build import BuildBackend
from sampan.server.routes.commit import CommitBackend
from sampan.server.routes.containers import ContainerBackend
from sampan.server.routes.control import ControlBackend
from sampan.server.routes.events import EventBackend
from sampan.server.routes.exec import ExecBackend
from sampan.server.routes.images import ImageBackend
from sampan.server.routes.networks import NetworkBackend
from sampan.server.routes.observe import ObserveBackend
from sampan.server.routes.registry import RegistryBackend
from sampan.server.routes.sources import SourceBackend
from sampan.server.routes.system import SystemBackend
from sampan.server.routes.usage import UsageBackend
from sampan.server.routes.volumes import VolumeBackend

PROTOCOLS = {
    "system": SystemBackend,
    "events": EventBackend,
    "usage": UsageBackend,
    "containers": ContainerBackend,
    "control": ControlBackend,
    "attach": AttachBackend,
    "observe": ObserveBackend,
    "archives": ArchiveBackend,
    "commit": CommitBackend,
    "execs": ExecBackend,
    "images": ImageBackend,
    "sources": SourceBackend,
    "registry": RegistryBackend,
    "build": BuildBackend,
    "volumes": VolumeBackend,
    "networks": NetworkBackend,
}


@cache
def services() -> dict[str, MagicMock]:
    """A recording service for each protocol; made once, for they are slow to make."""
    return {name: create_autospec(protocol, instance=True) for name, protocol in PROTOCOLS.items()}


def body_of(data: bytes | None, chunked: bool = False) -> BodyReader:
    """A body that has arrived."""
    if data is None:
        return NO_BODY
    buffer = ByteBuffer(lambda: None, lambda: None)
    buffer.feed(data)
    buffer.end()
    return BodyReader(buffer, None if chunked else len(data), None)


async def content(reply: Response) -> bytes:
    """A reply's whole body."""
    if isinstance(reply.body, bytes):
        return reply.body
    assert not isinstance(reply.body, FileBody)
    return b"".join([item async for item in reply.body])


class Api:
    """The server under test and the services behind it."""

    def __init__(self) -> None:
        self.backends = services()
        for service in self.backends.values():
            service.reset_mock(return_value=True, side_effect=True)
        self.server = ApiServer(build_routes(Backends(**self.backends)), program="Test/1")

    def __getattr__(self, name: str) -> MagicMock:
        return self.backends[name]

    async def send(
        self,
        method: str,
        target: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        version: str = "1.51",
        chunked: bool = False,
    ) -> Response | Upgrade:
        """Call an operation; a body that isn't bytes is sent as JSON."""
        fields = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            fields.setdefault("Content-Type", "application/json")
        pairs = [(name.encode(), value.encode()) for name, value in fields.items()]
        prefix = f"/v{version}" if version else ""
        request = Request(method, f"{prefix}{target}", Headers(pairs), body=body_of(body, chunked))
        return await self.server.handle(request)

    async def ask(self, method: str, target: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Status and decoded body of a reply."""
        reply = await self.send(method, target, body, **options)
        assert isinstance(reply, Response)
        data = await content(reply)
        return reply.status, json.loads(data) if data else None

    async def message(self, method: str, target: str, body: Any = None, **options: Any) -> tuple[int, str]:
        """Status and message of an error."""
        status, document = await self.ask(method, target, body, **options)
        assert set(document) == {"message"}
        return status, document["message"]


@pytest.fixture
def api() -> Api:
    """A server whose services answer with mocks until told otherwise."""
    return Api()


@pytest.fixture
def read() -> Callable[[Response], Awaitable[bytes]]:
    """Reads a reply's whole body."""
    return content
