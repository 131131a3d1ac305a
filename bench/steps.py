"""The steps that measures are made of: calls to an engine, and the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from engines import IMAGE, Bench
from report import Unfit
from rig.http import Answer, EngineClient


def expect(answer: Answer, *statuses: int) -> Answer:
    if answer.status not in statuses:
        raise Unfit(f"{answer.status} {answer.message[:60]}")
    return answer


def without_error(answer: Answer) -> None:
    """For streams of progress, which name their error in a line."""
    if answer.status != 200 or b'"error"' in answer.body:
        raise Unfit((answer.body.splitlines() or [b""])[-1].decode()[:80])


def document(*command: str, network: str = "none", image: str = IMAGE, **host: Any) -> dict[str, Any]:
    return {"Image": image, "Cmd": list(command), "HostConfig": {"NetworkMode": network, **host}}


def create(client: EngineClient, wanted: dict[str, Any]) -> str:
    return str(expect(client.post("/containers/create", wanted), 201).json()["Id"])


def start(client: EngineClient, identity: str) -> None:
    expect(client.post(f"/containers/{identity}/start"), 204)


def remove(client: EngineClient, identity: str) -> None:
    client.post(f"/containers/{identity}/kill")  # podman's forced removal waits ten seconds first
    client.delete(f"/containers/{identity}?force=1&v=1")


def one_life(client: EngineClient, wanted: dict[str, Any]) -> None:
    """create, start, wait, remove."""
    identity = create(client, wanted)
    start(client, identity)
    expect(client.post(f"/containers/{identity}/wait"), 200)
    expect(client.delete(f"/containers/{identity}"), 200, 204)


@contextmanager
def sleeper(bench: Bench) -> Iterator[tuple[EngineClient, str]]:
    """A running container that does nothing."""
    with bench.engine.client(timeout=300) as client:
        identity = create(client, document("sleep", "100000"))
        try:
            start(client, identity)
            yield client, identity
        finally:
            remove(client, identity)


def seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def milliseconds(function: Callable[[], object], times: int, warm_up: int = 2) -> float:
    """The median of `times` calls."""
    for _ in range(warm_up):
        function()
    return statistics.median(seconds(function) for _ in range(times)) * 1000
