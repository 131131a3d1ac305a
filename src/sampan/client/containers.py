"""Containers: /containers of the Engine API. Every method raises the kind of error that the answer means."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sampan.client.http1 import Duplex
from sampan.client.session import Response, Session, quote
from sampan.errors import Upstream
from sampan.wire import codec
from sampan.wire.containers import (
    Change,
    ContainerInspect,
    ContainerSummary,
    CreateRequest,
    CreateResponse,
    PathStat,
    PruneReport,
    TopResponse,
    UpdateRequest,
    UpdateResponse,
    WaitResponse,
)

Filters = dict[str, list[str]]


class PendingWait:
    """A wait that the engine has taken note of; its answer comes when the container gets there."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def result(self) -> WaitResponse:
        """Return the exit status, when it comes."""
        body = await self._response.read()
        if not body.strip():
            raise Upstream("the engine went away before the container ended")
        return codec.decode(body, WaitResponse)

    async def close(self) -> None:
        await self._response.close()


class Containers:
    """The containers of one engine; `ref` is an id, a beginning of one, or a name."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ls(
        self, all: bool = False, limit: int | None = None, size: bool = False, filters: Filters | None = None
    ) -> list[ContainerSummary]:
        query = {"all": all, "limit": limit, "size": size, "filters": filters}
        return await self._session.json(list[ContainerSummary], "GET", "/containers/json", query)

    async def create(
        self, request: CreateRequest, name: str | None = None, platform: str | None = None
    ) -> CreateResponse:
        query = {"name": name, "platform": platform}
        return await self._session.json(CreateResponse, "POST", "/containers/create", query, request)

    async def inspect(self, ref: str, size: bool = False) -> ContainerInspect:
        return await self._session.json(ContainerInspect, "GET", _path(ref, "json"), {"size": size})

    async def inspect_raw(self, ref: str, size: bool = False) -> bytes:
        """Return the JSON just as the engine wrote it."""
        return await (await self._session.request("GET", _path(ref, "json"), {"size": size})).read()

    async def start(self, ref: str, detach_keys: str = "") -> None:
        await self._session.call("POST", _path(ref, "start"), {"detachKeys": detach_keys})

    async def stop(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        await self._session.call("POST", _path(ref, "stop"), {"t": _text(timeout), "signal": signal})

    async def restart(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        await self._session.call("POST", _path(ref, "restart"), {"t": _text(timeout), "signal": signal})

    async def kill(self, ref: str, signal: str = "") -> None:
        await self._session.call("POST", _path(ref, "kill"), {"signal": signal})

    async def pause(self, ref: str) -> None:
        await self._session.call("POST", _path(ref, "pause"))

    async def unpause(self, ref: str) -> None:
        await self._session.call("POST", _path(ref, "unpause"))

    async def rename(self, ref: str, new: str) -> None:
        await self._session.call("POST", _path(ref, "rename"), {"name": new})

    async def remove(self, ref: str, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        query = {"force": force, "v": volumes, "link": link}
        await self._session.call("DELETE", f"/containers/{quote(ref)}", query)

    async def update(self, ref: str, request: UpdateRequest) -> UpdateResponse:
        return await self._session.json(UpdateResponse, "POST", _path(ref, "update"), None, request)

    async def wait(self, ref: str, condition: str = "") -> PendingWait:
        """Register for the end of a container; return once the engine has taken note."""
        return PendingWait(await self._session.request("POST", _path(ref, "wait"), {"condition": condition}))

    async def resize(self, ref: str, height: int, width: int) -> None:
        await self._session.call("POST", _path(ref, "resize"), {"h": height, "w": width})

    async def logs(
        self,
        ref: str,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        since: str = "",
        until: str = "",
        tail: str = "",
        timestamps: bool = False,
        details: bool = False,
    ) -> Response:
        """Return the log: raw where the container has a terminal, else framed (stdcopy). Times are unix seconds."""
        query = {
            "stdout": stdout,
            "stderr": stderr,
            "follow": follow,
            "since": since,
            "until": until,
            "tail": tail,
            "timestamps": timestamps,
            "details": details,
        }
        return await self._session.request("GET", _path(ref, "logs"), query)

    async def attach(
        self,
        ref: str,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        stream: bool = True,
        logs: bool = False,
        detach_keys: str = "",
    ) -> Duplex:
        """Return the container's stdio: raw where it has a terminal, else output is framed (stdcopy)."""
        query = {
            "stdin": stdin,
            "stdout": stdout,
            "stderr": stderr,
            "stream": stream,
            "logs": logs,
            "detachKeys": detach_keys,
        }
        return await self._session.upgrade(_path(ref, "attach"), query)

    async def top(self, ref: str, arguments: str = "") -> TopResponse:
        return await self._session.json(TopResponse, "GET", _path(ref, "top"), {"ps_args": arguments})

    async def stats(self, ref: str, stream: bool = False, one_shot: bool = False) -> Response:
        """Return samples, one JSON document a line."""
        query = {"stream": "1" if stream else "0", "one-shot": one_shot}
        return await self._session.request("GET", _path(ref, "stats"), query)

    async def changes(self, ref: str) -> list[Change]:
        return await self._session.json(list[Change], "GET", _path(ref, "changes"))

    async def export(self, ref: str) -> Response:
        """Return the container's file system as a tar."""
        return await self._session.request("GET", _path(ref, "export"))

    async def stat_path(self, ref: str, path: str) -> PathStat:
        return _path_stat(await self._session.request("HEAD", _path(ref, "archive"), {"path": path}))

    async def get_archive(self, ref: str, path: str) -> tuple[PathStat, Response]:
        """Return what `path` is, and it as a tar."""
        response = await self._session.request("GET", _path(ref, "archive"), {"path": path})
        return _path_stat(response), response

    async def put_archive(
        self,
        ref: str,
        path: str,
        tar: bytes | AsyncIterator[bytes],
        no_overwrite: bool = True,
        copy_owner: bool = False,
    ) -> None:
        """Unpack a tar below `path`; `no_overwrite` refuses to put a directory over a file or the other way."""
        query = {"path": path, "noOverwriteDirNonDir": "true" if no_overwrite else "", "copyUIDGID": copy_owner}
        headers = {"Content-Type": "application/x-tar"}
        await (await self._session.request("PUT", _path(ref, "archive"), query, tar, headers)).read()

    async def prune(self, filters: Filters | None = None) -> PruneReport:
        return await self._session.json(PruneReport, "POST", "/containers/prune", {"filters": filters})


def _path(ref: str, verb: str) -> str:
    return f"/containers/{quote(ref)}/{verb}"


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _path_stat(response: Response) -> PathStat:
    import base64

    header = response.headers.get("x-docker-container-path-stat", "")
    return codec.decode(base64.b64decode(header), PathStat)
