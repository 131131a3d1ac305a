"""Registries as processes: replicas on one bucket, killed under an upload, and weighed with a large one."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import bcrypt
import pytest

from rig.buckets import BUCKET, KEY, KEY_ID
from sampan.oci import mediatypes

pytestmark = pytest.mark.timeout(300)

MIB = 1 << 20
CONFIG = """
listen = "127.0.0.1:0"
[auth]
htpasswd = "{folder}/users"
key = "{folder}/token-key.pem"
[storage.s3]
bucket = "{bucket}"
prefix = "{prefix}"
endpoint = "{endpoint}"
access_key_id = "{key_id}"
secret_access_key = "{key}"
"""


class Replica:
    """`sampan registry serve` on a port that it chose itself."""

    def __init__(self, config: Path, folder: Path) -> None:
        self._log = folder / f"log-{secrets.token_hex(4)}"
        command = [sys.executable, "-m", "sampan.cli.main", "registry", "serve", "--config", str(config)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.port = self._port()

    def _port(self) -> int:
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", self._log.read_text()):
                return int(found[1])
            time.sleep(0.05)
        raise AssertionError(self._log.read_text())

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)

    def ask(self, method: str, path: str, body: object = None, token: str = "", **headers: str):
        """(status, headers, body) of one request."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            fields["Authorization"] = f"Bearer {token}"
        connection = self.connect()
        try:
            connection.request(method, path, body, fields)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def token(self, name: str) -> str:
        basic = "Basic " + base64.b64encode(b"user:secret").decode()
        path = f"/token?service=sampan-registry&scope=repository:{name}:pull,push"
        status, _, body = self.ask("GET", path, Authorization=basic)
        assert status == 200, body
        return json.loads(body)["token"]

    def peak(self) -> int:
        """The most bytes that were resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


@pytest.fixture
def replicas(s3_server, tmp_path) -> Iterator[tuple[Replica, Replica]]:
    """Two that share a bucket, the key of their tokens and the users, and nothing else."""
    (tmp_path / "users").write_text(f"user:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n")
    config = tmp_path / "config.toml"
    place = {"bucket": BUCKET, "prefix": f"processes/{secrets.token_hex(6)}", "endpoint": s3_server}
    config.write_text(CONFIG.format(folder=tmp_path, key_id=KEY_ID, key=KEY, **place))
    one = Replica(config, tmp_path)
    try:
        two = Replica(config, tmp_path)
        try:
            yield one, two
        finally:
            two.kill()
    finally:
        one.kill()


def test_another_replica_goes_on_with_the_upload_of_one_that_was_killed(replicas):
    one, two = replicas
    content = os.urandom(12 * MIB)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    token = one.token("a/b")
    _, headers, _ = one.ask("POST", "/v2/a/b/blobs/uploads/", b"", token)
    place = headers["Location"]
    half = 5 * MIB
    assert one.ask("PATCH", place, content[:half], token, Content_Range=f"0-{half - 1}")[0] == 202
    connection = one.connect()
    connection.putrequest("PATCH", place)
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Content-Length", str(len(content) - half))
    connection.endheaders(content[half : half + MIB])
    one.kill()
    with suppress(OSError, http.client.HTTPException):
        connection.getresponse()
    connection.close()

    status, headers, _ = two.ask("GET", place, token=token)
    assert (status, headers["Range"]) == (204, f"0-{half - 1}")
    assert two.ask("GET", f"/v2/a/b/blobs/{digest}", token=token)[0] == 404
    ending = f"{place}?digest={digest}"
    assert two.ask("PUT", ending, content[half:], token, Content_Range=f"{half}-{len(content) - 1}")[0] == 201
    assert two.ask("GET", f"/v2/a/b/blobs/{digest}", token=token)[2] == content

    entry = {"mediaType": mediatypes.OCI_CONFIG, "digest": digest, "size": len(content)}
    manifest = {"schemaVersion": 2, "mediaType": mediatypes.OCI_MANIFEST, "config": entry, "layers": []}
    path = "/v2/a/b/manifests/t"
    assert two.ask("PUT", path, json.dumps(manifest), token, Content_Type=mediatypes.OCI_MANIFEST)[0] == 201
    assert json.loads(two.ask("GET", path, token=token)[2]) == manifest


def test_a_large_upload_and_download_take_little_memory(replicas):
    """Bytes flow through: 128 MiB raise the peak by the few parts in flight only."""
    one, two = replicas
    size, piece = 128 * MIB, os.urandom(MIB)
    state = hashlib.sha256()
    for _ in range(size // MIB):
        state.update(piece)
    digest = f"sha256:{state.hexdigest()}"
    token = one.token("large")
    _, headers, _ = one.ask("POST", "/v2/large/blobs/uploads/", b"", token)
    before = [replica.peak() for replica in replicas]
    body = (piece for _ in range(size // MIB))
    place = headers["Location"]
    assert one.ask("PATCH", place, body, token, Content_Length=str(size))[0] == 202
    assert one.ask("PUT", f"{place}?digest={digest}", b"", token)[0] == 201
    connection = two.connect()
    connection.request("GET", f"/v2/large/blobs/{digest}", headers={"Authorization": f"Bearer {token}"})
    reply = connection.getresponse()
    assert (reply.status, reply.headers["Content-Length"]) == (200, str(size))
    received = hashlib.sha256()
    while part := reply.read(MIB):
        received.update(part)
    connection.close()
    assert received.hexdigest() == state.hexdigest()
    grown = [replica.peak() - was for replica, was in zip(replicas, before, strict=True)]
    assert max(grown) < size * 3 // 4
