"""What tests of the registry share: a client that judges nothing, small images, and a registry that is served."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from sampan.http import HttpServer
from sampan.oci import mediatypes
from sampan.oci.digest import Digest, digest_of
from sampan.registry.app import RegistryApp
from sampan.registry.auth import Authenticator, Everyone
from sampan.registry.repositories import Registry


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.json()["errors"][0]["code"])


@dataclass
class Client:
    """Requests to one registry."""

    base: str
    session: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        fields = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        url = path if path.startswith("http") else self.base + path
        async with self.session.request(method, url, data=body, headers=fields, allow_redirects=False) as reply:
            return Answer(reply.status, reply.headers, await reply.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, **headers)

    async def put_blob(self, name: str, content: bytes) -> Digest:
        digest = digest_of(content)
        answer = await self.ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", content)
        assert answer.status == 201, answer
        return digest

    async def put_manifest(self, name: str, reference: str, document: Any, media_type: str = "") -> Answer:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        kind = media_type or (document.get("mediaType") if isinstance(document, dict) else "") or ""
        return await self.ask("PUT", f"/v2/{name}/manifests/{reference}", content, Content_Type=kind)

    async def put_image(self, name: str, tag: str, text: str = "layer", **more: Any) -> Digest:
        """A small whole image; returns its manifest's digest."""
        config = b"{}"
        layer = text.encode()
        await self.put_blob(name, config)
        await self.put_blob(name, layer)
        document = image(config, layer, **more)
        answer = await self.put_manifest(name, tag, document)
        assert answer.status == 201, answer
        return Digest(answer.headers["Docker-Content-Digest"])


def descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def image(config: bytes, *layers: bytes, **more: Any) -> dict[str, Any]:
    """An OCI image manifest."""
    return {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": descriptor(config, mediatypes.OCI_CONFIG),
        "layers": [descriptor(layer, mediatypes.OCI_LAYER_GZIP) for layer in layers],
        **more,
    }


def bound() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


@asynccontextmanager
async def served(
    registry: Registry, authenticator: Authenticator | None = None, app: RegistryApp | None = None
) -> AsyncIterator[Client]:
    """The registry on loopback while the block runs, by `app` where there is one."""
    server = HttpServer((app or RegistryApp(registry, authenticator or Everyone())).handle)
    sock = bound()
    await server.serve_socket(sock)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield Client(f"http://127.0.0.1:{sock.getsockname()[1]}", session)
    await server.close(1)
