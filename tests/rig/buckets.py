"""An S3 server on loopback, and storages of the registry in buckets of their own."""

from __future__ import annotations

import secrets
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sampan.registry.storage import Storage


@contextmanager
def serving_buckets() -> Iterator[str]:
    """The address of an S3 server (moto's); skips the test where there is none."""
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def in_new_bucket(address: str) -> Callable[[], Storage]:
    """Makes a bucket; each call of what is returned gives another replica's storage in it."""
    from sampan.registry.storage.s3 import S3Settings, S3Storage

    bucket = f"b-{secrets.token_hex(6)}"
    with urllib.request.urlopen(urllib.request.Request(f"{address}/{bucket}", method="PUT")) as reply:
        assert reply.status == 200
    settings = S3Settings(bucket, "some/prefix", address, access_key_id="x", secret_access_key="y")
    return lambda: S3Storage(settings)
