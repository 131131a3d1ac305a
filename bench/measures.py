"""What is measured. Each measure is a function from an engine under measurement to one number.

`MEASURES` names them in the order in which they are shown, with the unit, whether more is better, and what is required
of sampand: `limit` (an absolute bound) and `factor` (how many times better than the better of the `against` engines).
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import images
from engines import IMAGE, Bench
from instant import InstantEngine
from registries import Registry
from rig.engines import Sampand, peer_binary
from rig.http import EngineClient

UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
STREAM_BYTES = 256 << 20
LINE = b"%099d\n"


class Unfit(Exception):
    """The engine can't do what is measured; the words stand in its place in the table."""


@dataclass(frozen=True)
class Measure:
    name: str
    title: str
    unit: str
    function: Callable[[Bench], float]
    more_is_better: bool = False
    limit: float | None = None
    factor: float | None = None
    against: tuple[str, ...] = ("dockerd",)
    only: tuple[str, ...] | None = None
    rounds: int = 3


# -- helpers


def document(*command: str, network: str = "none", **options: Any) -> dict[str, Any]:
    host = {"NetworkMode": network, **options.pop("HostConfig", {})}
    return {"Image": IMAGE, "Cmd": list(command), "HostConfig": host, **options}


def expect(answer: Any, *statuses: int) -> Any:
    if answer.status not in statuses:
        raise Unfit(f"{answer.status} {answer.message[:60]}")
    return answer


def create(client: EngineClient, wanted: dict[str, Any]) -> str:
    return str(expect(client.post("/containers/create", wanted), 201).json()["Id"])


def start(client: EngineClient, identity: str) -> None:
    expect(client.post(f"/containers/{identity}/start"), 204)


def milliseconds(function: Callable[[], object], times: int, warm_up: int = 2) -> float:
    """The median of `times` calls."""
    for _ in range(warm_up):
        function()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def one_life(client: EngineClient, wanted: dict[str, Any]) -> None:
    """create, start, wait, remove."""
    identity = create(client, wanted)
    start(client, identity)
    expect(client.post(f"/containers/{identity}/wait"), 200)
    expect(client.delete(f"/containers/{identity}"), 200, 204)


# -- lives of containers


def api_run(network: str) -> Callable[[Bench], float]:
    def measure(bench: Bench) -> float:
        with bench.engine.client() as client:
            wanted = document("/bin/true", network=network)
            return milliseconds(lambda: one_life(client, wanted), 30)

    return measure


def docker_run(host: str, times: int = 12) -> float:
    docker = peer_binary("docker")
    environment = {"DOCKER_HOST": host, "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}
    command = [docker, "run", "--rm", "--net=none", IMAGE, "/bin/true"]

    def once() -> None:
        done = subprocess.run(command, env=environment, capture_output=True)
        if done.returncode:
            raise Unfit(done.stderr.decode()[:80])

    return milliseconds(once, times)


def own_share() -> float:
    """What the command line takes with an engine that answers at once, in ms."""
    with tempfile.TemporaryDirectory(prefix="sampan-bench-instant-") as folder:
        instant = InstantEngine(Path(folder) / "sock")
        try:
            return docker_run(f"unix://{folder}/sock")
        finally:
            instant.close()


def cli_run(bench: Bench) -> float:
    return docker_run(bench.engine.host) - own_share()


def exec_true(bench: Bench) -> float:
    with bench.engine.client() as client:
        identity = create(client, document("sleep", "100000"))
        start(client, identity)

        def once() -> None:
            wanted = {"Cmd": ["/bin/true"], "AttachStdout": True, "AttachStderr": True}
            made = expect(client.post(f"/containers/{identity}/exec", wanted), 201).json()["Id"]
            with bench.engine.client() as runner:
                expect(runner.begin("POST", f"/exec/{made}/start", {"Detach": False}, UPGRADE), 101, 200)
                connection, _ = runner.hijack()
                with connection:
                    while connection.recv(65536):
                        pass

        try:
            return milliseconds(once, 30)
        finally:
            client.delete(f"/containers/{identity}?force=1")


# -- images


def load(bench: Bench) -> float:
    data = large_image()
    with bench.engine.client(timeout=300) as client:
        began = time.perf_counter()
        answer = client.request("POST", "/images/load?quiet=1", data, {"Content-Type": "application/x-tar"})
        taken = time.perf_counter() - began
        if answer.status != 200 or b'"error"' in answer.body:
            raise Unfit(answer.message[:80])
        expect(client.delete(f"/images/{images.NAME}?force=1"), 200)
        time.sleep(1)  # bytes that are removed later must not count in what comes next
    return taken


def without_error(answer: Any) -> None:
    if answer.status != 200 or b'"error"' in answer.body:
        raise Unfit((answer.body.splitlines() or [b""])[-1].decode()[:80])


def pull(bench: Bench) -> float:
    """Seconds for a pull from docker-registry on the engine's loopback."""
    with Registry(bench) as registry, bench.engine.client(timeout=300) as client:
        registry.fill()
        taken = timed_pull(client, registry)
        expect(client.delete(f"/images/{registry.image}:1?force=1"), 200)
        time.sleep(1)
    return taken


def timed_pull(client: EngineClient, registry: Registry) -> float:
    began = time.perf_counter()
    without_error(client.post(f"/images/create?fromImage={registry.image}&tag=1&tlsVerify=false"))
    return time.perf_counter() - began


def push(bench: Bench) -> float:
    """Seconds for a push of pulled gzip layers to an empty docker-registry."""
    with Registry(bench) as source, Registry(bench, port=5001) as target, bench.engine.client(timeout=300) as client:
        source.fill()
        timed_pull(client, source)
        expect(client.post(f"/images/{source.image}:1/tag?repo={target.image}&tag=1"), 201)
        began = time.perf_counter()
        headers = {"X-Registry-Auth": "e30="}
        without_error(client.request("POST", f"/images/{target.image}/push?tag=1&tlsVerify=false", None, headers))
        taken = time.perf_counter() - began
        for image in (source.image, target.image):
            expect(client.delete(f"/images/{image}:1?force=1"), 200)
        time.sleep(1)
    return taken


_cache: dict[str, bytes] = {}


def large_image() -> bytes:
    if "large" not in _cache:
        _cache["large"] = images.archive()
    return _cache["large"]


# -- streams


def lines_file(bench: Bench) -> Path:
    path = bench.disk.path / "lines" / "lines"
    if not path.exists():
        path.parent.mkdir()
        count = STREAM_BYTES // 100
        with path.open("wb") as file:
            for begin in range(0, count, 10_000):
                file.write(b"".join(LINE % number for number in range(begin, min(begin + 10_000, count))))
    return path


def talker(bench: Bench, client: EngineClient) -> str:
    """A created container that prints the lines."""
    bind = {"Binds": [f"{lines_file(bench).parent}:/lines:ro"]}
    return create(client, document("cat", "/lines/lines", HostConfig=bind))


def payload(data: bytes | bytearray) -> int:
    """Bytes of output in a multiplexed stream."""
    total = position = 0
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "big")
        total += length
        position += 8 + length
    return total


def rate(received: bytearray, taken: float) -> float:
    whole = STREAM_BYTES // 100 * 100
    if (got := payload(received)) != whole:
        raise Unfit(f"lost {whole - got:,} of {whole:,} bytes")
    return whole / taken / 1e6


def by_attach(bench: Bench) -> float:
    with bench.engine.client(timeout=300) as client, bench.engine.client(timeout=300) as attached:
        identity = talker(bench, client)
        path = f"/containers/{identity}/attach?stream=1&stdout=1&stderr=1"
        expect(attached.begin("POST", path, None, UPGRADE), 101, 200)
        connection, early = attached.hijack()
        received = bytearray(early)
        with connection:
            began = time.perf_counter()
            start(client, identity)
            while data := connection.recv(1 << 20):
                received += data
            taken = time.perf_counter() - began
        client.delete(f"/containers/{identity}?force=1")
    return rate(received, taken)


def read_logs(bench: Bench, identity: str, flags: str) -> bytearray:
    with bench.engine.client(timeout=300) as reader:
        answer = expect(reader.begin("GET", f"/containers/{identity}/logs?stdout=1&stderr=1{flags}"), 200)
        received = bytearray()
        for data in reader.stream(answer):
            received += data
        return received


def by_follow(bench: Bench) -> float:
    with bench.engine.client(timeout=300) as client:
        identity = talker(bench, client)
        began = time.perf_counter()
        start(client, identity)
        received = read_logs(bench, identity, "&follow=1")
        taken = time.perf_counter() - began
        client.delete(f"/containers/{identity}?force=1")
    return rate(received, taken)


def read_back(bench: Bench) -> float:
    with bench.engine.client(timeout=300) as client:
        identity = talker(bench, client)
        start(client, identity)
        client.post(f"/containers/{identity}/wait")
        began = time.perf_counter()
        received = read_logs(bench, identity, "")
        taken = time.perf_counter() - began
        client.delete(f"/containers/{identity}?force=1")
    return rate(received, taken)


# -- many containers


def grow_to(client: EngineClient, count: int) -> None:
    """Stopped containers up to this number."""
    have = len(client.get("/containers/json?all=1").json())
    for _ in range(count - have):
        create(client, document("/bin/true"))


def list_at(count: int) -> Callable[[Bench], float]:
    def measure(bench: Bench) -> float:
        with bench.engine.client(timeout=300) as client:
            grow_to(client, count)
            return milliseconds(lambda: client.get("/containers/json?all=1"), 15)

    return measure


def run_at(count: int) -> Callable[[Bench], float]:
    def measure(bench: Bench) -> float:
        with bench.engine.client(timeout=300) as client:
            grow_to(client, count)
            return milliseconds(lambda: one_life(client, document("/bin/true")), 15)

    return measure


def start_to_ping(count: int) -> Callable[[Bench], float]:
    def measure(bench: Bench) -> float:
        with bench.engine.client(timeout=300) as client:
            grow_to(client, count)
        bench.engine.terminate()
        bench.engine.start(wait=False)
        began = time.perf_counter()
        with bench.engine.client() as client:
            client.until_answer()
        return (time.perf_counter() - began) * 1000

    return measure


# -- memory


def resident(pid: int) -> float:
    """Resident megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def engine_pid(bench: Bench) -> int:
    """The engine itself, which the peers' script execs in the end."""
    return bench.engine.pid


def idle_memory(bench: Bench) -> float:
    bench.engine.restart()
    with bench.engine.client() as client:
        client.get("/containers/json")
    return resident(engine_pid(bench))


def monitor_of(bench: Bench) -> int:
    assert isinstance(bench.engine, Sampand)
    pid = bench.engine.monitor_pid()
    if pid is None:
        raise Unfit("no monitor")
    return pid


def monitor_memory(bench: Bench) -> float:
    with bench.engine.client() as client:
        identity = create(client, document("sleep", "100000"))
        start(client, identity)
        megabytes = resident(monitor_of(bench))
        client.delete(f"/containers/{identity}?force=1")
    return megabytes


def monitor_memory_per_container(bench: Bench) -> float:
    """Kilobytes more for each of 200 running containers, of a monitor that has not seen so many before."""
    bench.engine.restart()
    with bench.engine.client(timeout=300) as client:
        start(client, create(client, document("sleep", "100000")))
        before = resident(monitor_of(bench))
        for _ in range(200):
            start(client, create(client, document("sleep", "100000")))
        after = resident(monitor_of(bench))
    bench.remove_containers()
    return (after - before) * 1024 / 200


def start_two_hundred(bench: Bench) -> float:
    """Seconds until 200 containers run, started one after the other."""
    with bench.engine.client(timeout=300) as client:
        made = [create(client, document("sleep", "100000")) for _ in range(200)]
        began = time.perf_counter()
        for identity in made:
            start(client, identity)
        taken = time.perf_counter() - began
        running = len(client.get("/containers/json").json())
    bench.remove_containers()
    if running < 200:
        raise Unfit(f"only {running} run")
    return taken


STORES = ("dockerd", "dockerd, containerd store")
OURS = ("sampand",)
MEASURES = (
    Measure("run", "create, start, wait, remove by the API, no network", "ms", api_run("none"), limit=22, factor=5),
    Measure("run-bridge", "the same on the default bridge", "ms", api_run("default")),
    Measure("cli", "`docker run --rm --net=none`, without the command line's own share", "ms", cli_run, factor=4),
    Measure("exec", "exec of /bin/true", "ms", exec_true, factor=2.3),
    Measure("load", "load an image of 300 MB in ten layers", "s", load, factor=1.5, against=STORES),
    Measure(
        "pull",
        "pull the same image, gzip, from docker-registry on loopback",
        "s",
        pull,
        factor=1.5,
        against=(*STORES, "podman"),
    ),
    Measure("push", "push it as pulled to an empty docker-registry", "s", push, factor=1, against=STORES),
    Measure("attach", "256 MiB of output through attach", "MB/s", by_attach, more_is_better=True, factor=1.8),
    Measure("follow", "256 MiB of output through logs --follow", "MB/s", by_follow, more_is_better=True, factor=1.8),
    Measure("read-back", "256 MiB of log read back", "MB/s", read_back, more_is_better=True, factor=1.8),
    Measure("list-10", "list 10 containers", "ms", list_at(10)),
    Measure("run-at-10", "one life beside 10 containers", "ms", run_at(10)),
    Measure("list-100", "list 100 containers", "ms", list_at(100)),
    Measure("run-at-100", "one life beside 100 containers", "ms", run_at(100)),
    Measure("start-200", "daemon start to first ping with 200 containers", "ms", start_to_ping(200), limit=400),
    Measure("list-1000", "list 1,000 containers", "ms", list_at(1000)),
    Measure("run-at-1000", "one life beside 1,000 containers", "ms", run_at(1000)),
    Measure("memory", "resident memory of the idle daemon", "MB", idle_memory, limit=60, rounds=1),
    Measure("monitor", "resident memory of the monitor", "MB", monitor_memory, limit=15, only=OURS, rounds=1),
    Measure(
        "monitor-each",
        "memory of the monitor for each container more",
        "KB",
        monitor_memory_per_container,
        limit=150,
        only=OURS,
        rounds=1,
    ),
    Measure("running-200", "start 200 containers that stay, one after the other", "s", start_two_hundred, rounds=1),
)
