"""An engine that does nothing and answers at once: what `docker run` takes with it is the command line's own share."""

from __future__ import annotations

import json
import socketserver
import threading
from pathlib import Path

ID = "0" * 64
JSON = "Content-Type: application/json\r\n"


def answer(status: str, body: str = "", headers: str = JSON) -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Handler(socketserver.StreamRequestHandler):
    """Answers the calls of `docker run --rm`: ping, create, attach, wait, start."""

    def handle(self) -> None:
        started: threading.Event = self.server.started  # type: ignore[attr-defined]
        while request := self.rfile.readline():
            length = 0
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            self.rfile.read(length)
            path = request.split(b" ")[1]
            if b"/_ping" in path:
                self.wfile.write(answer("200 OK", "" if request.startswith(b"HEAD") else "OK", "Api-Version: 1.51\r\n"))
            elif b"/create" in path:
                started.clear()
                self.wfile.write(answer("201 Created", json.dumps({"Id": ID, "Warnings": []})))
            elif b"/attach" in path:
                head = (
                    "Content-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                )
                self.wfile.write(f"HTTP/1.1 101 UPGRADED\r\n{head}\r\n".encode())
                started.wait(10)
                return
            elif b"/wait" in path:
                self.wfile.write(f"HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n".encode())
                started.wait(10)
                body = '{"StatusCode":0}'
                self.wfile.write(f"{len(body):x}\r\n{body}\r\n0\r\n\r\n".encode())
            elif b"/start" in path:
                started.set()
                self.wfile.write(answer("204 No Content", headers=""))
            else:
                self.wfile.write(answer("404 Not Found", '{"message":"page not found"}'))


class InstantEngine(socketserver.ThreadingUnixStreamServer):
    """Serves on a unix socket until it is closed."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.started = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
