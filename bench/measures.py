"""What is measured, and what is required of sampand. `MEASURES` names all in the order in which they are shown.

A measure is a function from an engine to one number. Those of images and files are in `transfers.py`.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import transfers
from engines import IMAGE, Bench
from instant import InstantEngine
from report import Measure, Unfit
from rig.engines import Sampand, peer_binary
from rig.http import EngineClient
from steps import create, document, expect, milliseconds, one_life, remove, seconds, sleeper, start

UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
STREAM_BYTES = 256 << 20
LINE = b"%099d\n"


# -- lives of containers


def api_run(network: str) -> Callable[[Bench], float]:
    def measure(bench: Bench) -> float:
        with bench.engine.client() as client:
            wanted = document("/bin/true", network=network)
            return milliseconds(lambda: one_life(client, wanted), 20)

    return measure


def docker_run(host: str, times: int = 12) -> float:
    docker = str(peer_binary("docker"))
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
    with sleeper(bench) as (client, identity), bench.engine.client() as runner:

        def once() -> None:
            wanted = {"Cmd": ["/bin/true"], "AttachStdout": True, "AttachStderr": True}
            made = expect(client.post(f"/containers/{identity}/exec", wanted), 201).json()["Id"]
            expect(runner.begin("POST", f"/exec/{made}/start", {"Detach": False}, UPGRADE), 101, 200)
            connection, _ = runner.hijack()
            with connection:
                while connection.recv(65536):
                    pass

        return milliseconds(once, 20)


def stats(bench: Bench) -> float:
    with sleeper(bench) as (client, identity):
        path = f"/containers/{identity}/stats?stream=false&one-shot=true"
        return milliseconds(lambda: expect(client.get(path), 200), 100)


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
    binds = [f"{lines_file(bench).parent}:/lines:ro"]
    return create(client, document("cat", "/lines/lines", Binds=binds))


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


def start_at(count: int) -> Callable[[Bench], float]:
    """The start alone."""

    def measure(bench: Bench) -> float:
        with bench.engine.client(timeout=300) as client:
            grow_to(client, count)
            taken = []
            for _ in range(15):
                identity = create(client, document("/bin/true"))
                taken.append(seconds(lambda identity=identity: start(client, identity)))  # type: ignore[misc]
                expect(client.post(f"/containers/{identity}/wait"), 200)
                expect(client.delete(f"/containers/{identity}"), 200, 204)
        return statistics.median(taken) * 1000

    return measure


def start_fifty(bench: Bench) -> float:
    """Milliseconds until 50 containers run that were asked for at the same moment."""
    with ExitStack() as stack:
        clients = [stack.enter_context(bench.engine.client(timeout=300)) for _ in range(50)]
        made = [create(client, document("sleep", "100000")) for client in clients]
        began = time.perf_counter()
        for client, identity in zip(clients, made, strict=True):
            client.send("POST", f"/containers/{identity}/start")
        for client in clients:
            expect(client.head(), 204)
        taken = time.perf_counter() - began
        for identity in made:
            remove(clients[0], identity)
    return taken * 1000


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
    with sleeper(bench):
        return resident(monitor_of(bench))


def run_two_hundred(client: EngineClient) -> list[str]:
    made = [create(client, document("sleep", "100000")) for _ in range(200)]
    for identity in made:
        start(client, identity)
    return made


def monitor_memory_per_container(bench: Bench) -> float:
    """Kilobytes more for each of 200 running containers, of a monitor that has not seen so many before."""
    bench.engine.restart()
    with sleeper(bench) as (client, _):
        before = resident(monitor_of(bench))
        made = run_two_hundred(client)
        after = resident(monitor_of(bench))
        if len(client.get("/containers/json").json()) < 201:
            raise Unfit("not all 200 run")
        for identity in made:
            remove(client, identity)
    return (after - before) * 1024 / 200


STORES = ("dockerd", "dockerd, containerd store")
ALL = (*STORES, "podman")
OURS = ("sampand",)
ONE_STORE = ("sampand", "dockerd", "podman")
"""For what has nothing to do with images."""

MEASURES: tuple[Measure[Bench], ...] = (
    Measure("run", "create, start, wait, remove by the API, no network", "ms", api_run("none"), limit=22, factor=5),
    Measure("run-bridge", "the same on the default bridge", "ms", api_run("default")),
    Measure("cli", "`docker run --rm --net=none`, without the command line's own share", "ms", cli_run, factor=4),
    Measure("exec", "exec of /bin/true", "ms", exec_true, factor=2.3, only=ONE_STORE),
    Measure("stats", "one-shot stats of a container", "ms", stats, factor=1, only=ONE_STORE),
    Measure("start-50", "start 50 containers at once", "ms", start_fifty, factor=3, only=ONE_STORE),
    Measure("load", "load an image of 300 MB in ten layers", "s", transfers.load, factor=1.5, against=STORES),
    Measure("pull", "pull it, gzip, from docker-registry", "s", transfers.pull, factor=1.5, against=ALL),
    Measure("push", "push it as pulled to an empty docker-registry", "s", transfers.push, factor=1, against=STORES),
    Measure("save", "save it", "s", transfers.save, factor=1, against=STORES),
    Measure("export", "export a container of it", "s", transfers.export, factor=1, against=STORES),
    Measure("commit", "commit 1,400 new files of 30 MB", "s", transfers.commit, factor=1, against=STORES),
    Measure("copy-in", "copy 100 MB in", "MB/s", transfers.copy_in, True, factor=0.5, only=ONE_STORE),
    Measure("copy-out", "copy 100 MB out", "MB/s", transfers.copy_out, True, factor=1, only=ONE_STORE),
    Measure("attach", "256 MiB of output through attach", "MB/s", by_attach, True, factor=1.8, only=ONE_STORE),
    Measure("follow", "256 MiB of output through logs --follow", "MB/s", by_follow, True, factor=1.8, only=ONE_STORE),
    Measure("read-back", "256 MiB of log read back", "MB/s", read_back, True, factor=1.8, only=ONE_STORE),
    Measure("memory", "resident memory of the idle daemon", "MB", idle_memory, limit=60, rounds=1),
    Measure("monitor", "resident memory of the monitor", "MB", monitor_memory, limit=15, only=OURS, rounds=1),
    Measure(
        "monitor-each",
        "memory of the monitor for each of 200 running containers",
        "KB",
        monitor_memory_per_container,
        limit=150,
        only=OURS,
        rounds=1,
    ),
    Measure("list-10", "list 10 containers", "ms", list_at(10), limit=1.5, only=ONE_STORE),
    Measure("start-at-10", "start one beside 10 stopped ones", "ms", start_at(10), only=ONE_STORE),
    Measure("run-at-10", "create to remove beside 10", "ms", run_at(10), limit=22, only=ONE_STORE),
    Measure("list-100", "list 100 containers", "ms", list_at(100), limit=5, only=ONE_STORE),
    Measure("start-at-100", "start beside 100", "ms", start_at(100), flat="start-at-10", only=ONE_STORE),
    Measure("run-at-100", "create to remove beside 100", "ms", run_at(100), limit=22, only=ONE_STORE),
    Measure("start-200", "daemon start to ping, 200 containers", "ms", start_to_ping(200), limit=400, only=ONE_STORE),
    Measure("list-1000", "list 1,000 containers", "ms", list_at(1000), limit=37, only=ONE_STORE),
    Measure("start-at-1000", "start beside 1,000", "ms", start_at(1000), flat="start-at-10", only=ONE_STORE),
    Measure("run-at-1000", "create to remove beside 1,000", "ms", run_at(1000), limit=22, only=ONE_STORE),
)
