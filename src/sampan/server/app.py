"""From a request to its operation and back.

path not clean ─▶ 301      no such route ─▶ 404      version too old or new ─▶ 400      else ─▶ handler
"""

from __future__ import annotations

import asyncio
import posixpath
import re
import socket
import sys
from pathlib import Path

from sampan.http import HttpServer, Request, Response, Upgrade
from sampan.server.call import Call
from sampan.server.errors import error_reply, message_reply
from sampan.server.nul import refuse_in_target
from sampan.server.table import RouteTable
from sampan.server.versions import NEWEST, OLDEST, Version, format_version, parse_version

_PREFIX = re.compile(r"/v([0-9.]+)(/.*)", re.DOTALL)


class ApiServer:
    """Serves a table of routes on sockets.

    server = ApiServer(build_routes(backends), program="Sampan/0.1.0")
    await server.listen_unix(Path("/run/sampan.sock"), 0o660, gid)
    ...
    await server.close(grace=5.0)
    """

    def __init__(self, routes: RouteTable, *, program: str = "Sampan", experimental: bool = False) -> None:
        """`program` is the name and version in the Server field."""
        self._routes = routes
        self._version_fields = {
            "Api-Version": format_version(NEWEST),
            "Ostype": sys.platform,
            "Server": f"{program} ({sys.platform})",
        }
        self._fields = {**self._version_fields, "Docker-Experimental": str(experimental).lower()}
        self._http: HttpServer | None = None

    async def listen_unix(self, path: Path, mode: int = 0o660, gid: int = -1) -> None:
        """Listen on a unix socket; see `HttpServer.listen_unix`."""
        await self._server().listen_unix(path, mode, gid)

    async def serve_socket(self, sock: socket.socket) -> None:
        """Listen on a bound socket, which becomes the server's."""
        await self._server().serve_socket(sock)

    async def close(self, grace: float = 5.0) -> None:
        """Stop listening, give calls in flight `grace` seconds, cancel what is left."""
        if self._http is not None:
            await self._http.close(grace)

    def _server(self) -> HttpServer:
        if self._http is None:
            self._http = HttpServer(self.handle)
        return self._http

    async def handle(self, request: Request) -> Response | Upgrade:
        """Answer one request. Raises ClientGone when nobody is there to be answered."""
        if (clean := clean_path(request.path)) != request.path:
            return Response(301, {"Location": _location(request, clean)})
        prefix = _PREFIX.fullmatch(request.path)
        found = self._routes.find(request.method, prefix[2] if prefix else request.path)
        if found is None:
            return message_reply(404, "page not found")
        version = parse_version(prefix[1]) if prefix else NEWEST
        if refused := self._refuse_version(version, prefix[1] if prefix else ""):
            return refused
        route, params = found
        if version < route.min_version:
            return message_reply(404, "page not found")
        try:
            refuse_in_target(request)
            reply = await route.handler(Call(request, route.operation_id or route.pattern, version, params))
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            failure = error if isinstance(error, Exception) else RuntimeError("something awaited was cancelled")
            reply = error_reply(failure, f"{request.method} {request.raw_path}")
        return self._with_fields(reply)

    def _refuse_version(self, version: Version, text: str) -> Response | None:
        if version > NEWEST:
            reply = message_reply(
                400, f"client version {text} is too new. Maximum supported API version is {format_version(NEWEST)}"
            )
        elif version < OLDEST:
            words = (
                f"client version {text} is too old. Minimum supported API version is {format_version(OLDEST)}, "
                "please upgrade your client to a newer version\n"
            )
            fields = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
            reply = Response(400, fields, words.encode())
        else:
            return None
        reply.headers = {**self._version_fields, **reply.headers}
        return reply

    def _with_fields(self, reply: Response | Upgrade) -> Response | Upgrade:
        if isinstance(reply, Response):
            reply.headers = {**self._fields, **reply.headers}
        return reply


def clean_path(path: str) -> str:
    """`path` without empty, `.` and `..` elements, a slash at its end kept."""
    if "//" not in path and "/." not in path and path.startswith("/"):
        return path
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _location(request: Request, path: str) -> str:
    from urllib.parse import quote

    return quote(path, safe="/:@!$&'()*+,;=~") + (f"?{request.raw_query}" if request.raw_query else "")


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
