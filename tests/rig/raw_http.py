"""Bytes for the daemon's socket that are almost HTTP, and clients that send them badly.

conversation = Conversations(dice, names).next()      # what to send, and how
heard = talk(socket_path, conversation)               # all that came back
problems(heard)                                       # what no client should have been sent
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig import image

HEARD_LIMIT = 8 << 20
LEAVE_SECONDS = 0.1
_UPGRADE = ("Connection: Upgrade", "Upgrade: tcp")
_WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: " + "A" * 22 + "==",
)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d)")
_ALLOWED = frozenset((b"501", b"503", b"505"))
"""Not there on purpose, no swarm or registry, an HTTP that nobody speaks."""


@dataclass(frozen=True)
class Conversation:
    """`pieces` go out one by one with `pause` seconds between; then the client does what `ending` says."""

    pieces: tuple[bytes, ...]
    pause: float
    ending: str

    def __str__(self) -> str:
        shown = b"".join(self.pieces)
        return f"{len(self.pieces)} pieces, {self.ending}: {shown[:1500]!r}{' ...' if len(shown) > 1500 else ''}"


ENDINGS = ("leaves at once", "leaves", "half-closes", "reads slowly", "reads", "reads")


def request(method: str, target: str, body: bytes | None = None, *fields: str) -> bytes:
    """A request as it should be."""
    lines = [f"{method} {target} HTTP/1.1", "Host: engine", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def chunked(method: str, target: str, pieces: Sequence[bytes], *fields: str) -> bytes:
    """The same with a body in chunks."""
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: engine", "Transfer-Encoding: chunked", *fields])
    return head.encode() + b"\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


class Conversations:
    """An endless row of them. `running` names a container that runs, `terminal` one that reads from a terminal."""

    def __init__(self, dice: random.Random, running: str, terminal: str) -> None:
        self._dice = dice
        self._seeds = _seeds(running, terminal)
        self._mutations: tuple[Callable[[bytes], bytes], ...] = (
            self._cut,
            self._flip,
            self._insert,
            self._double,
            self._remove,
            self._other_number,
            self._large_head,
            self._field,
            self._bare_lines,
        )

    def next(self) -> Conversation:
        """The next one: one request or several in a row, spoilt in a few places or not at all."""
        data = b"".join(self._dice.choice(self._seeds) for _ in range(self._dice.choice((1, 1, 1, 2, 5, 40))))
        for _ in range(self._dice.choice((0, 1, 1, 2, 3, 6))):
            data = self._dice.choice(self._mutations)(data)
        pieces = self._pieces(data)
        pause = self._dice.choice((0.0, 0.0, 0.001, 0.02)) if len(pieces) < 20 else 0.0
        return Conversation(pieces, pause, self._dice.choice(ENDINGS))

    def _pieces(self, data: bytes) -> tuple[bytes, ...]:
        if self._dice.random() < 0.1 and len(data) < 2000:
            return tuple(data[i : i + 1] for i in range(len(data)))
        cuts = sorted(self._dice.randrange(len(data) + 1) for _ in range(self._dice.choice((0, 0, 1, 2, 5))))
        return tuple(data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True))

    # what may be wrong

    def _place(self, data: bytes) -> int:
        """Somewhere, mostly in the first head."""
        return self._dice.randrange(min(len(data), self._dice.choice((40, 300, 1 << 30))) + 1)

    def _cut(self, data: bytes) -> bytes:
        return data[: self._place(data)]

    def _flip(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + bytes([self._dice.randrange(256)]) + data[place + 1 :]

    def _insert(self, data: bytes) -> bytes:
        place = self._place(data)
        words = (
            b"\0",
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
            b":",
            b"\r\n\r\n",
            b"\xff",
            b"%",
            b"0\r\n\r\n",
            b"x" * 5000,
            b"GET ",
        )
        return data[:place] + self._dice.choice(words) + data[place:]

    def _double(self, data: bytes) -> bytes:
        first, second = sorted((self._place(data), self._place(data)))
        return data[:second] + data[first:second] * self._dice.choice((1, 1, 10)) + data[second:]

    def _remove(self, data: bytes) -> bytes:
        first, second = sorted((self._place(data), self._place(data)))
        return data[:first] + data[second:]

    def _other_number(self, data: bytes) -> bytes:
        """Another length, chunk size or status of something."""
        found = list(re.finditer(rb"\d+", data[:4000]))
        if not found:
            return data
        match = self._dice.choice(found)
        odd = (b"0", b"-1", b"+1", b"1", b"ffffffff", b"99999999999999999999", b"1_0", b"0x1", b"65536", b"1, 1", b"")
        return data[: match.start()] + self._dice.choice(odd) + data[match.end() :]

    def _large_head(self, data: bytes) -> bytes:
        large = self._dice.choice((b"X: " + b"y" * 70_000, b"\r\n".join(b"X-%d: y" % n for n in range(3000)), b"Y: z"))
        return data.replace(b"Host: engine", b"Host: engine\r\n" + large, 1)

    def _field(self, data: bytes) -> bytes:
        fields = (
            *(
                "Content-Length: 5",
                "Content-Length: 5, 5",
                "Transfer-Encoding: chunked",
                "Transfer-Encoding: gzip, chunked",
            ),
            *(
                "Transfer-Encoding: identity",
                "Expect: 100-continue",
                "Expect: other",
                "Connection: close",
                "Host: other",
            ),
            *("Connection: Upgrade", "Upgrade: h2c", "Upgrade: tcp", "Upgrade: websocket", "Connection: keep-alive"),
            *("Content-Type: application/json", "Content-Type: text/plain", " folded: x", "Na me: x", ": x", "X"),
        )
        return data.replace(b"\r\n\r\n", b"\r\n" + self._dice.choice(fields).encode() + b"\r\n\r\n", 1)

    def _bare_lines(self, data: bytes) -> bytes:
        return data.replace(b"\r\n", self._dice.choice((b"\n", b"\r", b"\n\r")), self._dice.choice((1, 3, -1)))


def _seeds(running: str, terminal: str) -> tuple[bytes, ...]:
    create = json.dumps({"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}).encode()
    layer = image.Layer()
    layer.add("file", b"x" * 3000)
    tar = layer.finish()
    json_type, tar_type = "Content-Type: application/json", "Content-Type: application/x-tar"
    websocket = request("GET", f"/containers/{terminal}/attach/ws?stream=1&stdin=1&stdout=1", None, *_WEBSOCKET)
    return (
        request("GET", "/_ping"),
        request("HEAD", "/_ping"),
        request("GET", "http://engine/v1.51/version"),
        request("OPTIONS", "*"),
        request("GET", "/v1.51/info", None, "Connection: close"),
        request("GET", "/v1.51/containers/json?all=1&size=1"),
        request("GET", f"/v1.51/containers/{running}/json"),
        request("GET", f"/v1.51/containers/{running}/export"),
        request("GET", f"/v1.51/containers/{running}/logs?stdout=1&follow=1"),
        request("GET", f"/v1.51/containers/{running}/stats"),
        request("GET", f"/v1.51/containers/{running}/archive?path=/bin/busybox"),
        request("HEAD", f"/v1.51/containers/{running}/archive?path=/bin"),
        request("GET", "/v1.51/images/busybox/get"),
        request("GET", "/v1.51/events"),
        request("GET", "/v1.51/events?since=0&until=1"),
        request("POST", f"/v1.51/containers/{running}/wait"),
        request("POST", f"/v1.51/containers/{running}/attach?stream=1&stdout=1&logs=1", b"", *_UPGRADE),
        request("POST", f"/v1.51/containers/{terminal}/attach?stream=1&stdin=1&stdout=1", b"", *_UPGRADE)
        + b"input\n" * 20,
        request("POST", f"/containers/{terminal}/attach?stream=1&stdout=1"),
        websocket + b"\x81\x85\x01\x02\x03\x04" + bytes(a ^ b for a, b in zip(b"hello", b"\1\2\3\4\1", strict=True)),
        websocket + b"\x8f\xff" + b"\xff" * 8,
        request("POST", "/v1.51/containers/create?name=raw", create, json_type),
        request("POST", "/v1.51/containers/create?name=raw", create, json_type, "Expect: 100-continue"),
        chunked("POST", "/v1.51/containers/create?name=raw", [create[:9], create[9:]], json_type),
        request("POST", "/v1.51/containers/raw/start"),
        request("DELETE", "/v1.51/containers/raw?force=1"),
        request("POST", "/v1.51/auth", b"{}", json_type),
        request("PUT", f"/v1.51/containers/{running}/archive?path=/tmp", tar, tar_type),
        chunked("PUT", f"/v1.51/containers/{running}/archive?path=/tmp", [tar[:700], tar[700:]], tar_type),
        chunked("POST", "/v1.51/images/load?quiet=1", [tar], tar_type),
        request("POST", "/v1.51/session", b"", "Connection: Upgrade", "Upgrade: h2c")
        + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        request("POST", "/v1.51/build", tar, tar_type),
        _PREFACE + b"\0" * 40,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500,
    )


def talk(path: Path, conversation: Conversation) -> bytes:
    """Have a conversation on a connection of its own; what came back while the client listened."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(path))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            _send(connection, conversation)
            return _listen(connection, conversation.ending)
    return b""


def _send(connection: socket.socket, conversation: Conversation) -> None:
    connection.setblocking(False)
    for piece in conversation.pieces:
        rest, deadline = memoryview(piece), time.monotonic() + LEAVE_SECONDS
        while rest and time.monotonic() < deadline:  # the daemon may have stopped reading, and rightly so
            try:
                rest = rest[connection.send(rest) :]
            except BlockingIOError:
                time.sleep(0.005)
        if conversation.pause:
            time.sleep(conversation.pause)
    if conversation.ending == "half-closes":
        connection.shutdown(socket.SHUT_WR)


def _listen(connection: socket.socket, ending: str) -> bytes:
    if ending == "leaves at once":
        return b""
    heard = bytearray()
    connection.settimeout(LEAVE_SECONDS)
    with contextlib.suppress(TimeoutError):
        while len(heard) < HEARD_LIMIT and (piece := connection.recv(100 if ending == "reads slowly" else 1 << 16)):
            heard += piece
            if ending == "leaves" or (len(heard) > 5000 and ending == "reads slowly"):
                break
            if ending == "reads slowly":
                time.sleep(0.002)
    return bytes(heard)


def problems(heard: bytes) -> list[str]:
    """What the daemon should not have said: something that is not HTTP, a failure of its own, a traceback."""
    found = []
    if heard and not heard.startswith(b"HTTP/1."):
        found.append(f"no HTTP: {heard[:200]!r}")
    for match in _STATUS.finditer(heard):
        if match[1] >= b"500" and match[1] not in _ALLOWED:
            found.append(f"{heard[match.start() : match.start() + 500]!r}")
    if b"Traceback (most" in heard:
        found.append("a traceback")
    return found
