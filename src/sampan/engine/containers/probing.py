"""Running a health check's command: an exec whose output is kept up to a limit, and which is ended in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct

from sampan.engine.containers.execs import Exec, Execs
from sampan.engine.containers.table import Container
from sampan.monitor.client import Channel
from sampan.wire.exec import ExecCreateRequest

LIMIT = 4096
"""Bytes of output that are kept."""
_CHUNK = 64 * 1024
_FRAME = Struct(">BxxxI")
_PATIENCE = 5.0
"""Seconds between a killed command and the news of its end."""


class Output:
    """What a command prints, taken out of the channel's frames (stream, three zeros, length, data)."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self._kept = bytearray()
        self._cut = False

    def feed(self, data: bytes) -> None:
        """The next bytes of the channel, however they are cut."""
        while data:
            if self._left == 0:
                missing = _FRAME.size - len(self._header)
                self._header, data = self._header + data[:missing], data[missing:]
                if len(self._header) == _FRAME.size:
                    _, self._left = _FRAME.unpack(self._header)
                    self._header = b""
                continue
            self._keep(data[: self._left])
            taken = min(self._left, len(data))
            self._left, data = self._left - taken, data[taken:]

    def _keep(self, data: bytes) -> None:
        room = LIMIT - len(self._kept)
        self._kept += data[:room]
        self._cut = self._cut or len(data) > room

    def text(self) -> str:
        """What was kept; three dots say that there was more."""
        return self._kept.decode("utf-8", "replace") + ("..." if self._cut else "")


@dataclass(frozen=True)
class Prober:
    """`kill` ends the process of an exec."""

    execs: Execs
    kill: Callable[[str], None]

    async def probe(self, container: Container, command: Sequence[str], timeout: float) -> tuple[int | None, str]:
        """Its exit code (None: it was ended after `timeout` seconds) and its output. Raises SampanError."""
        request = ExecCreateRequest(cmd=list(command), attach_stdout=True, attach_stderr=True)
        run = self.execs.find(await self.execs.create(container, request))
        channel = Channel(stdin=False, stdout=True, stderr=True)
        try:
            await self.execs.launch(run, channel)
            return await self._finished(run, channel, timeout)
        finally:
            channel.close()
            if run.running:
                self.kill(run.id)
            else:
                self.execs.drop(run)

    async def _finished(self, run: Exec, channel: Channel, timeout: float) -> tuple[int | None, str]:
        output = Output()
        try:
            async with asyncio.timeout(timeout):
                await _read(channel, output)
                await run.ended.wait()
        except TimeoutError:
            self.kill(run.id)
            # Wait for the end, so that checks that hang do not pile up.
            await asyncio.wait([asyncio.ensure_future(run.ended.wait())], timeout=_PATIENCE)
            return None, output.text()
        return run.code, output.text()


async def _read(channel: Channel, output: Output) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await loop.sock_recv(channel.socket, _CHUNK):
            output.feed(data)
    except ConnectionResetError:
        pass
