"""A plain HTTP/1.1 client over a unix socket: little code between a test or a benchmark and the engine's bytes.

It keeps one connection, speaks just what an engine answers (Content-Length, chunked, until close, upgrades), and
leaves every judgement to its caller: no status raises, no header is added but those that are needed.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHUNK = 1 << 20


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""
    raw_head: bytes = field(default=b"", repr=False)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The `message` of an error document, or the text as it is."""
        try:
            return str(self.json()["message"])
        except (ValueError, KeyError, TypeError):
            return self.body.decode(errors="replace")


class EngineClient:
    """One connection at a time to the engine that listens on the unix socket `path`."""

    def __init__(self, path: Path | str, version: str = "/v1.51", timeout: float | None = 60) -> None:
        self.path, self.version, self.timeout = str(path), version, timeout
        self._socket: socket.socket | None = None
        self._pending = b""

    def __enter__(self) -> EngineClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._pending = None, b""

    def connect(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(self.timeout)
            self._socket.connect(self.path)
        return self._socket

    # -- whole exchanges

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, document: Any = None) -> Answer:
        return self.request("POST", path, document)

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)

    def request(self, method: str, path: str, document: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request (a document goes as JSON, bytes as they are) and read the whole answer."""
        answer = self.begin(method, path, document, headers)
        answer.body = b"".join(self.stream(answer, method))
        return answer

    def begin(self, method: str, path: str, document: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request and read the answer's head; take the body by `stream` or the connection by `hijack`."""
        self.send(method, path, document, headers)
        return self.head()

    def send(self, method: str, path: str, document: Any = None, headers: Mapping[str, str] | None = None) -> None:
        """Only send: `head` reads what comes back."""
        body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
        lines = [f"{method} {self.version}{path} HTTP/1.1", "Host: engine"]
        if body and not isinstance(document, bytes):
            lines.append("Content-Type: application/json")
        if body or method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        if len(body) < CHUNK:
            self.send_raw(head + body)
        else:
            self.send_raw(head, body)

    def send_raw(self, *parts: bytes) -> None:
        """Bytes as they are; a connection that the engine closed meanwhile is opened again."""
        try:
            self._send_all(parts)
        except (BrokenPipeError, ConnectionResetError):
            self.close()
            self._send_all(parts)

    def _send_all(self, parts: Sequence[bytes]) -> None:
        for part in parts:
            self.connect().sendall(part)

    # -- reading

    def _more(self) -> bool:
        assert self._socket is not None
        data = self._socket.recv(CHUNK)
        self._pending += data
        return bool(data)

    def head(self) -> Answer:
        while (end := self._pending.find(b"\r\n\r\n")) < 0:
            if not self._more():
                raise ConnectionError(f"the engine closed the connection in the answer's head: {self._pending!r}")
        raw, self._pending = self._pending[:end], self._pending[end + 4 :]
        lines = raw.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        answer = Answer(int(lines[0].split(" ")[1]), headers, raw_head=raw)
        return self.head() if answer.status == 100 else answer

    def stream(self, answer: Answer, method: str = "GET") -> Iterator[bytes]:
        """The body piece by piece, as it comes."""
        if method == "HEAD" or answer.status in (204, 304):
            return
        if answer.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._chunks()
        elif "content-length" in answer.headers:
            yield from self._exactly(int(answer.headers["content-length"]))
        else:
            yield from self._until_close()
        if answer.headers.get("connection", "").lower() == "close":
            self.close()

    def _until_close(self) -> Iterator[bytes]:
        while True:
            data, self._pending = self._pending, b""
            if data:
                yield data
            elif not self._more():
                self.close()
                return

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            if not self._pending and not self._more():
                raise ConnectionError(f"the engine closed the connection {length} bytes early")
            data, self._pending = self._pending[:length], self._pending[length:]
            length -= len(data)
            yield data

    def _line(self) -> bytes:
        while (end := self._pending.find(b"\r\n")) < 0:
            if not self._more():
                raise ConnectionError("the engine closed the connection between chunks")
        line, self._pending = self._pending[:end], self._pending[end + 2 :]
        return line

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line().split(b";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while self._line():
            pass

    def hijack(self) -> tuple[socket.socket, bytes]:
        """Give the connection away: the socket and what was read beyond the head."""
        assert self._socket is not None
        taken, early = self._socket, self._pending
        self._socket, self._pending = None, b""
        return taken, early

    def until_answer(self, seconds: float = 30, gone: Callable[[], bool] = lambda: False) -> None:
        """Wait until the engine answers a ping; raises TimeoutError, at once when `gone()` says that it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not gone():
            with contextlib.suppress(OSError):
                if self.get("/_ping").status == 200:
                    return
            self.close()
            time.sleep(0.01)
        raise TimeoutError(f"nothing answers on {self.path}")


def demultiplex(data: bytes) -> tuple[bytes, bytes]:
    """Standard output and standard error out of a multiplexed stream (8-byte headers)."""
    streams = {1: bytearray(), 2: bytearray()}
    position = 0
    while position < len(data):
        kind, length = data[position], int.from_bytes(data[position + 4 : position + 8], "big")
        streams[kind] += data[position + 8 : position + 8 + length]
        position += 8 + length
    if position != len(data):
        raise ValueError("the last frame is cut")
    return bytes(streams[1]), bytes(streams[2])
