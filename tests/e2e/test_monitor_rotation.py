"""Rotation and compression while a container writes, a reader follows and monitors die."""

from __future__ import annotations

import asyncio
import os
import random

import pytest
from monitor_kit import Kit

from sampan.monitor.logs import LogQuery, open_logs

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

LINES = b"".join(b"%d\n" % number for number in range(1, 400001))


@pytest.fixture
async def kit():
    kit = Kit()
    await kit.client.ensure()
    yield kit
    await kit.stop()


async def follow(path, driver, ended) -> bytes:
    query = LogQuery(follow=True, raw=True)
    return b"".join([batch async for batch in open_logs(path, driver, query, ended)])


@pytest.mark.parametrize("driver", ["json-file", "local"])
@pytest.mark.parametrize("deaths", [0, 5])
async def test_a_follower_sees_all_of_a_log_that_rotates(kit: Kit, driver: str, deaths: int):
    options = {"max_size": 500_000, "max_file": 200, "compress": True}
    request = kit.request("/bin/sh", "-c", "seq 1 400000", driver=driver, log_options=options)
    ended = asyncio.Event()
    following = asyncio.create_task(follow(kit.log_path(request.id), driver, ended))
    await kit.client.start(request)
    for _ in range(deaths):
        await asyncio.sleep(random.random() * 0.05)
        await kit.kill_monitor()
    await kit.exited(request.id)
    ended.set()
    assert await following == LINES
    assert kit.read_log(request.id, driver) == LINES
    assert kit.log_path(request.id).with_name(f"{request.id}.log.1").exists() or list(
        kit.log_path(request.id).parent.glob("*.gz")
    )


async def test_the_newest_part_of_a_bounded_log_stays(kit: Kit):
    options = {"max_size": 100_000, "max_file": 3, "compress": False}
    request = kit.request("/bin/sh", "-c", "seq 1 400000", log_options=options)
    await kit.client.start(request)
    await kit.exited(request.id)
    names = {path.name for path in kit.log_path(request.id).parent.iterdir()}
    assert names == {f"{request.id}.log", f"{request.id}.log.1", f"{request.id}.log.2"}
    kept = kit.read_log(request.id, "json-file")
    assert LINES.endswith(kept) and len(kept) > 10_000
