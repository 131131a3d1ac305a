"""Commands in running containers: /containers/{id}/exec and /exec of the Engine API."""

from __future__ import annotations

from sampan.client.http1 import Duplex
from sampan.client.session import Session, quote
from sampan.wire import codec
from sampan.wire.exec import ExecCreateRequest, ExecCreateResponse, ExecInspect, ExecStartRequest


class Exec:
    """The commands started in an engine's running containers."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(self, ref: str, request: ExecCreateRequest) -> str:
        """Return the id of a command that is ready to start in container `ref`."""
        path = f"/containers/{quote(ref)}/exec"
        return (await self._session.json(ExecCreateResponse, "POST", path, None, request)).id

    async def start(self, id: str, request: ExecStartRequest) -> None:
        """Start detached."""
        await self._session.call("POST", f"/exec/{quote(id)}/start", None, request)

    async def attach(self, id: str, request: ExecStartRequest) -> Duplex:
        """Start, and return the command's stdio: raw with a terminal, else output is framed (stdcopy)."""
        return await self._session.upgrade(f"/exec/{quote(id)}/start", None, codec.encode(request))

    async def inspect(self, id: str) -> ExecInspect:
        return await self._session.json(ExecInspect, "GET", f"/exec/{quote(id)}/json")

    async def resize(self, id: str, height: int, width: int) -> None:
        await self._session.call("POST", f"/exec/{quote(id)}/resize", {"h": height, "w": width})
