"""A handler that passes on another's replies and tells of them. As a program: sampand, with its replies recorded.

    recorded = Recorded(server.handle, tell)                  # tell gets a Reply when it has been sent
    python -P tests/rig/recording.py FILE SAMPAND-FLAGS...    # the replies go to FILE: `read` gives them back

Only replies of JSON are kept with their bodies, and only their first part: a stream costs little, however long it is.
"""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from sampan.http import Handler, Request, Response, Upgrade

LONGEST = 1 << 20
JSON = "application/json"


class Reply(NamedTuple):
    """What was answered. `whole` is False where the body is only the first part."""

    method: str
    target: str
    status: int
    content_type: str
    body: bytes
    whole: bool


class Recorded:
    """A handler around another."""

    def __init__(self, handler: Handler, tell: Callable[[Reply], None]) -> None:
        self._handler = handler
        self._tell = tell

    async def __call__(self, request: Request) -> Response | Upgrade:
        reply = await self._handler(request)
        if isinstance(reply, Response) and isinstance(reply.body, AsyncIterator) and _content_type(reply) == JSON:
            reply.body = self._copied(request, reply, reply.body)
        elif isinstance(reply, Response) and isinstance(reply.body, bytes):
            self._note(request, reply, reply.body[:LONGEST], len(reply.body) <= LONGEST)
        else:
            self._note(request, reply, b"", False)
        return reply

    async def _copied(self, request: Request, reply: Response, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        first, whole = b"", False
        try:
            async for piece in body:
                if len(first) < LONGEST:
                    first += piece
                yield piece
            whole = len(first) < LONGEST
        finally:
            if hasattr(body, "aclose"):
                await body.aclose()
            self._note(request, reply, first, whole)

    def _note(self, request: Request, reply: Response | Upgrade, body: bytes, whole: bool) -> None:
        self._tell(Reply(request.method, request.target, reply.status, _content_type(reply), body, whole))


def _content_type(reply: Response | Upgrade) -> str:
    return reply.headers.get("Content-Type", "").partition(";")[0]


def read(path: Path) -> Iterator[Reply]:
    """The replies of a file; a last one that was cut by a kill is left out."""
    with path.open("rb") as file:
        while True:
            try:
                yield Reply(*marshal.load(file))
            except (EOFError, ValueError):
                return


def main(path: str, *flags: str) -> None:
    """sampand, with every reply written to `path`."""
    from sampan.daemon import instance, main
    from sampan.server.app import ApiServer

    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)

    def write(reply: Reply) -> None:
        os.write(file, marshal.dumps(tuple(reply)))

    class RecordedServer(ApiServer):
        async def handle(self, request: Request) -> Response | Upgrade:
            return await Recorded(super().handle, write)(request)

    instance.ApiServer = RecordedServer  # type: ignore[misc]
    main.main(flags)


if __name__ == "__main__":
    main(*sys.argv[1:])
