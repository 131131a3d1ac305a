"""From a request to its endpoint and back: authentication, rights, errors, the access log.

/health, /token     outside the API         /v2/...  authenticate -> resource -> right -> handler
any error           errors.failure, one JSON document
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from sampan.http import ClientGone, FileBody, Request, Response
from sampan.registry import errors
from sampan.registry.auth import ANONYMOUS, CATALOG, Access, Authenticator
from sampan.registry.errors import RegistryError
from sampan.registry.repositories import Registry
from sampan.registry.routes import Call, Resource, find
from sampan.registry.routes.blobs import BLOB
from sampan.registry.routes.lists import BASE, CATALOG_LIST, REFERRERS, TAGS
from sampan.registry.routes.manifests import MANIFEST
from sampan.registry.routes.uploads import UPLOAD, UPLOADS

__all__ = ["RESOURCES", "RegistryApp"]

RESOURCES: tuple[Resource, ...] = (BASE, CATALOG_LIST, UPLOADS, UPLOAD, BLOB, MANIFEST, TAGS, REFERRERS)
_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0", "X-Content-Type-Options": "nosniff"}
access_log = logging.getLogger("sampan.registry.access")

Extra = Callable[[Request], Awaitable[Response]]


class RegistryApp:
    """Answers requests for one registry. A handler for HttpServer; may be mounted anywhere that one runs."""

    def __init__(
        self, registry: Registry, authenticator: Authenticator, extras: Mapping[str, Extra] | None = None
    ) -> None:
        """`extras` are further endpoints by their path, outside of the API (the token service)."""
        self._registry = registry
        self._authenticator = authenticator
        self._extras = {"/health": self._health, "/healthz": self._health, **(extras or {})}
        self._table = [(resource.expression, resource) for resource in RESOURCES]

    async def handle(self, request: Request) -> Response:
        """Answer one request. Raises ClientGone when nobody is there to be answered."""
        begun = time.perf_counter()
        user = "-"
        try:
            if extra := self._extras.get(request.path):
                reply = await extra(request)
            else:
                access = await self._authenticator.authenticate(request)
                user = access.user or "-"
                reply = await self._answer(request, access)
        except ClientGone:
            _note(request, user, 499, 0, begun)
            raise
        except Exception as error:
            reply = errors.reply(errors.failure(error, f"{request.method} {request.path}"))
        reply.headers = {**_VERSION, **reply.headers}
        _note(request, user, reply.status, _size(reply), begun)
        return reply

    async def _answer(self, request: Request, access: Access) -> Response:
        found = find(self._table, "/v2/" if request.path == "/v2" else request.path)
        if found is None:
            raise RegistryError("UNSUPPORTED", "there is no such endpoint", status=404)
        resource, params = found
        handler = resource.methods.get(request.method)
        if handler is None:
            raise RegistryError(
                "UNSUPPORTED",
                f"{request.method} is not allowed here",
                headers={"Allow": ", ".join(resource.methods)},
            )
        self._authorize(request, access, resource.actions.get(request.method, ""), params.get("name", ""))
        return await handler(Call(request, self._registry, access, params))

    def _authorize(self, request: Request, access: Access, action: str, name: str) -> None:
        """Raises UNAUTHORIZED where other credentials can help, DENIED where they can't."""
        if not action:
            if access.user or not self._authenticator.closed():
                return
            raise RegistryError("UNAUTHORIZED", headers=self._challenge(request))
        name = CATALOG if action == CATALOG else name
        if access.allows(name, action):
            return
        detail = {"name": name, "action": action}
        known = access.user not in ("", ANONYMOUS) or not self._authenticator.closed()
        if known and not self._authenticator.may_ever(access, name, action):
            raise RegistryError("DENIED", detail=detail)
        raise RegistryError("UNAUTHORIZED", detail=detail, headers=self._challenge(request, name, action))

    def _challenge(self, request: Request, name: str = "", action: str = "") -> dict[str, str]:
        return {"WWW-Authenticate": self._authenticator.challenge(request, name, action)}

    async def _health(self, request: Request) -> Response:
        """200 while the storage answers."""
        await self._registry.storage.check()
        return Response(200, {"Content-Type": "application/json"}, b'{"status":"ok"}')


def _size(reply: Response) -> int:
    if isinstance(reply.body, bytes):
        return len(reply.body)
    return reply.body.size() if isinstance(reply.body, FileBody) else int(reply.headers.get("Content-Length", 0))


def _note(request: Request, user: str, status: int, size: int, begun: float) -> None:
    if access_log.isEnabledFor(logging.INFO):
        milliseconds = (time.perf_counter() - begun) * 1000
        agent = request.headers.get("user-agent", "-")
        access_log.info(
            '%s %s "%s %s" %d %d %.1fms "%s"',
            request.remote or "-",
            user,
            request.method,
            request.target,
            status,
            size,
            milliseconds,
            agent,
        )
