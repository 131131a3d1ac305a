"""Many, long and violent: whole with `--long`, a part of it else. Seeds are printed."""

from __future__ import annotations

import asyncio
import os
import random

import pytest
from monitor_kit import Kit, read_all, unframe

from sampan.monitor.client import Channel

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

LINE = b"x" * 99 + b"\n"


@pytest.fixture
async def kit():
    kit = Kit()
    await kit.client.ensure()
    yield kit
    await kit.stop()


@pytest.fixture
def chance():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


async def test_many_at_once(kit: Kit, long_run: bool, chance: random.Random):
    """Containers and commands in them come and go side by side, each with its own exit code and log."""
    total = 200 if long_run else 30
    limit = asyncio.Semaphore(10)

    async def one(number: int) -> None:
        async with limit:
            code = chance.randrange(256)
            info = await kit.run("/bin/sh", "-c", f"echo {number}; exit {code}", name=f"n{number}")
            assert info.exit_code == code
            assert kit.read_log(f"n{number}", "json-file") == b"%d\n" % number

    await asyncio.gather(*(one(number) for number in range(total)))


async def test_many_stay_and_cost_little(kit: Kit, long_run: bool):
    """At most 15 MB for the monitor and 150 KB more for each container."""
    total = 200 if long_run else 40
    limit = asyncio.Semaphore(10)
    before = resident(kit.client.pid)

    async def one() -> None:
        async with limit:
            await kit.client.start(kit.request("/bin/sleep", "1000"))

    await asyncio.gather(*(one() for _ in range(total)))
    assert before < 15_000 and resident(kit.client.pid) - before < 150 * total
    assert sum(info.state == "running" for info in await kit.client.ensure()) == total
    await kit.kill_monitor()
    assert sum(info.state == "running" for info in await kit.client.ensure()) == total


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:  # noqa: PTH123
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.parametrize(("line", "size"), [(LINE, 1 << 27), (b"y\n", 1 << 24)], ids=["lines of 100", "lines of 2"])
async def test_long_output_reaches_log_and_client_whole(kit: Kit, long_run: bool, line: bytes, size: int):
    count = (size if long_run else size // 10) // len(line)
    (kit.image / "output").write_bytes(line * count)
    channel = Channel(stdin=False, stdout=True, stderr=True)
    options = {"max_size": 20_000_000, "max_file": 1000, "compress": False}
    request = kit.request("/bin/cat", "/output", log_options=options)
    reading = asyncio.create_task(read_all(channel))
    await kit.client.start(request, [channel])
    await kit.exited(request.id)
    assert unframe(await reading)[1] == line * count
    assert kit.read_log(request.id, "json-file") == line * count


async def test_writers_without_pause_while_monitors_die(kit: Kit, long_run: bool, chance: random.Random):
    deaths = 50 if long_run else 5
    options = {"max_size": 2_000_000, "max_file": 1000, "compress": True}
    count = "while :; do echo $((i=i+1)); done"
    drivers = ["json-file", "local", "json-file"]
    requests = [kit.request("/bin/sh", "-c", count, driver=driver, log_options=options) for driver in drivers]
    infos = [await kit.client.start(request) for request in requests]
    for _ in range(deaths):
        await asyncio.sleep(chance.random() * 0.2)
        await kit.kill_monitor()
    alive = {info.id: info.pid for info in await kit.client.ensure()}
    assert [alive[info.id] for info in infos] == [info.pid for info in infos]
    for info in infos:
        os.kill(info.pid, 9)
    for request, driver in zip(requests, drivers, strict=True):
        assert (await kit.exited(request.id)).exit_code == 137
        numbers = kit.read_log(request.id, driver).split(b"\n")
        assert numbers[-1] == b"" and len(numbers) > 100
        assert numbers[:-1] == [b"%d" % number for number in range(1, len(numbers))]
