"""Bad input by the thousand: no traceback, no 500, no connection that hangs, nothing that stays.

The whole server on a unix socket, on services that answer; a seeded fuzzer sends heads, queries and bodies that are
cut, doubled, swapped and spoilt. SAMPAN_TEST_FUZZ_SECONDS runs on for that long, with new seeds.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from sampan.engine.containers.service import LogStream
from sampan.http import Duplex
from sampan.server import Backends, RouteTable, build_routes
from sampan.wire.containers import (
    ContainerInspect,
    CreateResponse,
    PathStat,
    PruneReport,
    TopResponse,
    UpdateResponse,
    WaitResponse,
)
from sampan.wire.disk import BuildPruneReport, DiskUsage
from sampan.wire.distribution import AuthResponse, DistributionInspect
from sampan.wire.exec import ExecInspect
from sampan.wire.images import CommitResponse, ImageInspect
from sampan.wire.images import PruneReport as ImagePruneReport
from sampan.wire.networks import Network, NetworkCreateResponse
from sampan.wire.networks import PruneReport as NetworkPruneReport
from sampan.wire.system import Info, Version
from sampan.wire.volumes import PruneReport as VolumePruneReport
from sampan.wire.volumes import Volume, VolumeList

SEED = int(os.environ.get("SAMPAN_TEST_FUZZ_SEED", "20261125"))
SECONDS = float(os.environ.get("SAMPAN_TEST_FUZZ_SECONDS", "0"))
ROUNDS = 4000


async def of(*items: bytes) -> AsyncIterator[bytes]:
    for item in items:
        yield item


async def drained(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Takes a body in, and says that it did."""
    async for _ in body:
        pass
    yield b"{}\r\n"


class Echo:
    """A session that sends back what it gets."""

    tty = False

    async def run(self, stream: Duplex) -> None:
        while data := await stream.read(1000):
            await stream.write(data)


def prepare(api) -> None:
    """Services that answer, and read the bodies they are given."""
    answers = {
        "system": {"version": Version(), "info": Info()},
        "usage": {"disk_usage": DiskUsage()},
        "containers": {
            "create": CreateResponse(),
            "list": [],
            "list_with_sizes": [],
            "inspect": ContainerInspect(),
            "prune": PruneReport(),
        },
        "control": {"update": UpdateResponse()},
        "observe": {"top": TopResponse()},
        "archives": {"changes": [], "archive_stat": PathStat()},
        "commit": {"commit": CommitResponse()},
        "execs": {"exec_create": "e", "exec_start": Echo(), "exec_inspect": ExecInspect()},
        "images": {
            "list": [],
            "inspect": ImageInspect(),
            "history": [],
            "remove": [],
            "prune": ImagePruneReport(),
        },
        "registry": {"search": [], "distribution": DistributionInspect(), "authenticate": AuthResponse()},
        "build": {"prune_cache": BuildPruneReport()},
        "volumes": {"list": VolumeList(), "inspect": Volume(), "create": Volume(), "prune": VolumePruneReport()},
        "networks": {
            "list": [],
            "inspect": Network(),
            "create": NetworkCreateResponse(),
            "prune": NetworkPruneReport(),
        },
        "attach": {"attach": Echo()},
    }
    for service, methods in answers.items():
        for method, answer in methods.items():
            getattr(api.backends[service], method).return_value = answer
    api.containers.wait.side_effect = waiting
    api.events.subscribe.side_effect = lambda *args: of()
    api.observe.stats.side_effect = lambda *args: of()
    api.archives.export.side_effect = lambda *args: of(b"tar")
    api.archives.archive_get.side_effect = lambda *args: (PathStat(), of(b"tar"))
    api.archives.archive_put.side_effect = put
    api.images.save.side_effect = lambda *args: of(b"tar")
    api.images.load.side_effect = lambda body, *args: drained(body)
    api.attach.logs.side_effect = lambda *args: LogStream(False, of(b"log"))
    api.sources.pull.side_effect = lambda *args: of(b"{}\r\n")
    api.sources.import_.side_effect = lambda source, **options: drained(of() if isinstance(source, str) else source)
    api.registry.push.side_effect = lambda *args: of(b"{}\r\n")
    api.build.build.side_effect = lambda options, context, *args: drained(context)


async def waiting(*arguments: object):
    async def exit() -> WaitResponse:
        return WaitResponse()

    return asyncio.ensure_future(exit())


async def put(ref: str, path: str, body: AsyncIterator[bytes], *flags: bool) -> None:
    async for _ in body:
        pass


WORDS = ["", "1", "0", "true", "x", "-1", "99999999999999999999", "é", "\0", "\n", "a b", "../..", "%", '{"a":["b"]}']
WORDS += [
    '{"a":{"b":true}}',
    "{",
    "[]",
    "[" * 2000,
    "9" * 500,
    "NaN",
    "null",
    "\udcff",
    "💥",
    "2020-01-01",
    "1.5",
    "10m",
]
KEYS = (
    "all limit size filters name platform t signal h w condition v force link stdout stderr stdin stream follow since"
)
KEYS += " until tail timestamps details detachKeys ps_args one-shot path pause changes tag repo fromSrc fromImage term"
KEYS += " quiet names verbose scope version remote type timeout status checkpoint logs noOverwriteDirNonDir"
BODIES = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b"{",
    b'{"Image":"b"}',
    b'{"Image":3}',
    b'{"HostConfig":{"Mounts":[{}]}}',
    b"\xff",
]
BODIES += [
    b'{"Cmd":["x"]}',
    b'{"Container":"c"}',
    b'{"Name":"n"}',
    b"{}{}",
    b"[" * 5000,
    b'{"a":' * 5000,
    b"x" * 70_000,
]
BODIES += [b'{"NetworkingConfig":{"EndpointsConfig":{"a":null,"b":{}}},"Image":"b"}', b'{"Tty":1e400}', b'"\\ud800"']
FIELDS = [b"Content-Type: application/json", b"Content-Type: text/plain", b"Content-Type: ;;", b"Expect: 100-continue"]
FIELDS += [b"Expect: x", b"Connection: close", b"Connection: Upgrade\r\nUpgrade: tcp", b"Upgrade: h2c", b"Host: y"]
FIELDS += [
    b"X-Registry-Auth: e30=",
    b"X-Registry-Auth: \xff\xfe",
    b"X-Registry-Config: W10=",
    b"Transfer-Encoding: gzip",
]
FIELDS += [b"Content-Length: -1", b"Content-Length: 1e3", b"A" * 3000 + b": b", b"NoColon", b": empty", b"A: \x01"]
FIELDS += [b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA=="]


class Fuzzer:
    """Makes requests that are wrong in ways of a seed."""

    def __init__(self, seed: int, table: RouteTable) -> None:
        self.random = random.Random(seed)
        self.routes = [(route.method, route.pattern) for route in table]

    def request(self) -> bytes:
        data = self._head() + self._body()
        return self._spoilt(data) if self.random.random() < 0.5 else data

    def _head(self) -> bytes:
        method, pattern = self.random.choice(self.routes)
        path = pattern.replace("{id}", self._text()).replace("{name}", self._text()).replace("{any}", "x")
        prefix = self.random.choice(["/v1.51", "/v1.51", "/v1.41", "/v1.24", "/v1.23", "/v9", "", "/v", "/v1..", "//"])
        keys = self.random.sample(KEYS.split(), self.random.randint(0, 3))
        query = "&".join(f"{key}={self._text()}" for key in keys)
        if self.random.random() < 0.1:
            method = self.random.choice(["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE", "NOPE"])
        version = self.random.choice([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/2.0"])
        target = f"{prefix}{path}?{query}".encode("utf-8", "surrogateescape")
        return method.encode() + b" " + target + b" " + version + b"\r\nHost: x\r\n"

    def _text(self) -> str:
        return quote(self.random.choice(WORDS).encode("utf-8", "surrogateescape"), safe="/") or "x"

    def _body(self) -> bytes:
        fields = b"".join(
            field + b"\r\n" for field in self.random.sample(FIELDS, self.random.choice([0, 0, 1, 1, 2, 4]))
        )
        body = self.random.choice(BODIES)
        kind = self.random.randint(0, 4)
        if kind == 0:
            return fields + b"\r\n"
        if self.random.random() < 0.7:
            fields += b"Content-Type: application/json\r\n"
        if kind == 1:
            return fields + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        return fields + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    def _spoilt(self, data: bytes) -> bytes:
        at, other = (self.random.randrange(len(data) + 1) for _ in range(2))
        kind = self.random.randint(0, 4)
        if kind == 0:
            return data[:at]
        if kind == 1:
            return data[:at] + self.random.randbytes(self.random.randint(1, 20)) + data[at:]
        if kind == 2:
            return data[:at] + data[at + self.random.randint(1, 5) :]
        if kind == 3:
            return data[: max(at, other)] + data[min(at, other) :]
        return data + data[: at // 2]


async def attack(path: Path, data: bytes, hangs_up: bool) -> bytes:
    """Send, end our side (or hang up at once), and return all that comes back."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(data)
        if hangs_up:
            return b""
        writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read()
    except (ConnectionError, BrokenPipeError):
        return b""
    finally:
        writer.close()


def memory() -> int:
    """Bytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def storm(path: Path, fuzzer: Fuzzer, rounds: int) -> None:
    for _ in range(rounds):
        data = fuzzer.request()
        reply = await attack(path, data, fuzzer.random.random() < 0.05)
        assert b" 500 " not in reply.split(b"\r\n", 1)[0], (data, reply)
        assert b"Traceback" not in reply, (data, reply)
        assert b"internal error" not in reply, (data, reply)


async def test_bad_input(api, tmp_path: Path, caplog):
    print(f"seed {SEED}")
    prepare(api)
    path = tmp_path / "s"
    await api.server.listen_unix(path)
    fuzzer = Fuzzer(SEED, build_routes(Backends()))
    with caplog.at_level(logging.WARNING):
        await storm(path, fuzzer, ROUNDS)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            forget_calls(api)
            await storm(path, fuzzer, ROUNDS)
    assert caplog.records == []
    await api.server.close(grace=0)


def forget_calls(api) -> None:
    """Mocks remember every call."""
    for service in api.backends.values():
        service.reset_mock()


async def test_memory_stays_flat_under_bad_input(api, tmp_path: Path):
    prepare(api)
    path = tmp_path / "s"
    await api.server.listen_unix(path)

    async def settled() -> tuple[int, int]:
        forget_calls(api)
        await asyncio.sleep(0.6)
        gc.collect()
        return memory(), len(os.listdir("/proc/self/fd"))

    fuzzer = Fuzzer(SEED + 1, build_routes(Backends()))
    await storm(path, fuzzer, 500)
    before, descriptors = await settled()
    await storm(path, fuzzer, 2500)
    after, descriptors_after = await settled()
    assert after - before < 6_000_000
    assert descriptors_after <= descriptors
    await api.server.close(grace=0)


async def test_slow_and_silent_clients_hold_nobody_up(api, tmp_path: Path):
    prepare(api)
    path = tmp_path / "s"
    await api.server.listen_unix(path)
    silent = [await asyncio.open_unix_connection(str(path)) for _ in range(200)]
    for index, (_, writer) in enumerate(silent):
        writer.write(b"POST /v1.51/containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"[: index % 80])
    reply = await attack(path, b"GET /v1.51/containers/json HTTP/1.1\r\nHost: x\r\n\r\n", hangs_up=False)
    assert reply.endswith(b"\r\n\r\n[]\n")
    for _, writer in silent:
        writer.close()
    await api.server.close(grace=0)
