"""./dev bench --registry [--rounds N] [--megabytes N] [--write NAME]: our registry and Debian's docker-registry.

Both serve a folder over RAM on loopback, without TLS and accounts. The client is the same for both: raw sockets with as
little code as will do, so that what is measured is the server.
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
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from report import Measure, Report, about, take
from rig.engines import peer_binary
from rig.ramdisk import RamDisk

OURS, THEIRS = "sampan", "docker-registry"
DISK_MEGABYTES = 4000
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
    folder: Path

    def recover(self) -> None:
        """Nothing of a failed measure stays."""

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
    if name == OURS:
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
    server = Server(name, port, process, folder)
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


@contextlib.contextmanager
def disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sampan-bench-registry-") as folder, RamDisk(Path(folder), DISK_MEGABYTES):
        yield Path(folder)


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


def pull(server: Server) -> float:
    """Seconds that crane takes for an image of ten layers, the median of five."""
    return statistics.median(pull_once(server) for _ in range(5))


def pull_once(server: Server) -> float:
    begun = time.perf_counter()
    command = [str(peer_binary("crane")), "pull", "--insecure", "--format", "oci", f"127.0.0.1:{server.port}/bench:ten"]
    subprocess.run([*command, str(server.folder / "pulled")], check=True, capture_output=True)
    elapsed = time.perf_counter() - begun
    shutil.rmtree(server.folder / "pulled")
    return elapsed


def measures(megabytes: int) -> tuple[Measure[Server], ...]:
    size = megabytes << 20

    def put(server: Server) -> float:
        return size / 1e6 / put_blob(server, os.urandom(size))[1]

    def get(server: Server) -> float:
        digest, _ = put_blob(server, os.urandom(size))
        return size / 1e6 / statistics.median(get_blob(server, digest, size) for _ in range(5))

    def manifests(server: Server) -> float:
        return requests_per_second(server, "/v2/bench/manifests/ten")

    def tags(server: Server) -> float:
        return 1000 / requests_per_second(server, "/v2/tags/tags/list", 1, 1.0)

    their = (THEIRS,)
    return (
        Measure("put", f"PUT of a blob of {megabytes} MiB", "MB/s", put, True, factor=1, against=their),
        Measure("get", "GET of it", "MB/s", get, True, factor=1, against=their),
        Measure("manifests", f"manifest GET, {CLIENTS} clients", "/s", manifests, True, factor=1, against=their),
        Measure("tags", f"list of {TAGS:,} tags", "ms", tags, factor=1, against=their),
        Measure("pull", f"pull of {LAYERS} layers of 10 MiB by crane", "s", pull, factor=1, against=their),
        Measure("memory", "resident memory", "MB", lambda server: server.memory, against=their, rounds=1),
    )


def prepare(server: Server) -> None:
    put_image(server, "ten", [os.urandom(10 << 20) for _ in range(LAYERS)])
    digest, _ = put_blob(server, b"{}", "tags")
    for number in range(TAGS):
        put_manifest(server, f"t{number}", [{"digest": digest, "size": 2}], "tags")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--write", metavar="NAME", help="write bench/results/NAME.md and NAME.json")
    chosen = parser.parse_args()
    what = f"Roots on a loop ext4 over RAM; the best of {chosen.rounds} rounds"
    report = Report(about(what, (THEIRS, "crane")), (OURS, THEIRS), chosen.write)
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(serving(name, stack.enter_context(disk()))) for name in report.names]
        for server in servers:
            prepare(server)
        for measure in measures(chosen.megabytes):
            report.add(measure, take(measure, servers, chosen.rounds))
    print(report.summary())


if __name__ == "__main__":
    main()
