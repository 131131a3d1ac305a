"""python bench/registry.py [--rounds N] [--megabytes N]: our registry and Debian's docker-registry, in one run.

Both serve a folder on loopback without TLS and accounts. The client is the same for both: raw sockets with as little
code as will do, so that what is measured is the server. Rounds are interleaved and the best counts.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from rig.engines import peer_binary  # noqa: E402

CLIENTS = 32
SECONDS = 3.0
TAGS = 1000
LAYERS = 10
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Server:
    """A registry under measurement."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def ask(self, head: str, body: bytes | memoryview = b"") -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own."""
        with self.connect() as sock:
            sock.sendall(f"{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode())
            sock.sendall(
                b"Connection: close\r\n"
                + (f"Content-Type: {MANIFEST}\r\n".encode() if b"manifests" in head.encode() else b"")
                + b"\r\n"
            )
            sock.sendall(body)
            answer = b"".join(iter(lambda: sock.recv(1 << 20), b""))
        raw, _, content = answer.partition(b"\r\n\r\n")
        lines = raw.decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:])
        return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in fields.items()}, content

    @property
    def memory(self) -> float:
        """Resident megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def serving(name: str, folder: Path) -> Iterator[Server]:
    port = free_port()
    if name == "sampan":
        command = [sys.executable, "-m", "sampan.cli.main", "registry", "serve", "-q"]
        command += ["--listen", f"127.0.0.1:{port}", "--root", str(folder / "data")]
    else:
        config = folder / "config.yaml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: 127.0.0.1:{port}}}\n"
        )
        command = [str(peer_binary("docker-registry")), "serve", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(name, port, process)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                server.connect().close()
                break
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait()


def put_blob(server: Server, content: bytes | memoryview, repository: str = "bench") -> tuple[str, float]:
    """Push a blob by POST and PUT; its digest, and seconds without our own hashing."""
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    begun = time.perf_counter()
    status, fields, _ = server.ask(f"POST /v2/{repository}/blobs/uploads/")
    assert status == 202, status
    place = urlsplit(fields["location"])
    query = f"{place.query}&" if place.query else ""
    status, _, body = server.ask(f"PUT {place.path}?{query}digest={digest}", content)
    assert status == 201, body
    return digest, time.perf_counter() - begun


def get_blob(server: Server, digest: str, size: int) -> float:
    """Seconds to take a blob in, without keeping it."""
    buffer = bytearray(1 << 20)
    begun = time.perf_counter()
    with server.connect() as sock:
        sock.sendall(f"GET /v2/bench/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(65536)
        taken = len(head.partition(b"\r\n\r\n")[2])
        while taken < size:
            count = sock.recv_into(buffer)
            assert count
            taken += count
    return time.perf_counter() - begun


def requests_per_second(server: Server, path: str, clients: int = CLIENTS, seconds: float = SECONDS) -> float:
    """Requests on kept connections, one at a time on each."""
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {MANIFEST}\r\n\r\n".encode()
    selector = selectors.DefaultSelector()
    sockets = [server.connect() for _ in range(clients)]
    waiting = {}
    with server.connect() as sock:
        sock.sendall(request)
        expected = len(_whole_answer(sock))
    for sock in sockets:
        selector.register(sock, selectors.EVENT_READ)
        waiting[sock] = expected
        sock.sendall(request)
    done = 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for key, _ in selector.select():
            sock = key.fileobj  # type: ignore[assignment]
            waiting[sock] -= len(sock.recv(65536))
            if waiting[sock] <= 0:
                done += 1
                waiting[sock] = expected
                sock.sendall(request)
    elapsed = time.perf_counter() - begun
    for sock in sockets:
        sock.close()
    return done / elapsed


def _whole_answer(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    sized = b"content-length" in fields
    while (len(body) < int(fields[b"content-length"])) if sized else not body.endswith(b"0\r\n\r\n"):
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


def put_image(server: Server, tag: str, layers: list[bytes], repository: str = "bench") -> None:
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    blobs = [config, *layers]
    digests = [put_blob(server, blob, repository)[0] for blob in blobs]
    entries = [{"digest": digest, "size": len(blob)} for digest, blob in zip(digests, blobs, strict=True)]
    put_manifest(server, tag, entries, repository)


def put_manifest(server: Server, tag: str, entries: list[dict[str, object]], repository: str = "bench") -> None:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **entries[0]},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **entry} for entry in entries[1:]],
    }
    status, _, body = server.ask(f"PUT /v2/{repository}/manifests/{tag}", json.dumps(document).encode())
    assert status == 201, body


def pull(server: Server, folder: Path) -> float:
    """Seconds that crane takes for an image of ten layers."""
    begun = time.perf_counter()
    command = [str(peer_binary("crane")), "pull", "--insecure", "--format", "oci", f"127.0.0.1:{server.port}/bench:ten"]
    subprocess.run([*command, str(folder / "pulled")], check=True, capture_output=True)
    elapsed = time.perf_counter() - begun
    shutil.rmtree(folder / "pulled")
    return elapsed


def measures(megabytes: int) -> dict[str, tuple[str, bool, Callable[[Server, Path], float]]]:
    """Name -> unit, whether more is better, and the measure."""
    size = megabytes << 20

    def put(server: Server, folder: Path) -> float:
        return megabytes * 1.048576 / put_blob(server, os.urandom(size))[1]

    def get(server: Server, folder: Path) -> float:
        content = os.urandom(size)
        return megabytes * 1.048576 / get_blob(server, put_blob(server, content)[0], size)

    def manifests(server: Server, folder: Path) -> float:
        return requests_per_second(server, "/v2/bench/manifests/ten")

    def tags(server: Server, folder: Path) -> float:
        return 1000 / requests_per_second(server, "/v2/tags/tags/list", 1, 1.0)

    return {
        "blob PUT": ("MB/s", True, put),
        "blob GET": ("MB/s", True, get),
        f"manifest GET, {CLIENTS} clients": ("/s", True, manifests),
        f"list of {TAGS} tags": ("ms", False, tags),
        f"pull of {LAYERS} layers by crane": ("s", False, pull),
        "resident memory": ("MB", False, lambda server, folder: server.memory),
    }


def prepare(server: Server) -> None:
    put_image(server, "ten", [os.urandom(10 << 20) for _ in range(LAYERS)])
    digest, _ = put_blob(server, b"{}", "tags")
    for number in range(TAGS):
        put_manifest(server, f"t{number}", [{"digest": digest, "size": 2}], "tags")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=256)
    arguments = parser.parse_args()
    names = ("sampan", "docker-registry")
    with tempfile.TemporaryDirectory(prefix="sampan-bench-registry-") as root, contextlib.ExitStack() as stack:
        folders = [Path(root) / name for name in names]
        for folder in folders:
            folder.mkdir()
        servers = [stack.enter_context(serving(*pair)) for pair in zip(names, folders, strict=True)]
        for server in servers:
            prepare(server)
        print(f"{'':32} {'unit':>5} " + " ".join(f"{name:>16}" for name in names) + "   times")
        for title, (unit, more, measure) in measures(arguments.megabytes).items():
            taken = {server.name: [] for server in servers}  # type: dict[str, list[float]]
            for _ in range(arguments.rounds):
                for server, folder in zip(servers, folders, strict=True):
                    taken[server.name].append(measure(server, folder))
            best = [max(taken[name]) if more else min(taken[name]) for name in names]
            times = best[0] / best[1] if more else best[1] / best[0]
            print(
                f"{title:32} {unit:>5} " + " ".join(f"{value:16.2f}" for value in best) + f"   {times:.2f}", flush=True
            )


if __name__ == "__main__":
    main()
