"""Measures that move images and files: load, pull, push, save, export, commit, and copies in and out."""

from __future__ import annotations

import os
import statistics
import time
from functools import cache

import images
from engines import Bench
from registries import Registry
from report import Unfit
from rig import image
from rig.http import EngineClient
from steps import create, document, expect, remove, seconds, sleeper, without_error

TAR = {"Content-Type": "application/x-tar"}
FILE_BYTES = 100_000_000


@cache
def large_image() -> bytes:
    return images.archive()


@cache
def large_file() -> bytes:
    """A tar archive of one file of 100 MB."""
    made = image.Layer()
    made.add("large", os.urandom(FILE_BYTES))
    return made.finish()


def remove_image(client: EngineClient, name: str) -> None:
    expect(client.delete(f"/images/{name}?force=1"), 200)
    time.sleep(1)  # bytes that are removed later must not count in what comes next


def taken_in(client: EngineClient, path: str, at_least: int) -> float:
    """Seconds for a download, which is thrown away."""
    began = time.perf_counter()
    answer = expect(client.begin("GET", path), 200)
    size = sum(map(len, client.stream(answer)))
    taken = time.perf_counter() - began
    if size < at_least:
        raise Unfit(f"only {size:,} bytes came")
    return taken


# -- images


def load_large(client: EngineClient) -> None:
    without_error(client.request("POST", "/images/load?quiet=1", large_image(), TAR))


def load(bench: Bench) -> float:
    large_image()
    with bench.engine.client(timeout=300) as client:
        taken = seconds(lambda: load_large(client))
        remove_image(client, images.NAME)
    return taken


def pull(bench: Bench) -> float:
    """Seconds for a pull from docker-registry on the engine's loopback."""
    with Registry(bench) as registry, bench.engine.client(timeout=300) as client:
        registry.fill()
        taken = timed_pull(client, registry)
        remove_image(client, f"{registry.image}:1")
    return taken


def timed_pull(client: EngineClient, registry: Registry) -> float:
    path = f"/images/create?fromImage={registry.image}&tag=1&tlsVerify=false"
    return seconds(lambda: without_error(client.post(path)))


def push(bench: Bench) -> float:
    """Seconds for a push of pulled gzip layers to an empty docker-registry."""
    with Registry(bench) as source, Registry(bench, port=5001) as target, bench.engine.client(timeout=300) as client:
        source.fill()
        timed_pull(client, source)
        expect(client.post(f"/images/{source.image}:1/tag?repo={target.image}&tag=1"), 201)
        path, headers = f"/images/{target.image}/push?tag=1&tlsVerify=false", {"X-Registry-Auth": "e30="}
        taken = seconds(lambda: without_error(client.request("POST", path, None, headers)))
        expect(client.delete(f"/images/{source.image}:1?force=1"), 200)
        remove_image(client, f"{target.image}:1")
    return taken


def ensure_large(client: EngineClient) -> None:
    if client.get(f"/images/{images.NAME}/json").status != 200:
        load_large(client)


def save(bench: Bench) -> float:
    with bench.engine.client(timeout=300) as client:
        ensure_large(client)
        return taken_in(client, f"/images/{images.NAME}/get", images.LAYERS * images.LAYER_BYTES // 2)


# -- containers' files


def export(bench: Bench) -> float:
    """Seconds for the whole root of a container of the large image."""
    with bench.engine.client(timeout=300) as client:
        ensure_large(client)
        identity = create(client, document("true", image=images.NAME))
        taken = taken_in(client, f"/containers/{identity}/export", images.LAYERS * images.LAYER_BYTES // 2)
        expect(client.delete(f"/containers/{identity}"), 200, 204)
    return taken


def put(client: EngineClient, identity: str, archive: bytes) -> None:
    expect(client.request("PUT", f"/containers/{identity}/archive?path=/", archive, TAR), 200)


def commit(bench: Bench) -> float:
    """Seconds to make an image of a container that has 1,400 new files, 30 MB in all."""
    layer = images.layer(0)
    with bench.engine.client(timeout=300) as client:
        identity = create(client, document("true"))
        put(client, identity, layer)
        path = f"/commit?container={identity}&repo=committed&tag=1"
        taken = seconds(lambda: expect(client.post(path), 201))
        remove(client, identity)
        remove_image(client, "committed:1")
    return taken


def copy_in(bench: Bench) -> float:
    archive = large_file()
    with sleeper(bench) as (client, identity):
        return FILE_BYTES / 1e6 / statistics.median(seconds(lambda: put(client, identity, archive)) for _ in range(5))


def copy_out(bench: Bench) -> float:
    with sleeper(bench) as (client, identity):
        put(client, identity, large_file())
        path = f"/containers/{identity}/archive?path=/large"
        return FILE_BYTES / 1e6 / statistics.median(taken_in(client, path, FILE_BYTES) for _ in range(5))
