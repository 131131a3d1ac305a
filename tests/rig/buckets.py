"""An S3 server on loopback, and storages of the registry in buckets of their own."""

from __future__ import annotations

import secrets
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sampan.registry.storage import Storage


@contextmanager
def serving_buckets() -> Iterator[str]:
    """The address of an S3 server (moto's); skips the test where there is none."""
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    from werkzeug.serving import make_server

    # One request at a time: between threads moto's conditional writes are not atomic, as a bucket's are.
    server = make_server("127.0.0.1", 0, moto.DomainDispatcherApplication(moto.create_backend_app), threaded=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


def in_new_bucket(address: str) -> Callable[[], Storage]:
    """Makes a bucket; each call of what is returned gives another replica's storage in it."""
    from sampan.registry.storage.s3 import S3Settings, S3Storage

    bucket = f"b-{secrets.token_hex(6)}"
    with urllib.request.urlopen(urllib.request.Request(f"{address}/{bucket}", method="PUT")) as reply:
        assert reply.status == 200
    settings = S3Settings(bucket, "some/prefix", address, access_key_id="x", secret_access_key="y")
    return lambda: S3Storage(settings)
