"""A registry that changes how it wants to be asked, while we go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from rig.registry import bound
from sampan.errors import Unauthenticated, Upstream
from sampan.http import HttpServer, Request, Response
from sampan.images.remote import Credentials, Remote, RemoteSettings
from sampan.oci.reference import Reference

KNOWN = Credentials("me", "secret")
JSON = {"Content-Type": "application/json"}


@dataclass
class Registry:
    """Wants what `wants` says: "" nothing, "basic", or the name of a token service; `closed` services answer none."""

    base: str = ""
    wants: str = "one"
    closed: set[str] = field(default_factory=set)
    nowhere: str = ""
    asked: list[str] = field(default_factory=list)

    async def handle(self, request: Request) -> Response:
        if request.path.startswith("/token/"):
            return self._token(request.path.rpartition("/")[2])
        self.asked.append(request.headers.get("authorization", ""))
        if self.asked[-1] == self._expected():
            return Response(200, JSON, b'{"tags":["latest"]}')
        if not self.wants:
            return Response(200, JSON, b'{"tags":["latest"]}')
        return Response(401, {"WWW-Authenticate": self._challenge()})

    def _expected(self) -> str:
        return KNOWN.basic or "" if self.wants == "basic" else f"Bearer {self.wants}"

    def _challenge(self) -> str:
        if self.wants == "basic":
            return 'Basic realm="x"'
        realm = self.nowhere if self.wants == "nowhere" else f"{self.base}/token/{self.wants}"
        return f'Bearer realm="{realm}",service="{self.wants}",scope="repository:a:pull"'

    def _token(self, service: str) -> Response:
        if service in self.closed:
            return Response(404, JSON, b"{}")
        return Response(200, JSON, f'{{"token":"{service}"}}'.encode())


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    served = Registry()
    server, sock, free = HttpServer(served.handle), bound(), bound()
    served.base = f"http://127.0.0.1:{sock.getsockname()[1]}"
    served.nowhere = f"http://127.0.0.1:{free.getsockname()[1]}/token"
    free.close()
    await server.serve_socket(sock)
    yield served
    await server.close(1)


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    async with Remote(RemoteSettings(backoff=0.001, attempts=2)) as made:
        yield made


async def tags(remote: Remote, registry: Registry) -> list[str]:
    name = registry.base.removeprefix("http://")
    return await remote.repository(Reference.parse(f"{name}/a"), KNOWN).tags()


@pytest.mark.parametrize("closed", [True, False], ids=["the old one is gone", "the old one goes on"])
@pytest.mark.parametrize("wants", ["", "basic", "two"])
async def test_a_registry_moves_to_another_way_in(remote, registry, wants, closed):
    assert await tags(remote, registry) == ["latest"]
    registry.wants = wants
    if closed:
        registry.closed.add("one")
    expire(remote)
    assert await tags(remote, registry) == ["latest"]
    registry.wants = "three"
    assert await tags(remote, registry) == ["latest"]


async def test_a_token_that_is_still_good_does_not_keep_the_old_way_in(remote, registry):
    await tags(remote, registry)
    registry.wants = "two"
    assert await tags(remote, registry) == ["latest"]


async def test_back_from_a_service_that_is_nowhere(remote, registry):
    registry.wants = "nowhere"
    with pytest.raises(Upstream, match=r"dial tcp 127\.0\.0\.1:\d+: connect: connection refused"):
        await tags(remote, registry)
    registry.wants = ""
    assert await tags(remote, registry) == ["latest"]


async def test_a_login_follows_too(remote, registry):
    name = registry.base.removeprefix("http://")
    await remote.log_in(name, KNOWN)
    registry.wants = ""
    registry.closed.add("one")
    expire(remote)
    assert await remote.log_in(name, KNOWN) == ""


async def test_a_refusal_stays_one(remote, registry):
    registry.wants = "basic"
    with pytest.raises(Unauthenticated):
        name = registry.base.removeprefix("http://")
        await remote.repository(Reference.parse(f"{name}/a"), Credentials("me", "wrong")).tags()


def expire(remote: Remote) -> None:
    """Let every token's time be over."""
    for task in remote._places.values():
        for connection in task.result():
            connection.authorizer._tokens.clear()
